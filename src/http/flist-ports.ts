/** What http needs of flist/, as narrow as it uses it. */
import type { FlistCounts } from '../flist/entry.ts'
import type { FlistInspector } from '../flist/inspector.ts'
import type { Lease, NewFlist } from '../store/flist-store.ts'
import type { AbortOptions } from '../util/units.ts'

/** Reads flists of anybody, out of this thread. */
export type Inspector = Pick<
  FlistInspector,
  'survey' | 'metadata' | 'find' | 'entries' | 'render' | 'canonical'
>

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
