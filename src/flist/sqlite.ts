import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import sqlite from 'node-sqlite3-wasm'
import { DiskFullError, LimitError } from '../errors.ts'
import { KIB } from '../util/units.ts'
import { FLIST_LIMITS } from './limits.ts'

/**
 * `flistdb.sqlite3` (flist-v1.md §2), written. SQLite is WebAssembly here and works on files: each database lies in a
 * fresh folder of its own below the given one, which goes with it, whatever happens in between.
 */
const ENTRIES = 'CREATE TABLE entries (key VARCHAR(64) PRIMARY KEY, value BLOB)'
const METADATA = 'CREATE TABLE metadata (key VARCHAR(64) PRIMARY KEY, value TEXT)'

/** Takes a database piece by piece; a piece is good until the next one is asked for. */
export type UseOfDatabase<T> = (sizeBytes: number, pieces: Iterable<Uint8Array>) => T
const PIECE_BYTES = 256 * KIB

/** A database in the making. Equal calls give equal bytes: nothing of the clock or the host gets in. */
export class DatabaseWriter {
  readonly #folder: string
  readonly #path: string
  readonly #database: sqlite.Database
  readonly #insert: sqlite.Statement
  readonly #maxBytes: number
  #bytes = 0

  constructor(temporaryDirectory: string, maxBytes: number = FLIST_LIMITS.maxDatabaseBytes) {
    this.#maxBytes = maxBytes
    this.#folder = mkdtempSync(join(temporaryDirectory, 'flist-'))
    this.#path = join(this.#folder, 'flistdb.sqlite3')
    this.#database = new sqlite.Database(this.#path)
    this.#database.exec(
      'PRAGMA page_size=4096; PRAGMA encoding="UTF-8"; PRAGMA auto_vacuum=NONE; PRAGMA locking_mode=EXCLUSIVE;' +
        `PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA cache_size=-4096; BEGIN; ${ENTRIES}; ${METADATA}`,
    )
    this.#insert = this.#database.prepare('INSERT INTO entries VALUES (?, ?)')
  }

  /** @throws {LimitError} when the database grows too large; {DiskFullError} */
  entry(key: string, value: Uint8Array): void {
    this.#bytes += value.length
    if (this.#bytes > this.#maxBytes) throw new LimitError('database of a flist', this.#maxBytes, 'bytes')
    writing(() => this.#insert.run([key, value]))
  }

  /** A row of the metadata table; the last one of a key stays. Bytes are taken for UTF-8, and kept if they are not. */
  metadata(key: string | Uint8Array, value: string | Uint8Array): void {
    const sql = 'INSERT OR REPLACE INTO metadata VALUES (CAST(? AS TEXT), CAST(? AS TEXT))'
    writing(() => this.#database.run(sql, [key, value]))
  }

  /** Answers what `use` makes of the database, which goes after that; the writer is used up. */
  finish<T>(use: UseOfDatabase<T>): T {
    try {
      this.#insert.finalize()
      writing(() => this.#database.exec('COMMIT'))
      this.#database.close()
      return readPieces(this.#path, use)
    } finally {
      this.abort()
    }
  }

  /** Leaves nothing behind; may be called at any time, more than once. */
  abort(): void {
    discard(this.#database, this.#folder, [this.#insert])
  }
}

function readPieces<T>(path: string, use: UseOfDatabase<T>): T {
  const file = openSync(path, 'r')
  try {
    return use(fstatSync(file).size, piecesOf(file))
  } finally {
    closeSync(file)
  }
}

function* piecesOf(file: number): Generator<Uint8Array> {
  const piece = new Uint8Array(PIECE_BYTES)
  for (let length = readSync(file, piece); length > 0; length = readSync(file, piece)) {
    yield piece.subarray(0, length)
  }
}

function discard(
  database: sqlite.Database | undefined,
  folder: string,
  statements: readonly sqlite.Statement[] = [],
): void {
  try {
    for (const statement of statements) if (!statement.isFinalized) statement.finalize()
    if (database?.isOpen === true) database.close()
  } catch {
    // a database that broke cannot be closed in order; its file goes all the same
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

function writing<T>(write: () => T): T {
  try {
    return write()
  } catch (cause) {
    if (cause instanceof Error && cause.message.includes('full')) {
      throw new DiskFullError('no room for a flist in the making', { cause })
    }
    throw cause
  }
}
