import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import sqlite from 'node-sqlite3-wasm'
import { MalformedError } from '../../src/errors.ts'
import { SqliteWriter } from '../../src/format/sqlite-writer.ts'
import { fuzzRuns } from '../doubles/golden.ts'
import { noise } from '../doubles/noise.ts'
import { temporaryFolder } from '../doubles/temporary-folder.ts'

const folder = temporaryFolder()
const SCHEMA = {
  blobs: 'CREATE TABLE blobs (key VARCHAR(64) PRIMARY KEY, value BLOB)',
  texts: 'CREATE TABLE texts (key VARCHAR(64) PRIMARY KEY, value TEXT)',
}

const MOST_LOOKUPS = 2_000

type Row = readonly [key: string, value: Uint8Array]

function fileOf(rows: readonly Row[]): Uint8Array {
  const file = new SqliteWriter(SCHEMA)
  for (const [key, value] of rows) file.add('blobs', Buffer.from(key), { blob: value })
  file.add('texts', Buffer.from('a key'), { text: Buffer.from('é') })
  return Buffer.concat(file.finish())
}

/** Reads by SQLite itself, which looks through every page first. */
function check(rows: readonly Row[]): void {
  const path = join(folder.path, 'file.sqlite3')
  writeFileSync(path, fileOf(rows))
  const database = new sqlite.Database(path, { readOnly: true })
  try {
    assert.deepEqual(database.all('PRAGMA integrity_check(3)'), [{ integrity_check: 'ok' }])
    const [{ pages } = {}] = database.all('SELECT page_count AS pages FROM pragma_page_count') as Array<{
      pages?: number
    }>
    assert.ok(Number(pages) >= 5)
    const read = database.all('SELECT rowid, key, value FROM blobs ORDER BY rowid') as Array<{
      key: string
      value: Uint8Array
    }>
    assert.deepEqual(
      read.map(({ key }) => key),
      rows.map(([key]) => key),
    )
    for (const [at, { value }] of read.entries())
      assert.ok(Buffer.from(rows[at]?.[1] ?? []).equals(value), `row ${at} differs`)
    const sorted = database.all('SELECT key FROM blobs ORDER BY key') as Array<{ key: string }>
    assert.deepEqual(
      sorted.map(({ key }) => key),
      rows.map(([key]) => key).toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
    )
    const lookup = database.prepare('SELECT rowid AS row FROM blobs WHERE key = ?')
    const step = Math.ceil(rows.length / MOST_LOOKUPS) // those of a large file took half a minute
    for (let at = 0; at < rows.length; at += step)
      assert.equal((lookup.get(rows[at]?.[0] ?? '') as { row: number }).row, at + 1)
    lookup.finalize()
    assert.deepEqual(database.all('SELECT * FROM texts'), [{ key: 'a key', value: 'é' }])
  } finally {
    database.close()
  }
}

const keyOf = (seed: number) => Buffer.from(noise(seed, 16)).toString('hex')

describe('SqliteWriter', () => {
  it('is a database to SQLite, whatever the rows', () => {
    const lengths = fc.oneof(fc.nat(200), fc.nat(5_000), fc.nat(20_000))
    const keys = fc.oneof(fc.string({ unit: 'grapheme-ascii', maxLength: 60 }), fc.nat(1_000_000).map(keyOf))
    const rows = fc.uniqueArray(fc.tuple(keys, lengths), { selector: ([key]) => key, maxLength: 300 })
    fc.assert(
      fc.property(rows, (list) => check(list.map(([key, length], at) => [key, noise(at, length)] as const))),
      { numRuns: fuzzRuns(30) },
    )
  })

  it('grows trees of every depth, and ends each level with a page that is not empty', () => {
    // An index leaf takes 97 keys of 32 bytes: around every number at which a page, and then a level, is added.
    const counts = [0, 1, 2, ...Array.from({ length: 12 }, (_, at) => 90 + at), 194, 195, 196, 197, 198]
    for (const count of [...counts, 9_500, 40_000])
      check(Array.from({ length: count }, (_, at) => [keyOf(at), noise(at, at % 40)] as const))
  })

  it('splits payloads where SQLite does', () => {
    for (let length = 4_000; length < 4_100; length += 3) check([['k', noise(1, length)]])
    for (let length = 8_080; length < 8_280; length += 7) check([['k', noise(1, length)]])
    check([['k', noise(1, 1_000_000)]])
    for (const length of [900, 994, 995, 996, 997, 998, 999, 1_000, 1_200, 5_000, 9_000])
      check(Array.from({ length: 40 }, (_, at) => [`${at}`.padEnd(length, 'x'), noise(at, 10)] as const))
  })

  it('refuses a key that is there twice', () => {
    assert.throws(() => fileOf([['a', noise(1, 1)], ['b', noise(1, 1)], ['a', noise(2, 2)]]), MalformedError) // prettier-ignore
  })
})
