/**
 * A SQLite 3 database in one go: tables of a text key and a value, each with the index of its primary key. For those
 * that are written once and never changed: rows lie in the order in which they come, indexes are built from sorted
 * keys, no page is touched twice, and equal calls give equal bytes whatever SQLite's version.
 * Not for reading, nor for bytes of strangers. Source: https://sqlite.org/fileformat2.html
 */
import { MalformedError } from '../errors.ts'
import { concat, EMPTY, fromLatin1, fromUtf8, toLatin1 } from '../util/bytes.ts'

const PAGE_BYTES = 4096
const HEADER_BYTES = 100
/** Pages of one piece of memory. */
const SEGMENT_PAGES = 256

const INDEX_INTERIOR = 0x02
const TABLE_INTERIOR = 0x05
const INDEX_LEAF = 0x0a
const TABLE_LEAF = 0x0d
const LEAF_HEADER_BYTES = 8
const INTERIOR_HEADER_BYTES = 12

/** 1.6: the most of a payload that stays in its page, and the least where it goes on in others. */
const TABLE_MOST = PAGE_BYTES - 35
const INDEX_MOST = Math.floor(((PAGE_BYTES - 12) * 64) / 255) - 23
const LEAST = Math.floor(((PAGE_BYTES - 12) * 32) / 255) - 23
const OVERFLOW_BYTES = PAGE_BYTES - 4

/** Said in the header; we are no version of SQLite, and readers do not mind. */
const SQLITE_VERSION = 3_045_000

type Value = { readonly text: Uint8Array } | { readonly blob: Uint8Array } | number | null

class Pages {
  readonly #segments: Buffer[] = []
  #count = 0

  get count(): number {
    return this.#count
  }

  /** The number of a new page, from 1. */
  add(): number {
    if (this.#count % SEGMENT_PAGES === 0) this.#segments.push(Buffer.alloc(SEGMENT_PAGES * PAGE_BYTES))
    return ++this.#count
  }

  page(number: number): Buffer {
    const at = ((number - 1) % SEGMENT_PAGES) * PAGE_BYTES
    const segment = this.#segments[Math.floor((number - 1) / SEGMENT_PAGES)] ?? Buffer.alloc(0)
    return segment.subarray(at, at + PAGE_BYTES)
  }

  /** All of them, in order, in pieces. */
  pieces(): Uint8Array[] {
    const last = this.#segments.length - 1
    const lastBytes = (this.#count - last * SEGMENT_PAGES) * PAGE_BYTES
    return this.#segments.map((segment, at) => (at < last ? segment : segment.subarray(0, lastBytes)))
  }

  /** A payload as a cell has it: its length, `middle`, what stays in the page, the first page of the rest. */
  cell(payload: Uint8Array, most: number, middle: Uint8Array = EMPTY): Uint8Array {
    const length = varint(payload.length)
    if (payload.length <= most) return concat([length, middle, payload])
    const fitting = LEAST + ((payload.length - LEAST) % OVERFLOW_BYTES)
    const local = fitting <= most ? fitting : LEAST
    const rest = this.#overflow(payload.subarray(local))
    return concat([length, middle, payload.subarray(0, local), u32(rest)])
  }

  #overflow(bytes: Uint8Array): number {
    const first = this.add()
    for (let at = 0, number = first; at < bytes.length; at += OVERFLOW_BYTES) {
      const page = this.page(number)
      page.set(bytes.subarray(at, at + OVERFLOW_BYTES), 4)
      if (at + OVERFLOW_BYTES < bytes.length) page.writeUInt32BE((number = this.add()), 0)
    }
    return first
  }
}

/** A page of a b-tree while cells are put into it: pointers from the front, cells from the end. */
class PageWriter {
  readonly number: number
  readonly #page: Buffer
  readonly #headerAt: number
  #cells = 0
  #pointersAt: number
  #contentAt = PAGE_BYTES

  constructor(pages: Pages, number: number, type: number, right = 0) {
    this.number = number
    this.#page = pages.page(number)
    this.#headerAt = number === 1 ? HEADER_BYTES : 0
    const isInterior = type === TABLE_INTERIOR || type === INDEX_INTERIOR
    this.#pointersAt = this.#headerAt + (isInterior ? INTERIOR_HEADER_BYTES : LEAF_HEADER_BYTES)
    this.#page[this.#headerAt] = type
    if (isInterior) this.#page.writeUInt32BE(right, this.#headerAt + LEAF_HEADER_BYTES)
    this.#page.writeUInt16BE(PAGE_BYTES, this.#headerAt + 5)
  }

