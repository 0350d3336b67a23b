/** The arithmetic of keeping a flist, in steps short enough that others get their turn in between. */
import { createHash } from 'node:crypto'
import { setImmediate as breathe } from 'node:timers/promises'
import { blake2b256 } from '../format/blake2b.ts'
import {
  descriptorId,
  encodeChunkListPage,
  FLIST_PART_BYTES,
  type ChunkListRow,
} from '../format/descriptor.ts'

/** Ids looked at in one step: less than 10 ms. */
export const IDS_AT_ONCE = 2000

/** A part of a flist file: kept as a chunk under its BLAKE2b-256. */
export interface Part {
  readonly id: Uint8Array
  readonly bytes: Uint8Array
  readonly sha256: Uint8Array
}

export interface FlistDigests {
  readonly parts: readonly Part[]
  readonly sha256: Uint8Array
  readonly md5: Uint8Array
}

export async function digestFlist(bytes: Uint8Array): Promise<FlistDigests> {
  const [sha256, md5] = [createHash('sha256'), createHash('md5')]
  const parts: Part[] = []
  for (let from = 0; from < bytes.length; from += FLIST_PART_BYTES) {
    const part = bytes.subarray(from, from + FLIST_PART_BYTES)
    sha256.update(part)
    md5.update(part)
    parts.push({ id: blake2b256(part), bytes: part, sha256: createHash('sha256').update(part).digest() })
    await breathe()
  }
  return { parts, sha256: sha256.digest(), md5: md5.digest() }
}

export interface Page {
  /** SHA-256 of its bytes. */
  readonly id: Uint8Array
  readonly bytes: Uint8Array
}

/** Of rows sorted by id, each id once; every page but the last is full, so equal lists have equal pages. */
export function pageOf(rows: readonly ChunkListRow[]): Page {
  const bytes = encodeChunkListPage(rows)
  return { id: descriptorId(bytes), bytes }
}
