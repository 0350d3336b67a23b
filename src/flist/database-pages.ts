import { closeSync, mkdtempSync, openSync, readSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MalformedError } from '../errors.ts'
import type { SqlitePages } from '../format/sqlite-file.ts'
import { LruCache } from '../util/lru.ts'
import { MIB } from '../util/units.ts'
import { checkHeader } from './sqlite-rules.ts'

/** The pages of a database that is being read; to be closed. */
export interface DatabasePages extends SqlitePages {
  close(): void
}

/** The database itself. @throws {MalformedError} when that is no sqlite file, or one that readers of flists cannot open. */
export function pagesInMemory(database: Uint8Array): DatabasePages {
  const { pageBytes, reservedBytes, pages: count } = checkHeader(database)
  const page = (number: number) => database.subarray((number - 1) * pageBytes, number * pageBytes)
  return { pageBytes, reservedBytes, count, page, close: () => {} }
}

/** Of pages in a file. */
const KEPT_BYTES = 2 * MIB

/** A file below this folder, for who has many open. @throws {MalformedError} as `pagesInMemory`. */
export function pagesInFile(database: Uint8Array, temporaryDirectory: string): DatabasePages {
  const { pageBytes, reservedBytes, pages: count } = checkHeader(database)
  const folder = mkdtempSync(join(temporaryDirectory, 'flist-'))
  const remove = () => rmSync(folder, { recursive: true, force: true })
  let file: number | undefined
  try {
    const path = join(folder, 'flistdb.sqlite3')
    writeFileSync(path, database)
    file = openSync(path, 'r')
  } catch (error) {
    remove()
    throw error
  }
  const open = file
  const kept = new LruCache<Uint8Array>(KEPT_BYTES)
  const page = (number: number) => {
    const known = kept.get(String(number))
    if (known !== undefined) return known
    const bytes = new Uint8Array(pageBytes)
    if (readSync(open, bytes, 0, pageBytes, (number - 1) * pageBytes) < pageBytes) {
      throw new MalformedError('flist', `not a flist: page ${number} of its database is gone`)
    }
    kept.set(String(number), bytes, pageBytes)
    return bytes
  }
  const close = () => {
    if (file !== undefined) closeSync(file)
    file = undefined
    remove()
  }
  return { pageBytes, reservedBytes, count, page, close }
}
