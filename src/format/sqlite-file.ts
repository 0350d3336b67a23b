import { MalformedError } from '../errors.ts'

/**
 * The b-trees of an SQLite file, read: tables by row number, indexes by key, and the records in them, with all that
 * lies in overflow pages. https://sqlite.org/fileformat2.html. No SQL, no schema, no writing, no free pages.
 *
 * Files are hostile. Each page is taken once, whichever tree it is in, so that nothing is walked in circles or more
 * than once; every cell and every length is checked to lie in its page. A tree that is out of order is refused: a lookup
 * in it and a scan would tell different stories.
 */
export interface SqlitePages {
  readonly pageBytes: number
  /** At the end of each page, for somebody else. */
  readonly reservedBytes: number
  readonly count: number
  /** From 1 to `count`; not to be changed. */
  page(number: number): Uint8Array
}

/** A cell of a leaf, or of an index: where it starts in its page. */
export interface CellPlace {
  readonly page: number
  readonly offset: number
}

export type ColumnKind = 'null' | 'number' | 'text' | 'blob'

export interface Column {
  readonly kind: ColumnKind
  /** SQLite's serial type. */
  readonly type: number
  /** Of the value in its record. */
  readonly from: number
  readonly to: number
}

/** A row as `walkTable` tells of it. */
export interface TableRow {
  readonly place: CellPlace
  readonly number: number
  /** As much of its record as its page holds. */
  readonly start: Uint8Array
  /** Of its record. */
  readonly sizeBytes: number
}

const TABLE_LEAF = 0x0d
const TABLE_INNER = 0x05
const INDEX_LEAF = 0x0a
const INDEX_INNER = 0x02

/** Page 1 begins with the header of the file. */
const FILE_HEADER_BYTES = 100
/** SQLite's own bound: fewer bytes of a page cannot be used. */
const MIN_USABLE_BYTES = 480
/** SQLite's own bound. */
const MAX_DEPTH = 20

interface Page {
  readonly number: number
  readonly bytes: Uint8Array
  readonly view: DataView
  readonly kind: number
  readonly cells: number
  /** Of the cell pointers. */
  readonly pointers: number
}

export class SqliteTrees {
  readonly #pages: SqlitePages
  readonly #usable: number
  readonly #isTaken: Uint8Array

