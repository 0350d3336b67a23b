import { GIB, HOUR_MS, KIB, MIB } from '../util/units.ts'

/** What an archive may be before taking it in stops. Security.md row 1; each is an option of ingest. */
export interface IngestLimits {
  /** As it comes in. */
  readonly maxArchiveBytes: number
  /** Of the tar stream inside, and of all files with their holes filled. */
  readonly maxPlainBytes: number
  /** Plain bytes for one that came in, once `ratioFreeBytes` are out; blocks of zeros do not count. */
  readonly maxRatio: number
  readonly ratioFreeBytes: number
  /** Members, whatever their kind. */
  readonly maxEntries: number
  /** Of all extension headers before one member together, and of the global ones. */
  readonly maxPaxBytes: number
  /** Of a member's whole path, and its parts. */
  readonly maxPathBytes: number
  readonly maxDepth: number
  /** Pieces of content of one sparse file. */
  readonly maxSparseSegments: number
  /** A larger readme is content, and no metadata. */
  readonly maxReadmeBytes: number
  /** Time spent on an archive, without that spent waiting for its sender. */
  readonly maxWorkMs: number
  /** Entries kept in memory; what is beyond goes to the row store in sorted runs of this length. */
  readonly maxEntriesInMemory: number
}

export const INGEST_LIMITS: IngestLimits = {
  maxArchiveBytes: 4 * GIB,
  maxPlainBytes: 20 * GIB,
  maxRatio: 200,
  ratioFreeBytes: 64 * MIB,
  maxEntries: 1_000_000,
  maxPaxBytes: 64 * KIB,
  maxPathBytes: 4096,
  maxDepth: 64,
  maxSparseSegments: 262_144,
  maxReadmeBytes: 1 * MIB,
  maxWorkMs: 1 * HOUR_MS,
  maxEntriesInMemory: 200_000,
}
