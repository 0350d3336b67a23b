import type { AbortOptions } from '../util/units.ts'

/** A chunk as it is kept and sent: encoded bytes under their native id (BLAKE2b of 16 or 32 bytes, by format). */
export interface Chunk {
  /** 16 bytes (flist v1) or 32 bytes (`.fl`): the BLAKE2b of `bytes` of that length. */
  readonly id: Uint8Array
  /** At most MAX_CHUNK_BYTES. */
  readonly bytes: Uint8Array
  /** SHA-256 of `bytes`; computed when absent. */
  readonly sha256?: Uint8Array
  /**
   * BLAKE2b-128 of the plain block, given only by our own encoder: from then on `known` answers `id` for it,
   * so equal content is not encoded again.
   */
  readonly plainKey?: Uint8Array
}

export interface ChunkInfo {
  readonly lengthBytes: number
  readonly sha256: Uint8Array
  /** Unix seconds of the last write or touch; the collector's grace counts from here. */
  readonly usedAtS: number
  /** Its bytes were found lost or damaged: to be written again. */
  readonly isDamaged?: boolean
}

export interface ChunkTotals {
  readonly chunks: number
  readonly bytes: number
}

/** Anything that can answer "give me this chunk": a disk, a peer, or both in order. */
export interface ChunkSource {
  /** Resolves to the stored bytes, or `undefined` when this source does not hold them. Failing is not absence. */
  get(id: Uint8Array, options?: AbortOptions): Promise<Uint8Array | undefined>
}

/**
 * The chunks this node keeps. Reads are synchronous: one index row and one payload, 70 µs for 4 KiB and
 * 0.4 ms for 512 KiB from a warm page cache.
 */
export interface ChunkStore {
  /**
   * The bytes of a chunk, checked by length and CRC-32 on the way out. One that fails counts as damaged from then on:
   * `known` passes it over, and the next `write` of it stores its bytes anew.
   * @throws {CorruptError} when the disk gave other bytes than were stored.
   */
  read(id: Uint8Array): Uint8Array | undefined

  info(id: Uint8Array): ChunkInfo | undefined

  /**
   * Keeps chunks that are new, durable (payload, then index, both synced) when this resolves. Ids are taken as
   * verified: `receiveChunk` is the way in for bytes of strangers. A known id keeps its first bytes and has its
   * `usedAtS` refreshed; a known id with another SHA-256 is a collision.
   * @throws {CorruptError} on a collision; nothing of this call is stored.
   * @throws {DiskFullError} below the low-water mark, or when the disk says so.
   */
  write(chunks: readonly Chunk[]): Promise<void>

  /** Counts a use now, so that the grace of unreferenced chunks starts anew. Unknown ids are passed over. */
  touch(ids: readonly Uint8Array[]): Promise<void>

  /** Forgets chunks and frees their space in the background. Only the collector and the quota call this. */
  delete(ids: readonly Uint8Array[]): Promise<void>

  /** Every held chunk in id order, from after `after`. */
  entries(
    after?: Uint8Array,
    options?: AbortOptions,
  ): AsyncIterable<readonly [id: Uint8Array, info: ChunkInfo]>

  totals(): ChunkTotals
}

/** Plain content that this release's encoder has already turned into a held chunk. */
export interface KnownContent {
  /** For each plain key (BLAKE2b-128 of a block) the id of a held chunk, or `undefined`. Synchronous. */
  known(plainKeys: readonly Uint8Array[]): Array<Uint8Array | undefined>
}
