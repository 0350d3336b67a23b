import { MIB } from '../util/units.ts'

/**
 * What a flist may be before reading it stops, and building it too: what we write we can read. Security.md rows 1,
 * 3 and 5; each is an option. Of a million entries the database takes 200 to 400 MB.
 */
export interface FlistLimits {
  /** Of the file as it is uploaded and stored. */
  readonly maxFileBytes: number
  /** Of the sqlite database inside. */
  readonly maxDatabaseBytes: number
  /** Inodes below the root. */
  readonly maxEntries: number
  /** Of a whole path, in bytes; PATH_MAX of Linux. It bounds the depth too. */
  readonly maxPathBytes: number
  /** Folders in folders. Ingest refuses archives much earlier; flists of others are only kept from the absurd. */
  readonly maxDepth: number
}

export const FLIST_LIMITS: FlistLimits = {
  maxFileBytes: 256 * MIB,
  maxDatabaseBytes: 512 * MIB,
  maxEntries: 1_000_000,
  maxPathBytes: 4096,
  maxDepth: 256,
}
