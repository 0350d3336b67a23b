import type { AbortOptions } from '../util/units.ts'
import type { ChunkList } from './chunk-list.ts'
import type { Descriptor } from '../format/descriptor.ts'

/** SHA-256 of a descriptor's canonical bytes, 32 bytes: what an operation names as its target. */
export type FlistId = Uint8Array

/** A flist about to be kept: its canonical bytes. */
interface FlistFile {
  readonly format: 'zflist' | 'rfs'
  readonly bytes: Uint8Array
  /** Regular files in it. */
  readonly files: number
}

/** With what it needs, told in one way or the other. */
export type NewFlist = FlistFile & (NamedChunks | ListedChunks)

interface NamedChunks {
  /** Ids of every chunk it references, each held by this node; any order, duplicates allowed. */
  readonly chunkIds: readonly Uint8Array[]
  readonly list?: undefined
}

interface ListedChunks {
  /** Of every chunk it references, by `listChunks` with the lease that comes with `put`: made ahead, it saves time. */
  readonly list: ChunkList
}

/** The flists this node keeps, with the presence references that hold their chunks. */
export interface FlistStore {
  /**
   * Keeps a flist's parts, chunk list and descriptor and references its chunks; all durable when this resolves.
   * It stays out of the collector's reach while `lease` is open, and afterwards while an operation names it.
   * The same bytes give the same id, and are kept once.
   * @throws {InvalidInputError} naming a chunk that this node does not hold; nothing is stored.
   * @throws {ConflictError} for one that was purged.
   */
  put(flist: NewFlist, lease: Lease): Promise<FlistId>

  descriptor(id: FlistId): Descriptor | undefined

  /** The canonical bytes, checked by SHA-256. @throws {CorruptError} when they do not fit. */
  read(id: FlistId, options?: AbortOptions): Promise<Uint8Array | undefined>

  /** The ids of its chunks, sorted, each once. */
  chunkIds(id: FlistId): Promise<Uint8Array[] | undefined>

  /** Every flist held. */
  ids(): AsyncIterable<FlistId>

  /** Drops a flist and its references; its chunks are the collector's from then on. */
  delete(id: FlistId): Promise<void>
}

/** A flist as a peer sent it: what its descriptor says of the rest is still to be checked. */
export interface FetchedFlist {
  readonly id: FlistId
  /** Canonical bytes. */
  readonly descriptor: Uint8Array
  /** Of its chunk list, canonical bytes. */
  readonly pages: readonly Uint8Array[]
  readonly bytes: Uint8Array
}

/** Flists of other nodes: kept as soon as their file and chunk list are here, complete once their chunks are. */
export interface FetchedFlists {
  /**
   * Keeps a flist before its chunks are here, and references all of them: those that come later stay. Durable when it
   * resolves.
   * @throws {CorruptError} when the descriptor is not the one of that id, or does not fit the rest; nothing is stored.
   */
  putPartial(flist: FetchedFlist, lease: Lease): Promise<void>

  /**
   * Looks whether all chunks of a flist are here, and notes it. The caller's lease must hold them.
   * @throws {CorruptError} when one of them is another chunk than the list describes.
   */
  complete(id: FlistId): Promise<boolean>

  /** Is it here, with all its chunks? */
  isComplete(id: FlistId): boolean

  /** Those of which chunks may be missing. */
  partials(): AsyncIterable<FlistId>

  /** Is a chunk on the list of a flist that is here? Synchronous, a few microseconds. */
  names(id: FlistId, chunk: Uint8Array): boolean
}

/** What peers ask of flists, piece by piece. */
export interface ServedFlists {
  /** A descriptor or a page of a chunk list that is kept here, by SHA-256. */
  object(id: Uint8Array): Uint8Array | undefined
  /** The chunk id under which a part of a flist is kept, by SHA-256. */
  partId(sha256: Uint8Array): Uint8Array | undefined
}

/**
 * What an upload in progress holds: the collector passes over every chunk and flist in an open lease.
 * It lives in memory, because an upload that a crash cut off was never acknowledged.
 */
export interface Lease {
  holdChunks(ids: readonly Uint8Array[]): void
  holdFlist(id: FlistId): void
  release(): void
}

export interface Leases {
  open(): Lease
  /** Holds chunks until a time, across restarts: what `POST /api/v1/chunks/missing` promises. */
  holdUntil(ids: readonly Uint8Array[], untilS: number): Promise<void>
  holdsChunk(id: Uint8Array): boolean
  holdsFlist(id: FlistId): boolean
}
