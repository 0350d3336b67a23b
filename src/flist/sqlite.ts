import { closeSync, fstatSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import sqlite from 'node-sqlite3-wasm'
import { DiskFullError, LimitError, MalformedError } from '../errors.ts'
import { MAX_MESSAGE_BYTES } from '../format/capnp.ts'
import { EMPTY, toUtf8 } from '../util/bytes.ts'
import { KIB, MIB } from '../util/units.ts'
import { FLIST_LIMITS } from './limits.ts'
import { checkHeader, checkSchema } from './sqlite-rules.ts'

/**
 * `flistdb.sqlite3` (flist-v1.md §2), written and read. SQLite is WebAssembly here and works on files: each database
 * lies in a fresh folder of its own below the given one, which goes with it, whatever happens in between.
 * In exclusive mode a lookup takes 4 µs; without it each locks and unlocks the file, 150 µs.
 */
const ENTRIES = 'CREATE TABLE entries (key VARCHAR(64) PRIMARY KEY, value BLOB)'
const METADATA = 'CREATE TABLE metadata (key VARCHAR(64) PRIMARY KEY, value TEXT)'

/** Of all metadata rows of a flist together: a readme of 1 MiB in JSON, and 64 fields of an upload of 64 KiB. */
const MAX_METADATA_BYTES = 16 * MIB
const MAX_METADATA_ROWS = 10_000

/** Pages that a reader keeps in memory. */
const CACHE_KIB = 16_384

/** Takes a database piece by piece; a piece is good until the next one is asked for. */
export type UseOfDatabase<T> = (sizeBytes: number, pieces: Iterable<Uint8Array>) => T
const PIECE_BYTES = 256 * KIB

type Row = Record<string, number | bigint | string | Uint8Array | null>

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

/**
 * A database of a stranger, opened read-only: security.md row 5. Header, schema and the b-trees themselves are checked
 * before anything is looked up, so that a lookup and a scan cannot tell different stories.
 * Every method may throw {MalformedError}: a page that lies shows when it is read.
 */
export class DatabaseReader {
  readonly #folder: string
  #database: sqlite.Database | undefined
  #lookup: sqlite.Statement | undefined
  #hasMetadata = false

  /** @throws {MalformedError} */
  constructor(bytes: Uint8Array, temporaryDirectory: string, cacheKib = CACHE_KIB) {
    checkHeader(bytes)
    this.#folder = mkdtempSync(join(temporaryDirectory, 'flist-'))
    try {
      this.#open(bytes, cacheKib)
    } catch (error) {
      this.close()
      throw error
    }
  }

  #open(bytes: Uint8Array, cacheKib: number): void {
    const path = join(this.#folder, 'flistdb.sqlite3')
    writeFileSync(path, bytes)
    reading(() => {
      const database = new sqlite.Database(path, { readOnly: true })
      this.#database = database
      database.exec(
        'PRAGMA locking_mode=EXCLUSIVE; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON; PRAGMA mmap_size=0;' +
          `PRAGMA query_only=ON; PRAGMA cache_size=-${cacheKib}`,
      )
      this.#hasMetadata = checkSchema(database.all('SELECT type, name, tbl_name, sql FROM sqlite_schema'))
      const [verdict] = database.all('PRAGMA integrity_check(1)') as Row[]
      if (verdict?.['integrity_check'] !== 'ok') throw malformed(String(verdict?.['integrity_check']))
      this.#lookup = database.prepare(
        `SELECT CASE WHEN typeof(value) = 'blob' AND length(value) <= ${MAX_MESSAGE_BYTES} THEN value END AS value ` +
          'FROM entries WHERE key = ?',
      )
    })
  }

  /** The row of a key: its bytes, `null` when it has something else than a BLOB of bearable size, or `undefined`. */
  value(key: string): Uint8Array | null | undefined {
    const row = reading(() => this.#lookup?.get(key)) as Row | null | undefined
    if (row === null || row === undefined) return undefined
    return row['value'] instanceof Uint8Array ? row['value'] : null
  }

  /** Rows of `entries` that are no text with a BLOB. */
  strayRows(): number {
    const sql = "SELECT count(*) AS n FROM entries WHERE typeof(key) <> 'text' OR typeof(value) <> 'blob'"
    return Number((this.#query(sql)[0] ?? {})['n'] ?? 0)
  }

  /** Text rows in key order; what is no UTF-8 becomes U+FFFD. @throws {LimitError} */
  metadata(): Array<[key: string, text: string]> {
    return this.metadataRows().map(([key, value]) => [toUtf8(key), toUtf8(value)])
  }

  /** The same as they are. @throws {LimitError} */
  metadataRows(): Array<[key: Uint8Array, value: Uint8Array]> {
    if (!this.#hasMetadata) return []
    const [size] = this.#query(
      'SELECT count(*) AS n, total(octet_length(key) + octet_length(value)) AS bytes FROM metadata',
    )
    if (Number(size?.['n']) > MAX_METADATA_ROWS) {
      throw new LimitError('metadata of a flist', MAX_METADATA_ROWS, 'rows')
    }
    if (Number(size?.['bytes']) > MAX_METADATA_BYTES) {
      throw new LimitError('metadata of a flist', MAX_METADATA_BYTES, 'bytes')
    }
    const sql =
      'SELECT CAST(key AS BLOB) AS key, CAST(value AS BLOB) AS value FROM metadata ' +
      "WHERE typeof(key) = 'text' AND value IS NOT NULL ORDER BY key"
    return this.#query(sql).map(({ key, value }) => [bytesOf(key), bytesOf(value)])
  }

  /** Copies the rows as they are and in their order, metadata by key, with these metadata rows set, or dropped. */
  rewrite<T>(changes: ReadonlyMap<string, string | null>, use: UseOfDatabase<T>): T {
    const writer = new DatabaseWriter(this.#folder)
    try {
      this.#copyEntries(writer)
      for (const [key, value] of this.metadataRows())
        if (!changes.has(toUtf8(key))) writer.metadata(key, value)
      for (const [key, value] of changes) if (value !== null) writer.metadata(key, value)
      return writer.finish(use)
    } finally {
      writer.abort()
    }
  }

  #copyEntries(writer: DatabaseWriter): void {
    const sql = `SELECT key, value FROM entries WHERE typeof(key) = 'text' AND typeof(value) = 'blob' AND length(value) <= ${MAX_MESSAGE_BYTES} ORDER BY rowid`
    const statement = reading(() => this.#database?.prepare(sql))
    try {
      const rows = statement?.iterate() as IterableIterator<Row>
      for (let next = reading(() => rows.next()); next.done !== true; next = reading(() => rows.next())) {
        const { key, value } = next.value
        if (typeof key === 'string' && value instanceof Uint8Array) writer.entry(key, value)
      }
    } finally {
      statement?.finalize()
    }
  }

  close(): void {
    discard(this.#database, this.#folder, this.#lookup === undefined ? [] : [this.#lookup])
  }

  #query(sql: string): Row[] {
    return reading(() => this.#database?.all(sql) ?? []) as Row[]
  }
}

function bytesOf(value: Row[string] | undefined): Uint8Array {
  return value instanceof Uint8Array ? value : EMPTY
}

/** What SQLite says about a stranger's file is about the file. */
function reading<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (cause instanceof sqlite.SQLite3Error) throw malformed(cause.message, { cause })
    throw cause
  }
}

function malformed(reason: string, options?: ErrorOptions): MalformedError {
  return new MalformedError('flist', `not a flist: its database does not read: ${reason}`, options)
}