  fits(cellBytes: number): boolean {
    return this.#pointersAt + 2 + cellBytes <= this.#contentAt
  }

  add(cell: Uint8Array): void {
    this.#contentAt -= cell.length
    this.#page.set(cell, this.#contentAt)
    this.#page.writeUInt16BE(this.#contentAt, this.#pointersAt)
    this.#pointersAt += 2
    this.#page.writeUInt16BE(++this.#cells, this.#headerAt + 3)
    this.#page.writeUInt16BE(this.#contentAt, this.#headerAt + 5)
  }
}

/** A cell of an interior page, or of the leaf of an index: what lies left of it, if anything, and its key. */
interface Divider {
  readonly left: number
  readonly key: Uint8Array
}

/** Levels of a b-tree over what lies right of the last divider, up to the root, whose page it answers. */
function buildTree(pages: Pages, type: number, leaves: readonly Divider[], last: number, leafType = type) {
  let [items, right, level] = [leaves, last, leafType]
  for (;;) {
    const { groups, dividers } = intoPages(items, level === INDEX_LEAF ? 0 : 4)
    const numbers = groups.map((group, at) => {
      const isInterior = level !== INDEX_LEAF
      const node = new PageWriter(pages, pages.add(), level, dividers[at]?.left ?? right)
      for (const { left, key } of group) node.add(isInterior ? concat([u32(left), key]) : key)
      return node.number
    })
    right = numbers.at(-1) ?? 0
    if (dividers.length === 0) return right
    items = dividers.map(({ key }, at) => ({ left: numbers[at] ?? 0, key }))
    level = type
  }
}

/** As many to a page as fit; the one after them divides it from the next page. No page is empty. */
function intoPages(items: readonly Divider[], pointerBytes: number) {
  const groups: Divider[][] = [[]]
  const dividers: Divider[] = []
  const headerBytes = pointerBytes === 0 ? LEAF_HEADER_BYTES : INTERIOR_HEADER_BYTES
  let free = PAGE_BYTES - headerBytes
  for (const item of items) {
    free -= 2 + pointerBytes + item.key.length
    if (free >= 0) groups.at(-1)?.push(item)
    else {
      dividers.push(item)
      groups.push([])
      free = PAGE_BYTES - headerBytes
    }
  }
  const divider = dividers.at(-1)
  const before = groups.at(-2)?.at(-1)
  if (groups.at(-1)?.length === 0 && divider !== undefined && before !== undefined) {
    groups.at(-2)?.pop()
    groups.at(-1)?.push(divider)
    dividers[dividers.length - 1] = before
  }
  return { groups, dividers }
}

/** Rows of a table, numbered from 1. */
class Table {
  readonly #pages: Pages
  readonly #leaves: Divider[] = []
  #leaf: PageWriter
  #rows = 0

  constructor(pages: Pages, firstPage = pages.add()) {
    this.#pages = pages
    this.#leaf = new PageWriter(pages, firstPage, TABLE_LEAF)
  }

  /** Answers its number. */
  add(values: readonly Value[]): number {
    const row = ++this.#rows
    const cell = this.#pages.cell(encodeRecord(values), TABLE_MOST, varint(row))
    if (!this.#leaf.fits(cell.length)) {
      this.#leaves.push({ left: this.#leaf.number, key: varint(row - 1) })
      this.#leaf = new PageWriter(this.#pages, this.#pages.add(), TABLE_LEAF)
    }
    this.#leaf.add(cell)
    return row
  }

  /** Answers its root. */
  finish(): number {
    const last = this.#leaf.number
    return this.#leaves.length === 0 ? last : buildTree(this.#pages, TABLE_INTERIOR, this.#leaves, last)
  }
}

/** A table `(key … PRIMARY KEY, value …)` and its index. */
class KeyedTable {
  readonly #pages: Pages
  readonly #table: Table
  /** One character a byte: in the order of their bytes. */
  readonly #keys: Array<readonly [key: string, row: number]> = []

  constructor(pages: Pages) {
    this.#pages = pages
    this.#table = new Table(pages)
  }

