/**
 * The bytes of a chunk-list page: dag-cbor of `[[id, length, sha256], …]`, written and read row by row. The general
 * codec takes 20 ms for a full page of 8,192 rows, in one piece, and lists are read while requests wait; this takes 2.
 * There is one form of each row, so what is read here is canonical without encoding it again.
 */
import { MalformedError } from '../errors.ts'

export type EncodedRow = readonly [id: Uint8Array, length: number, sha256: Uint8Array]

/** Major types of CBOR, RFC 8949 3.1, and what follows their five bits of length. */
const UNSIGNED = 0x00
const BYTES = 0x40
const ARRAY = 0x80
const ONE_BYTE = 24
const TWO_BYTES = 25
const FOUR_BYTES = 26

const ROW_FIELDS = 3

/** Most bytes that a row takes: three heads of at most five bytes, and the array's. */
const ROW_OVERHEAD_BYTES = 1 + 3 * 5

export function encodeRows(rows: readonly EncodedRow[]): Uint8Array {
  const most = rows.reduce((sum, [id, , sha256]) => sum + ROW_OVERHEAD_BYTES + id.length + sha256.length, 5)
  const bytes = new Uint8Array(most)
  let at = writeHead(bytes, 0, ARRAY, rows.length)
  for (const [id, length, sha256] of rows) {
    at = writeHead(bytes, at, ARRAY, ROW_FIELDS)
    at = writeBytes(bytes, at, id)
    at = writeHead(bytes, at, UNSIGNED, length)
    at = writeBytes(bytes, at, sha256)
  }
  return bytes.slice(0, at)
}

/** @throws {MalformedError} for anything but the canonical bytes of at most `maxRows` such rows. */
export function decodeRows(bytes: Uint8Array, format: string, maxRows: number): EncodedRow[] {
  const reader = new RowReader(bytes, format)
  const count = reader.head(ARRAY)
  if (count > maxRows) throw reader.fail(`it has ${count} rows, not at most ${maxRows}`)
  const rows: EncodedRow[] = []
  for (let row = 0; row < count; row++) {
    if (reader.head(ARRAY) !== ROW_FIELDS) throw reader.fail('a row is not id, length, digest')
    rows.push([reader.bytes(), reader.head(UNSIGNED), reader.bytes()])
  }
  reader.end()
  return rows
}

function writeHead(bytes: Uint8Array, at: number, major: number, value: number): number {
  if (value < ONE_BYTE) {
    bytes[at] = major | value
    return at + 1
  }
  const size = value < 0x100 ? 1 : value < 0x10000 ? 2 : 4
  bytes[at++] = major | (size === 1 ? ONE_BYTE : size === 2 ? TWO_BYTES : FOUR_BYTES)
  for (let shift = size * 8 - 8; shift >= 0; shift -= 8) bytes[at++] = value >>> shift
  return at
}

function writeBytes(bytes: Uint8Array, at: number, value: Uint8Array): number {
  let to = writeHead(bytes, at, BYTES, value.length)
  for (let from = 0; from < value.length; from++) bytes[to++] = value[from] ?? 0 // `set` costs more for so few
  return to
}

class RowReader {
  readonly #bytes: Uint8Array
  readonly #format: string
  #at = 0

  constructor(bytes: Uint8Array, format: string) {
    this.#bytes = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength) // no Buffer: its pieces cost more
    this.#format = format
  }

  /** The value or length of an item of a major type, in its shortest form. */
  head(major: number): number {
    const first = this.#next()
    if ((first & 0xe0) !== major) throw this.fail('a row is not id, length, digest')
    const info = first & 0x1f
    if (info < ONE_BYTE) return info
    if (info === ONE_BYTE) return this.#number(1, ONE_BYTE)
    if (info === TWO_BYTES) return this.#number(2, 0x100)
    if (info === FOUR_BYTES) return this.#number(4, 0x10000)
    throw this.fail('a length is none')
  }

  bytes(): Uint8Array {
    const length = this.head(BYTES)
    if (length > this.#bytes.length - this.#at) throw this.fail('it ends in the middle of a row')
    const from = this.#at
    this.#at += length
    return this.#bytes.subarray(from, this.#at)
  }

  end(): void {
    if (this.#at < this.#bytes.length) throw this.fail('bytes follow its rows')
  }

  fail(why: string): MalformedError {
    return new MalformedError(this.#format, `the ${this.#format} is malformed: ${why}`, { offset: this.#at })
  }

  #number(size: number, least: number): number {
    let value = 0
    for (let read = 0; read < size; read++) value = value * 0x100 + this.#next()
    if (value < least) throw this.fail('a number is not in its shortest form')
    return value
  }

  #next(): number {
    const byte = this.#bytes[this.#at]
    if (byte === undefined) throw this.fail('it ends in the middle of a row')
    this.#at++
    return byte
  }
}
