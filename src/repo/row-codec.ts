import { CorruptError, UnsupportedVersionError } from '../errors.ts'
import { asBuffer, concat, fromHex, fromUtf8, toHex, toUtf8 } from '../util/bytes.ts'

/** Little rows of our own: the first byte is the version, integers are big-endian, text has its length before it. */
export class RowWriter {
  readonly #parts: Uint8Array[]

  constructor(version: number) {
    this.#parts = [Uint8Array.of(version)]
  }

  /** `width` bytes, at most 6. */
  integer(value: number, width: number): this {
    const bytes = Buffer.allocUnsafe(width)
    bytes.writeUIntBE(value, 0, width)
    this.#parts.push(bytes)
    return this
  }

  /** Of a length that the reader knows. */
  bytes(value: Uint8Array): this {
    this.#parts.push(value)
    return this
  }

  hex(value: string): this {
    return this.bytes(fromHex(value) ?? new Uint8Array(0))
  }

  text(value: string): this {
    const bytes = fromUtf8(value)
    return this.integer(bytes.length, 2).bytes(bytes)
  }

  end(): Uint8Array {
    return concat(this.#parts)
  }
}

/** Reads what `RowWriter` wrote. Slices share the row's memory. @throws {CorruptError} past the end. */
export class RowReader {
  readonly #row: Buffer
  readonly #what: string
  #at = 1

  /** @throws {UnsupportedVersionError} for a row of a newer release. */
  constructor(row: Uint8Array, what: string, newest: number) {
    this.#row = asBuffer(row)
    this.#what = what
    const version = row[0] ?? 0
    if (version < 1 || version > newest) {
      throw new UnsupportedVersionError(`${what} row v${version}; this hub reads v1 to v${newest}`)
    }
  }

  integer(width: number): number {
    const end = this.#take(width)
    return this.#row.readUIntBE(end - width, width)
  }

  bytes(length: number): Uint8Array {
    const end = this.#take(length)
    return this.#row.subarray(end - length, end)
  }

  hex(length: number): string {
    return toHex(this.bytes(length))
  }

  text(): string {
    return toUtf8(this.bytes(this.integer(2)))
  }

  #take(length: number): number {
    this.#at += length
    if (this.#at > this.#row.length) throw new CorruptError(this.#what, `a ${this.#what} row is cut`)
    return this.#at
  }
}
