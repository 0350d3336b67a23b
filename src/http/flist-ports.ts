/** What http needs of flist/: structural, so that it can be doubled. */
import type { FlistCounts, FlistEntry } from '../flist/entry.ts'
import type { Lease, NewFlist } from '../store/flist-store.ts'
import type { AbortOptions } from '../util/units.ts'

export interface ChunkAddress {
  readonly namespace: string
  readonly host: string
  readonly port: number
}

export interface DumpLine {
  readonly size: number
  /** With a leading `/`; what is no UTF-8 shows as U+FFFD. */
  readonly path: string
}

export interface Dump {
  readonly counts: FlistCounts
  readonly content: readonly DumpLine[]
}

/** Reads flists of strangers, out of this thread. @throws {MalformedError} when the bytes are no flist. */
export interface FlistReader {
  dump(bytes: Uint8Array, options?: AbortOptions): Promise<Dump>
  /** Counters and metadata rows, without the tree. */
  summary(
    bytes: Uint8Array,
    options?: AbortOptions,
  ): Promise<{ readonly counts: FlistCounts; readonly metadata: ReadonlyMap<string, string> }>
  /** Key, value; in key order. */
  metadata(bytes: Uint8Array, options?: AbortOptions): Promise<ReadonlyMap<string, string>>
  /** Entries in stored order, the root first. */
  entries(bytes: Uint8Array, options?: AbortOptions): AsyncIterable<FlistEntry>
  /** The flist with this `backend` row in place of its own; its other rows untouched. */
  render(bytes: Uint8Array, backend: string, options?: AbortOptions): Promise<Uint8Array>
  /** The canonical form of a foreign flist, checked whole: without the addresses in `drop`. */
  adopt(
    bytes: Uint8Array,
    format: NewFlist['format'],
    options?: AbortOptions,
  ): Promise<{ readonly flist: NewFlist; readonly dump: Dump }>
  /** The tar archive of an flist. */
  tar(bytes: Uint8Array, options?: AbortOptions): AsyncIterable<Uint8Array>
  /** Plain bytes of one file. */
  file(entry: FlistEntry, options?: AbortOptions): AsyncIterable<Uint8Array>
}

export interface IngestOptions extends AbortOptions {
  /** Asked once the archive has ended. */
  readonly metadata: () => ReadonlyMap<string, string>
  readonly lease: Lease
}

/** Archive in, chunks stored, flist out. @throws {MalformedError | LimitError | DiskFullError}. */
export type Ingest = (
  archive: AsyncIterable<Uint8Array>,
  options: IngestOptions,
) => Promise<{ readonly flist: NewFlist; readonly counts: FlistCounts }>