  /** @throws {MalformedError} */
  constructor(pages: SqlitePages) {
    this.#pages = pages
    this.#usable = pages.pageBytes - pages.reservedBytes
    if (this.#usable < MIN_USABLE_BYTES) throw malformed('too much of its pages is reserved')
    this.#isTaken = new Uint8Array(pages.count + 1)
  }

  /** The rows of the table whose tree starts at `root`, by number, each number once. @throws {MalformedError} */
  walkTable(root: number, onRow: (row: TableRow) => void): void {
    let last = -1
    const follow = (number: number, isInner: boolean) => {
      if (isInner ? number < last : number <= last) throw malformed('its rows are out of order')
      last = number
    }
    const walk = (number: number, depth: number) => {
      const page = this.#take(number, depth, TABLE_LEAF, TABLE_INNER)
      for (let cell = 0; cell < page.cells; cell++) {
        const offset = this.#cellAt(page, cell)
        if (page.kind === TABLE_INNER) {
          walk(this.#childAt(page, offset), depth + 1)
          follow(new Varints(page.bytes, offset + 4).next(), true)
        } else {
          const varints = new Varints(page.bytes, offset)
          const sizeBytes = varints.next()
          const row = varints.next()
          follow(row, false)
          const local = this.#takeOverflow(page, varints.at, sizeBytes)
          const start = page.bytes.subarray(varints.at, varints.at + local)
          onRow({ place: { page: number, offset }, number: row, start, sizeBytes })
        }
      }
      if (page.kind === TABLE_INNER) walk(this.#lastChild(page), depth + 1)
    }
    walk(root, 0)
  }

  /** The entries of an index in the order they have. That it is right, the caller sees. @throws {MalformedError} */
  walkIndex(root: number, onEntry: (record: Uint8Array) => void): void {
    const walk = (number: number, depth: number) => {
      const page = this.#take(number, depth, INDEX_LEAF, INDEX_INNER)
      const isInner = page.kind === INDEX_INNER
      for (let cell = 0; cell < page.cells; cell++) {
        const offset = this.#cellAt(page, cell)
        if (isInner) walk(this.#childAt(page, offset), depth + 1)
        const varints = new Varints(page.bytes, isInner ? offset + 4 : offset)
        const sizeBytes = varints.next()
        this.#takeOverflow(page, varints.at, sizeBytes)
        onEntry(this.#payload(page, varints.at, sizeBytes))
      }
      if (isInner) walk(this.#lastChild(page), depth + 1)
    }
    walk(root, 0)
  }

  /** The record of a row that `walkTable` told of: a view of its page if it lies there whole. */
  record({ page: number, offset }: CellPlace): Uint8Array {
    const page = this.#open(number)
    const varints = new Varints(page.bytes, offset)
    const sizeBytes = varints.next()
    varints.next()
    return this.#payload(page, varints.at, sizeBytes)
  }

  /** As much of it as its page holds. */
  recordStart({ page: number, offset }: CellPlace): Pick<TableRow, 'start' | 'sizeBytes'> {
    const page = this.#open(number)
    const varints = new Varints(page.bytes, offset)
    const sizeBytes = varints.next()
    varints.next()
    const end = varints.at + this.#localBytes(page.kind, sizeBytes)
    return { start: page.bytes.subarray(varints.at, end), sizeBytes }
  }

  /** A page of a tree, which nobody has taken before. */
  #take(number: number, depth: number, leaf: number, inner: number): Page {
    if (depth > MAX_DEPTH) throw malformed('a tree is nested too deep')
    this.#claim(number)
    const page = this.#open(number)
    if (page.kind !== leaf && page.kind !== inner) throw malformed(`page ${number} is none of its tree`)
    if (page.pointers + 2 * page.cells > this.#usable) throw malformed(`page ${number} has too many cells`)
    return page
  }

  #claim(number: number): void {
    if (number < 1 || number > this.#pages.count) throw malformed(`there is no page ${number}`)
    if (this.#isTaken[number] !== 0) throw malformed(`page ${number} is there twice`)
    this.#isTaken[number] = 1
  }

  #open(number: number): Page {
    const bytes = this.#pages.page(number)
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    const start = number === 1 ? FILE_HEADER_BYTES : 0
    const kind = view.getUint8(start)
    const isInner = kind === TABLE_INNER || kind === INDEX_INNER
    return {
      number,
      bytes,
      view,
      kind,
      cells: view.getUint16(start + 3),
      pointers: start + (isInner ? 12 : 8),
    }
  }

  #cellAt({ number, view, pointers, cells }: Page, cell: number): number {
    const offset = view.getUint16(pointers + 2 * cell)
    if (offset >= pointers + 2 * cells && offset + 4 <= this.#usable) return offset
    throw malformed(`a cell of page ${number} lies outside of it`)
  }

  #childAt({ view }: Page, offset: number): number {
    return view.getUint32(offset)
  }

  #lastChild({ view, pointers }: Page): number {
    return view.getUint32(pointers - 4)
  }

  /** How much of a payload its page holds. */
  #localBytes(kind: number, sizeBytes: number): number {
    const usable = this.#usable
    const most = kind === TABLE_LEAF ? usable - 35 : Math.floor(((usable - 12) * 64) / 255) - 23
    if (sizeBytes <= most) return sizeBytes
    const least = Math.floor(((usable - 12) * 32) / 255) - 23
    const fitting = least + ((sizeBytes - least) % (usable - 4))
    return fitting <= most ? fitting : least
  }

  /** Answers how much of the payload is in the page itself. */
  #takeOverflow(page: Page, at: number, sizeBytes: number): number {
    const local = this.#localBytes(page.kind, sizeBytes)
    if (at + local > this.#usable) throw malformed(`a cell of page ${page.number} does not end in it`)
    if (local === sizeBytes) return local
    if (sizeBytes > this.#pages.count * this.#usable) throw malformed('a row is longer than the file')
    this.#eachOverflow(page, at + local, sizeBytes - local, (number) => this.#claim(number))
    return local
  }

  #eachOverflow(
    page: Page,
    at: number,
    bytes: number,
    onPage: (number: number, bytes: number) => void,
  ): void {
    if (at + 4 > page.bytes.length) throw malformed(`a cell of page ${page.number} does not end in it`)
    let next = page.view.getUint32(at)
    for (let left = bytes; left > 0; left -= this.#usable - 4) {
      onPage(next, Math.min(left, this.#usable - 4))
      const { buffer, byteOffset } = this.#pages.page(next)
      next = new DataView(buffer, byteOffset).getUint32(0)
    }
  }

  #payload(page: Page, at: number, sizeBytes: number): Uint8Array {
    const local = this.#localBytes(page.kind, sizeBytes)
    if (local === sizeBytes) return page.bytes.subarray(at, at + sizeBytes)
    const whole = new Uint8Array(sizeBytes)
    whole.set(page.bytes.subarray(at, at + local))
    let to = local
    this.#eachOverflow(page, at + local, sizeBytes - local, (number, bytes) => {
      whole.set(this.#pages.page(number).subarray(4, 4 + bytes), to)
      to += bytes
    })
    return whole
  }
}

/**
 * The first columns of a record of this size, of which the start is enough; what it is too short for is null.
 * @throws {MalformedError}
 */
export function readColumns(record: Uint8Array, sizeBytes: number, most: number): Column[] {
  const header = new Varints(record, 0)
  const end = header.next()
  if (end > record.length || end < header.at) throw malformed('a row has no header')
  const columns: Column[] = []
  let from = end
  while (columns.length < most && header.at < end) {
    const type = header.next()
    const to = from + sizeOf(type)
    if (to > sizeBytes) throw malformed('a row is cut off')
    columns.push({ kind: kindOf(type), type, from, to })
    from = to
  }
  if (header.at > end) throw malformed('a row has no header')
  while (columns.length < most) columns.push(NULL)
  return columns
}

const NULL: Column = { kind: 'null', type: 0, from: 0, to: 0 }

/** Sizes of what serial types 0 to 9 stand for; 10 and 11 are reserved. */
const SIZES = [0, 1, 2, 3, 4, 6, 8, 8, 0, 0]

function sizeOf(type: number): number {
  if (type >= 12) return Math.floor((type - 12) / 2)
  const size = SIZES[type]
  if (size === undefined) throw malformed('a row has a value of no kind')
  return size
}

function kindOf(type: number): ColumnKind {
  if (type === 0) return 'null'
  if (type < 12) return 'number'
  return type % 2 === 0 ? 'blob' : 'text'
}

/** A number that is whole and not negative; others read as one that is far too large. */
export function readNumber(record: Uint8Array, { type, from, to }: Column): number {
  if (type === ONE) return 1
  return record.subarray(from, to).reduce((value, byte) => value * 256 + byte, 0)
}
/** The serial type that stands for 1, as 8 does for 0. */
const ONE = 9

/** Big-endian groups of seven bits; the ninth byte has all eight. */
class Varints {
  readonly #bytes: Uint8Array
  at: number

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  /** @throws {MalformedError} over 2^53, and where the bytes end. */
  next(): number {
    let value = 0
    for (let count = 0; count < 8; count++) {
      const byte = this.#bytes[this.at++]
      if (byte === undefined) throw malformed('a number is cut off')
      value = value * 128 + (byte & 0x7f)
      if (byte < 0x80) {
        if (value > Number.MAX_SAFE_INTEGER) break
        return value
      }
    }
    throw malformed('a number is too large')
  }
}

function malformed(reason: string): MalformedError {
  return new MalformedError('sqlite', reason)
}
