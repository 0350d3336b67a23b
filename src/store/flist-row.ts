/** The row of a flist: its number, and how much of it is here. FORMAT.md, space `fl`. */
import { CorruptError } from '../errors.ts'
import { readU64be, u64be } from '../util/bytes.ts'

/**
 * `own`: it was made here. `fetched`: it came from a peer, with all its chunks. `partial`: it came from a peer, and some
 * of its chunks may not be here.
 */
export type FlistState = 'own' | 'fetched' | 'partial'

export interface FlistRow {
  /** Under which its references stand. */
  readonly number: number
  readonly state: FlistState
}

const ROW_BYTES = 8
const VERSION = 1
const STATES: readonly FlistState[] = ['own', 'fetched', 'partial']
/** The upper 16 bits of a number are never used. */
const MAX_NUMBER = 2 ** 48

/** `01`, number u48, state u8. */
export function encodeFlistRow({ number, state }: FlistRow): Uint8Array {
  return Uint8Array.of(VERSION, ...u64be(number).subarray(2), STATES.indexOf(state))
}

/** Also what formats 1 and 2 wrote: number u64, of a flist that was made here. @throws {CorruptError} */
export function decodeFlistRow(bytes: Uint8Array): FlistRow {
  const damaged = () => new CorruptError('fl', 'the row of a flist is damaged on this disk')
  if (bytes.length !== ROW_BYTES) throw damaged()
  if (bytes[0] !== VERSION) {
    const number = readU64be(bytes)
    if (number >= MAX_NUMBER) throw damaged()
    return { number, state: 'own' }
  }
  const state = STATES[bytes[7] ?? STATES.length]
  if (state === undefined) throw damaged()
  const before = Uint8Array.of(0, 0, ...bytes.subarray(1, 7))
  return { number: readU64be(before), state }
}
