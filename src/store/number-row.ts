import { CorruptError } from '../errors.ts'
import { readU64be } from '../util/bytes.ts'

/** A number that a row of the store holds, u64. @throws {CorruptError} when it is none that we ever wrote. */
export function decodeNumber(row: Uint8Array, what: string): number {
  const number = row.length === 8 ? readU64be(row) : NaN
  if (Number.isSafeInteger(number)) return number
  throw new CorruptError(what, `${what} is damaged on this disk`)
}
