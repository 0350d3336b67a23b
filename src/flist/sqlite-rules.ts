import { MalformedError } from '../errors.ts'
import { asBuffer } from '../util/bytes.ts'

/** What a stranger's sqlite file must look like before its trees are read. https://sqlite.org/fileformat2.html */
const MAGIC = 'SQLite format 3\0'
const HEADER_BYTES = 100
const ROLLBACK_JOURNAL = 1
const UTF8 = 1

export interface DatabaseShape {
  readonly pageBytes: number
  /** Of each page, at its end. */
  readonly reservedBytes: number
  readonly pages: number
}

/** @throws {MalformedError} */
export function checkHeader(bytes: Uint8Array): DatabaseShape {
  const header = asBuffer(bytes)
  if (bytes.length < HEADER_BYTES || header.toString('latin1', 0, 16) !== MAGIC) {
    throw refused('it is no sqlite 3 file')
  }
  const size = header.readUInt16BE(16)
  const pageBytes = size === 1 ? 65536 : size
  const pages = header.readUInt32BE(28)
  if (pageBytes < 512 || (pageBytes & (pageBytes - 1)) !== 0) throw refused(`its pages have ${size} bytes`)
  if (header[18] !== ROLLBACK_JOURNAL || header[19] !== ROLLBACK_JOURNAL) {
    throw refused('it is in WAL mode, which readers of flists cannot open')
  }
  if (header.readUInt32BE(56) !== UTF8) throw refused('its texts are not UTF-8')
  if (pages * pageBytes > bytes.length) throw refused('it is cut off')
  return { pageBytes, reservedBytes: header[20] ?? 0, pages }
}

export interface SchemaRow {
  readonly type?: unknown
  readonly name?: unknown
  readonly tbl_name?: unknown
  readonly sql?: unknown
}

const COLUMNS = (value: string) =>
  String.raw`\(\s*"?key"? (?:VARCHAR\(\d{1,4}\)|TEXT) PRIMARY KEY\s*,\s*"?value"? ${value}\s*\)`

/** The statements of every writer known, whatever their spaces; nothing computed, nothing checked, nothing virtual. */
const ALLOWED: ReadonlyArray<readonly [name: RegExp, sql: RegExp]> = [
  [/^entries$/, new RegExp(`^CREATE TABLE "?entries"?\\s*${COLUMNS('BLOB')}$`, 'i')],
  [/^metadata$/, new RegExp(`^CREATE TABLE "?metadata"?\\s*${COLUMNS('TEXT')}$`, 'i')],
  [/^entries_index$/, /^CREATE INDEX "?entries_index"? ON "?entries"?\s*\(\s*"?key"?\s*\)$/i],
  [/^sqlite_autoindex_(?:entries|metadata)_1$/, /^$/],
]

/**
 * The allow-list of security.md row 5: both tables and their indexes, and nothing else.
 * Answers whether there is a metadata table. @throws {MalformedError}
 */
export function checkSchema(rows: readonly SchemaRow[]): boolean {
  const names = new Set<string>()
  for (const row of rows) {
    const name = String(row.name)
    const sql = typeof row.sql === 'string' ? row.sql.replace(/\s+/g, ' ').trim() : ''
    if (!ALLOWED.some(([names, sqls]) => names.test(name) && sqls.test(sql))) {
      throw refused(
        `it holds the ${String(row.type)} ${JSON.stringify(name.slice(0, 64))}, which is no part of a flist`,
      )
    }
    names.add(name)
  }
  if (!names.has('entries')) throw refused('it has no table "entries"')
  return names.has('metadata')
}

function refused(reason: string): MalformedError {
  return new MalformedError('flist', `not a flist: ${reason}`)
}
