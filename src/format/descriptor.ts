/**
 * What an operation says a flist is: size, digests, parts and the list of its chunks (replication design 2.3).
 * Encoding: format/dag-cbor.ts; the id of a descriptor is the SHA-256 of its canonical bytes.
 */
export interface Descriptor {
  readonly v: 1
  readonly fmt: 'zflist' | 'rfs'
  /** Bytes of the canonical flist file. */
  readonly size: number
  readonly sha256: Uint8Array
  readonly md5: Uint8Array
  /** SHA-256 of each 512 KiB part of the file, in order. */
  readonly parts: readonly Uint8Array[]
  /** SHA-256 of each chunk-list page, in order of their first id. */
  readonly chunks: readonly Uint8Array[]
  readonly nChunks: number
  /** Sum of the encoded chunks, each once. */
  readonly bytes: number
  readonly files: number
}

/** One row of a chunk-list page: id (16 or 32 bytes), encoded length, SHA-256 of the encoded bytes. */
export type ChunkListRow = readonly [id: Uint8Array, encLen: number, sha256: Uint8Array]

/** Rows of a page at most; a page is at most 1 MiB. */
export const CHUNK_LIST_PAGE_ROWS = 8192
