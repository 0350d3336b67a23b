/** A flist's hold on a chunk: one row, chunk id ‖ flist number, without a value. */
import { concat, readU64be, u64be } from '../util/bytes.ts'
import type { RowChange } from './row-store.ts'
import { SPACES } from './spaces.ts'

const NUMBER_BYTES = 6
const NOTHING = new Uint8Array()

export interface Reference {
  readonly chunk: Uint8Array
  /** Of the flist. */
  readonly number: number
}

export function referenceChange(type: 'put' | 'delete', { chunk, number }: Reference): RowChange {
  const key = concat([chunk, u64be(number).subarray(8 - NUMBER_BYTES)])
  const space = SPACES.references
  return type === 'put' ? { type, space, key, value: NOTHING } : { type, space, key }
}

/** Of the key of a row. */
export function parseReference(key: Uint8Array): Reference {
  const at = key.length - NUMBER_BYTES
  return { chunk: key.subarray(0, at), number: readU64be(concat([Buffer.alloc(2), key.subarray(at)])) }
}
