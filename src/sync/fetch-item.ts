import { createHash } from 'node:crypto'
import type { ChunkNaming } from '../format/chunk-message.ts'
import { digestAs } from '../store/receive.ts'
import { equalBytes, toLatin1 } from '../util/bytes.ts'

/** A chunk, or a part of a flist, as a signed chunk list or descriptor tells of it. */
export interface FetchItem {
  readonly naming: ChunkNaming
  /** Of a chunk its native id, of a part its SHA-256. */
  readonly id: Uint8Array
  readonly lengthBytes: number
  readonly sha256: Uint8Array
}

export function keyOf({ naming, id }: Pick<FetchItem, 'naming' | 'id'>): string {
  return `${naming} ${toLatin1(id)}`
}

/**
 * Invariant I3: nothing of a peer is kept unless its length, its SHA-256 and, for a chunk, its native id fit. Both
 * digests, because a native id may have 16 bytes only. SHA-256 first: 1,961 MB/s, BLAKE2b 1,306 MB/s.
 */
export function isGenuine({ naming, id, lengthBytes, sha256 }: FetchItem, bytes: Uint8Array): boolean {
  if (bytes.length !== lengthBytes) return false
  if (!equalBytes(createHash('sha256').update(bytes).digest(), sha256)) return false
  return naming === 'part' || equalBytes(digestAs(id, bytes), id)
}
