import { LimitError } from '../errors.ts'
import { SqliteWriter } from '../format/sqlite-writer.ts'
import { fromUtf8, toLatin1 } from '../util/bytes.ts'
import { FLIST_LIMITS } from './limits.ts'

/** The tables of `flistdb.sqlite3` (flist-v1.md §2). */
const ENTRIES = 'CREATE TABLE entries (key VARCHAR(64) PRIMARY KEY, value BLOB)'
const METADATA = 'CREATE TABLE metadata (key VARCHAR(64) PRIMARY KEY, value TEXT)'

/** Takes a database piece by piece. */
export type UseOfDatabase<T> = (sizeBytes: number, pieces: Iterable<Uint8Array>) => T

/** A database in the making, in memory. Equal calls give equal bytes: nothing of the clock or the host gets in. */
export class DatabaseWriter {
  readonly #file = new SqliteWriter({ entries: ENTRIES, metadata: METADATA })
  readonly #metadata = new Map<string, { readonly key: Uint8Array; readonly value: Uint8Array }>()
  readonly #maxBytes: number
  #bytes = 0

  constructor(maxBytes: number = FLIST_LIMITS.maxDatabaseBytes) {
    this.#maxBytes = maxBytes
  }

  /** Keys differ. @throws {LimitError} when the database grows too large. */
  entry(key: string | Uint8Array, value: Uint8Array): void {
    this.#bytes += value.length
    if (this.#bytes > this.#maxBytes) throw new LimitError('database of a flist', this.#maxBytes, 'bytes')
    this.#file.add('entries', bytesOfText(key), { blob: value })
  }

  /** A row of the metadata table; the last one of a key stays. Bytes are taken for UTF-8, and kept if they are not. */
  metadata(key: string | Uint8Array, value: string | Uint8Array): void {
    const row = { key: bytesOfText(key), value: bytesOfText(value) }
    this.#metadata.delete(toLatin1(row.key))
    this.#metadata.set(toLatin1(row.key), row)
  }

  /** Answers what `use` makes of the database; the writer is used up. */
  finish<T>(use: UseOfDatabase<T>): T {
    for (const { key, value } of this.#metadata.values()) this.#file.add('metadata', key, { text: value })
    const pieces = this.#file.finish()
    return use(
      pieces.reduce((sum, { length }) => sum + length, 0),
      pieces,
    )
  }
}

function bytesOfText(text: string | Uint8Array): Uint8Array {
  return typeof text === 'string' ? fromUtf8(text) : text
}
