import type { MessagePort } from 'node:worker_threads'
import type { FlistCounts } from './entry.ts'
import type { IngestLimits } from './ingest-limits.ts'
import type { PackedError } from './worker-errors.ts'

/**
 * What the threads of an upload tell each other. The main thread stands between the two workers; each upload has a
 * port of its own to the ingest worker, so nothing of an earlier one can reach it.
 */
export interface IngestJob {
  readonly port: MessagePort
  readonly limits: IngestLimits
  readonly isLayered: boolean
}

/** Main thread to ingest worker. */
export type ToIngest =
  /** Bytes of the archive; the memory comes back with `taken`. */
  | { readonly type: 'piece'; readonly bytes: Uint8Array<ArrayBuffer> }
  /** The archive ends, and a layer over it begins. */
  | { readonly type: 'nextLayer' }
  | { readonly type: 'end' }
  /** The ids of a slab's blocks stand in the memory; once they are read it may be filled again. */
  | { readonly type: 'identified'; readonly slab: number }
  | { readonly type: 'runWritten' }
  | { readonly type: 'page'; readonly bytes: Uint8Array }
  | { readonly type: 'metadata'; readonly rows: ReadonlyArray<readonly [key: string, value: string]> }

/** Ingest worker to main thread. */
export type FromIngest =
  | { readonly type: 'taken'; readonly buffer: ArrayBuffer }
  | { readonly type: 'slab'; readonly slab: number; readonly blocks: number }
  | { readonly type: 'writeRun'; readonly run: number; readonly pages: readonly Uint8Array[] }
  | { readonly type: 'readPage'; readonly run: number; readonly page: number }
  | { readonly type: 'needMetadata' }
  /** Ids of all chunks that came, one behind the other; the tree is not built yet. */
  | { readonly type: 'chunks'; readonly ids: Uint8Array<ArrayBuffer> }
  | { readonly type: 'done'; readonly made: MadeFlist }
  | { readonly type: 'failed'; readonly error: PackedError }

export interface MadeFlist {
  readonly bytes: Uint8Array
  /** Ids of its chunks, one behind the other; `undefined`: all that came. */
  readonly chunkIds: Uint8Array<ArrayBuffer> | undefined
  readonly counts: FlistCounts
}

/** Main thread to encode worker; each is answered by `undefined`, or by an error. */
export interface EncodeJob {
  readonly slab: number
  readonly blocks: number
}
export type EncodeAnswer = PackedError | undefined

/** What both workers are started with. */
export interface SharedMemory {
  readonly memory: WebAssembly.Memory
}
