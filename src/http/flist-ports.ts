/** What http needs of the ingest, and of where images come from, as narrow as it uses them. */
import type { Images } from '../image/images.ts'
import type { FlistCounts } from '../flist/entry.ts'
import type { FlistMerger } from '../flist/merger.ts'
import type { Lease, NewFlist } from '../store/flist-store.ts'
import type { AbortOptions } from '../util/units.ts'

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

/** The same of the layers of an image, the lowest first. */
export type IngestLayers = (
  layers: AsyncIterable<AsyncIterable<Uint8Array>>,
  options: IngestOptions,
) => Promise<{ readonly flist: NewFlist; readonly counts: FlistCounts }>

export type ImageSource = Pick<Images, 'pull' | 'openArchive'>

export type Merger = Pick<FlistMerger, 'merge'>
