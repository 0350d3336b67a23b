import { MalformedError } from '../errors.ts'
import { readColumns, readNumber } from '../format/sqlite-file.ts'
import type { CellPlace, Column, ColumnKind, SqliteTrees, TableRow } from '../format/sqlite-file.ts'
import { asBuffer, compareBytes } from '../util/bytes.ts'

/** Of a key, compared as one number. */
const PREFIX_BYTES = 6

const KEY_AND_VALUE = 2

/** A row of `entries` or `metadata`. */
export interface KeyedRow {
  readonly key: Column
  readonly value: Column
}

/**
 * A table of keys and values. Its indexes are checked against it, entry by entry, so that who looks up a key in the file
 * by SQLite sees what we see. Takes 40 bytes of memory for a row.
 */
export class KeyedTable {
  readonly #trees: SqliteTrees
  /** By row: its number in the file, and its place. */
  readonly #numbers: number[] = []
  readonly #pages: number[] = []
  readonly #offsets: number[] = []
  /** Rows with text as a key, in the order of the keys; and how these begin. */
  #byKey: number[] = []
  #prefixes: number[] = []
  #strays = 0

  /** @throws {MalformedError} when the table, or an index, is not in order, or one does not fit the other. */
  constructor(trees: SqliteTrees, root: number, indexRoots: readonly number[]) {
    this.#trees = trees
    trees.walkTable(root, (row) => this.#add(row))
    for (const index of indexRoots) this.#checkIndex(index)
  }

  /** Rows that are no text with a BLOB. */
  get strays(): number {
    return this.#strays
  }

  get count(): number {
    return this.#numbers.length
  }

  /** The record of a row, with where its key and its value are. */
  read(row: number): KeyedRow & { readonly record: Uint8Array } {
    const record = this.#trees.record(this.#place(row))
    return { record, ...keyAndValue(record, record.length) }
  }

  /** The row of a text key. */
  find(key: Uint8Array): number | undefined {
    const prefix = prefixOf(key)
    let [low, high] = [0, this.#byKey.length]
    while (low < high) {
      const middle = (low + high) >> 1
      const order =
        (this.#prefixes[middle] ?? 0) - prefix || compareBytes(this.#key(this.#byKey[middle] ?? 0).bytes, key)
      if (order === 0) return this.#byKey[middle]
      if (order < 0) low = middle + 1
      else high = middle
    }
    return undefined
  }

  /** Rows in the order of their text keys. */
  inKeyOrder(): readonly number[] {
    return this.#byKey
  }

  #add({ place, number, start, sizeBytes }: TableRow): void {
    const { key, value } = keyAndValue(start, sizeBytes)
    if (key.kind !== 'text' || value.kind !== 'blob') this.#strays++
    this.#numbers.push(number)
    this.#pages.push(place.page)
    this.#offsets.push(place.offset)
  }

  #checkIndex(root: number): void {
    const byKey: number[] = []
    const prefixes: number[] = []
    let before: { readonly rank: number; readonly key: Uint8Array; readonly number: number } | undefined
    let count = 0
    this.#trees.walkIndex(root, (entry) => {
      const [key = NONE, at = NONE] = readColumns(entry, entry.length, KEY_AND_VALUE)
      const number = readNumber(entry, at)
      const row = this.#rowOf(number)
      const bytes = entry.subarray(key.from, key.to)
      if (row === undefined || !this.#hasKey(row, key, bytes))
        throw malformed('an index tells of a row that is not there')
      const now = { rank: RANK[key.kind], key: bytes, number }
      if (before !== undefined && !isBefore(before, now)) throw malformed('an index is out of order')
      before = now
      count++
      if (key.kind !== 'text') return
      byKey.push(row)
      prefixes.push(prefixOf(bytes))
    })
    if (count !== this.count) throw malformed('an index does not tell of all rows')
    this.#byKey = byKey
    this.#prefixes = prefixes
  }

  /** By its number in the file; most writers number from 1 without a gap. */
  #rowOf(number: number): number | undefined {
    if (this.#numbers[number - 1] === number) return number - 1
    let [low, high] = [0, this.#numbers.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#numbers[middle] ?? 0) < number) low = middle + 1
      else high = middle
    }
    return this.#numbers[low] === number ? low : undefined
  }

  #hasKey(row: number, { kind }: Column, bytes: Uint8Array): boolean {
    const found = this.#key(row)
    return found.kind === kind && compareBytes(found.bytes, bytes) === 0
  }

  /** Mostly without what overflows its page. */
  #key(row: number): { readonly kind: ColumnKind; readonly bytes: Uint8Array } {
    const { start, sizeBytes } = this.#trees.recordStart(this.#place(row))
    const { key } = keyAndValue(start, sizeBytes)
    const from = key.to <= start.length ? start : this.read(row).record
    return { kind: key.kind, bytes: from.subarray(key.from, key.to) }
  }

  #place(row: number): CellPlace {
    return { page: this.#pages[row] ?? 0, offset: this.#offsets[row] ?? 0 }
  }
}

const NONE: Column = { kind: 'null', type: 0, from: 0, to: 0 }

/** The order of kinds in an index; of numbers there are none where all is text. */
const RANK = { null: 0, number: 1, text: 2, blob: 3 } as const

function keyAndValue(start: Uint8Array, sizeBytes: number): KeyedRow {
  const [key = NONE, value = NONE] = readColumns(start, sizeBytes, KEY_AND_VALUE)
  if (key.kind === 'number') throw malformed('a key is a number')
  return { key, value }
}

/** Keys come once, but for nulls, which are in the order of their rows. */
function isBefore(
  a: { readonly rank: number; readonly key: Uint8Array; readonly number: number },
  b: { readonly rank: number; readonly key: Uint8Array; readonly number: number },
): boolean {
  const order = a.rank - b.rank || compareBytes(a.key, b.key)
  return order < 0 || (order === 0 && a.rank === RANK.null && a.number < b.number)
}

/** Such that the numbers have the order of the keys, as far as they differ. */
function prefixOf(key: Uint8Array): number {
  if (key.length >= PREFIX_BYTES) return asBuffer(key).readUIntBE(0, PREFIX_BYTES)
  let prefix = 0
  for (let at = 0; at < PREFIX_BYTES; at++) prefix = prefix * 256 + (key[at] ?? 0)
  return prefix
}

function malformed(reason: string): MalformedError {
  return new MalformedError('sqlite', reason)
}
