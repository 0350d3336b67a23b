import { LimitError, MalformedError } from '../errors.ts'
import { MAX_MESSAGE_BYTES } from '../format/capnp.ts'
import { readColumns, readNumber, SqliteTrees } from '../format/sqlite-file.ts'
import type { Column } from '../format/sqlite-file.ts'
import { fromUtf8, toUtf8 } from '../util/bytes.ts'
import { MIB } from '../util/units.ts'
import type { DatabasePages } from './database-pages.ts'
import { KeyedTable } from './keyed-table.ts'
import { checkSchema, type SchemaRow } from './sqlite-rules.ts'
import { DatabaseWriter, type UseOfDatabase } from './database-writer.ts'

/** Of all metadata rows of a flist together: a readme of 1 MiB in JSON, and 64 fields of an upload of 64 KiB. */
const MAX_METADATA_BYTES = 16 * MIB
const MAX_METADATA_ROWS = 10_000

/** Its schema is on page 1. */
const SCHEMA_ROOT = 1
const SCHEMA_COLUMNS = 5
const MAX_SCHEMA_ROWS = 16
const MAX_SCHEMA_ROW_BYTES = 4096

/**
 * A database of a stranger: security.md row 5. It is read by code of our own, without SQLite and without SQL: header,
 * schema, and the b-trees of both tables and their indexes are checked before anything is looked up, so that a lookup
 * and a scan cannot tell different stories.
 */
export class DatabaseReader {
  readonly #pages: DatabasePages
  readonly #entries: KeyedTable
  readonly #metadata: KeyedTable | undefined

  /** Closes the pages, when it is closed or cannot be opened. @throws {MalformedError} */
  constructor(pages: DatabasePages) {
    this.#pages = pages
    try {
      const tables = reading(() => openTables(pages))
      this.#entries = tables.entries
      this.#metadata = tables.metadata
    } catch (error) {
      pages.close()
      throw error
    }
  }

  /** The row of a key: its bytes, `null` when it has something else than a BLOB of bearable size, or `undefined`. */
  value(key: string): Uint8Array | null | undefined {
    return reading(() => {
      const row = this.#entries.find(fromUtf8(key))
      if (row === undefined) return undefined
      const { record, value } = this.#entries.read(row)
      return isMessage(value) ? record.subarray(value.from, value.to) : null
    })
  }

  /** Rows of `entries` that are no text with a BLOB. */
  strayRows(): number {
    return this.#entries.strays
  }

  /** Text rows in key order; what is no UTF-8 becomes U+FFFD. @throws {LimitError} */
  metadata(): Array<[key: string, text: string]> {
    return this.metadataRows().map(([key, value]) => [toUtf8(key), toUtf8(value)])
  }

  /** The same as they are. @throws {LimitError} */
  metadataRows(): Array<[key: Uint8Array, value: Uint8Array]> {
    const table = this.#metadata
    if (table === undefined) return []
    if (table.count > MAX_METADATA_ROWS)
      throw new LimitError('metadata of a flist', MAX_METADATA_ROWS, 'rows')
    return reading(() => {
      let bytes = 0
      const rows: Array<[Uint8Array, Uint8Array]> = []
      for (const row of table.inKeyOrder()) {
        const { record, key, value } = table.read(row)
        bytes += key.to - key.from + value.to - value.from
        if (bytes > MAX_METADATA_BYTES)
          throw new LimitError('metadata of a flist', MAX_METADATA_BYTES, 'bytes')
        if (value.kind === 'number') throw new MalformedError('sqlite', 'a text is a number')
        if (value.kind === 'null') continue
        rows.push([record.slice(key.from, key.to), record.slice(value.from, value.to)])
      }
      return rows
    })
  }

  /** Copies the rows as they are and in their order, metadata by key, with these metadata rows set, or dropped. */
  rewrite<T>(changes: ReadonlyMap<string, string | null>, use: UseOfDatabase<T>): T {
    const writer = new DatabaseWriter()
    this.#copyEntries(writer)
    for (const [key, value] of this.metadataRows()) if (!changes.has(toUtf8(key))) writer.metadata(key, value)
    for (const [key, value] of changes) if (value !== null) writer.metadata(key, value)
    return writer.finish(use)
  }

  #copyEntries(writer: DatabaseWriter): void {
    for (let row = 0; row < this.#entries.count; row++) {
      const { record, key, value } = reading(() => this.#entries.read(row))
      if (key.kind !== 'text' || !isMessage(value)) continue
      writer.entry(record.subarray(key.from, key.to), record.subarray(value.from, value.to))
    }
  }

  close(): void {
    this.#pages.close()
  }
}

function isMessage({ kind, from, to }: Column): boolean {
  return kind === 'blob' && to - from <= MAX_MESSAGE_BYTES
}

interface SchemaEntry extends SchemaRow {
  readonly name: string
  readonly root: number
}

function openTables(pages: DatabasePages): { entries: KeyedTable; metadata: KeyedTable | undefined } {
  const trees = new SqliteTrees(pages)
  const schema = readSchema(trees)
  const hasMetadata = checkSchema(schema)
  const rootOf = (name: string) => {
    const found = schema.filter((row) => row.name === name)
    if (found.length === 1) return found[0]?.root ?? 0
    throw new MalformedError('sqlite', `it has ${found.length} × ${name}`)
  }
  const open = (table: string) => {
    const indexes = schema.filter((row) => row.type === 'index' && row.tbl_name === table)
    const own = rootOf(`sqlite_autoindex_${table}_1`)
    const others = indexes.map(({ root }) => root).filter((root) => root !== own)
    return new KeyedTable(trees, rootOf(table), [...others, own])
  }
  return { entries: open('entries'), metadata: hasMetadata ? open('metadata') : undefined }
}

function readSchema(trees: SqliteTrees): SchemaEntry[] {
  const rows: SchemaEntry[] = []
  trees.walkTable(SCHEMA_ROOT, ({ place, sizeBytes }) => {
    if (rows.length === MAX_SCHEMA_ROWS || sizeBytes > MAX_SCHEMA_ROW_BYTES)
      throw new MalformedError('sqlite', 'its schema is too large')
    const record = trees.record(place)
    const columns = readColumns(record, sizeBytes, SCHEMA_COLUMNS)
    const [type, name, table, root, sql] = columns.map((column) =>
      column.kind === 'number' ? readNumber(record, column) : toUtf8(record.subarray(column.from, column.to)),
    )
    rows.push({ type, name: String(name), tbl_name: table, root: Number(root), sql })
  })
  return rows
}

/** What is wrong with a stranger's file is about the file. */
function reading<T>(read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (!(cause instanceof MalformedError) || cause.format !== 'sqlite') throw cause
    throw new MalformedError('flist', `not a flist: its database does not read: ${cause.message}`, { cause })
  }
}