  add(key: Uint8Array, value: Value): void {
    this.#keys.push([toLatin1(key), this.#table.add([{ text: key }, value])])
  }

  /** Answers the roots of both. */
  finish(): { table: number; index: number } {
    const keys = this.#keys.sort(([a], [b]) => (a < b ? -1 : 1))
    for (const [at, [key]] of keys.entries())
      if (key === keys[at + 1]?.[0])
        throw new MalformedError('sqlite', `two rows of the key ${JSON.stringify(key)}`)
    const entries = keys.map(([key, row]) => {
      const record = encodeRecord([{ text: fromLatin1(key) }, row])
      return { left: 0, key: this.#pages.cell(record, INDEX_MOST) }
    })
    const table = this.#table.finish()
    return { table, index: buildTree(this.#pages, INDEX_INTERIOR, entries, 0, INDEX_LEAF) }
  }
}

/** A database whose tables are named with their statements, which must have the form that `KeyedTable` tells. */
export class SqliteWriter {
  readonly #pages = new Pages()
  readonly #schema: Table
  readonly #tables: ReadonlyArray<{ name: string; sql: string; table: KeyedTable }>

  constructor(statements: Readonly<Record<string, string>>) {
    this.#schema = new Table(this.#pages)
    this.#tables = Object.entries(statements).map(([name, sql]) => ({
      name,
      sql,
      table: new KeyedTable(this.#pages),
    }))
  }

  /** A row of a table; keys of one table differ. */
  add(name: string, key: Uint8Array, value: Value): void {
    this.#tables.find((one) => one.name === name)?.table.add(key, value)
  }

  /** The file in pieces. @throws {MalformedError} for a key that a table has twice. */
  finish(): Uint8Array[] {
    for (const { name, sql, table } of this.#tables) {
      const roots = table.finish()
      const own = text(name)
      this.#schema.add([text('table'), own, own, roots.table, text(sql)])
      this.#schema.add([text('index'), text(`sqlite_autoindex_${name}_1`), own, roots.index, null])
    }
    this.#schema.finish()
    writeHeader(this.#pages.page(1), this.#pages.count)
    return this.#pages.pieces()
  }
}

/** 1.3: what is not written is zero. */
function writeHeader(page: Buffer, pages: number): void {
  page.write('SQLite format 3\0', 'latin1')
  page.writeUInt16BE(PAGE_BYTES, 16)
  page.set([1, 1, 0, 64, 32, 32], 18) // rollback journal, no reserved space, fractions of payloads
  page.writeUInt32BE(1, 24) // changes so far
  page.writeUInt32BE(pages, 28)
  page.writeUInt32BE(1, 40) // changes of the schema
  page.writeUInt32BE(4, 44) // format of the schema
  page.writeUInt32BE(1, 56) // UTF-8
  page.writeUInt32BE(1, 92) // changes as of the next field
  page.writeUInt32BE(SQLITE_VERSION, 96)
}

function text(value: string): Value {
  return { text: fromUtf8(value) }
}

/** 2.1 */
function encodeRecord(values: readonly Value[]): Uint8Array {
  const types: Uint8Array[] = []
  const bodies: Uint8Array[] = []
  for (const value of values) {
    const body = bodyOf(value)
    types.push(varint(serialType(value, body)))
    bodies.push(body)
  }
  const head = concat(types)
  return concat([varint(head.length + 1), head, ...bodies]) // a header of five columns takes one byte for its length
}

function bodyOf(value: Value): Uint8Array {
  if (value === null) return EMPTY
  if (typeof value === 'number') return value < 2 ? EMPTY : u32(value)
  return 'text' in value ? value.text : value.blob
}

function serialType(value: Value, { length }: Uint8Array): number {
  if (value === null) return 0
  if (typeof value === 'number') return value < 2 ? 8 + value : 4
  return 'text' in value ? 13 + 2 * length : 12 + 2 * length
}

/** Big-endian, seven bits a byte; of numbers below 2^56. */
function varint(value: number): Uint8Array {
  if (value < 0x80) return Uint8Array.of(value)
  const bytes: number[] = [value % 0x80]
  for (let rest = Math.floor(value / 0x80); rest > 0; rest = Math.floor(rest / 0x80))
    bytes.unshift((rest % 0x80) | 0x80)
  return Uint8Array.from(bytes)
}

function u32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, value >>> 16, value >>> 8, value)
}
