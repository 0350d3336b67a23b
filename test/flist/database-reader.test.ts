import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import sqlite from 'node-sqlite3-wasm'
import { MalformedError } from '../../src/errors.ts'
import { pagesInFile, pagesInMemory } from '../../src/flist/database-pages.ts'
import { DatabaseReader } from '../../src/flist/database-reader.ts'
import { noise } from '../doubles/noise.ts'
import { temporaryFolder } from '../doubles/temporary-folder.ts'

const folder = temporaryFolder()
const path = join(folder.path, 'made.sqlite3')

interface Plan {
  readonly pageBytes: number
  readonly rows: ReadonlyArray<readonly [key: string, valueBytes: number]>
  /** Rows deleted again: of so many the first. */
  readonly deleteEach: number
  readonly hasSecondIndex: boolean
}

/** A database as SQLite writes it, with what is in it. */
function made({ pageBytes, rows, deleteEach, hasSecondIndex }: Plan) {
  writeFileSync(path, '')
  const database = new sqlite.Database(path)
  const held = new Map<string, Uint8Array>()
  try {
    database.exec(
      `PRAGMA page_size=${pageBytes}; PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; BEGIN;` +
        'CREATE TABLE entries (key VARCHAR(64) PRIMARY KEY, value BLOB);' +
        (hasSecondIndex ? 'CREATE INDEX entries_index ON entries (key);' : ''),
    )
    for (const [at, [key, valueBytes]] of rows.entries()) {
      held.set(key, noise(at, valueBytes))
      database.run('INSERT OR REPLACE INTO entries VALUES (?, ?)', [key, noise(at, valueBytes)])
    }
    for (const [at, [key]] of rows.entries()) {
      if (at % deleteEach !== 0) continue
      held.delete(key)
      database.run('DELETE FROM entries WHERE key = ?', [key])
    }
    database.exec('COMMIT')
  } finally {
    database.close()
  }
  return { bytes: readFileSync(path), held }
}

const plans = fc.record({
  pageBytes: fc.constantFrom(512, 1024, 4096, 65_536),
  rows: fc.array(
    fc.tuple(
      fc
        .oneof(fc.string({ maxLength: 12 }), fc.string({ minLength: 300, maxLength: 900 }))
        .map((key) => key.replaceAll('\0', '')),
      fc.oneof(fc.nat({ max: 80 }), fc.nat({ max: 9_000 })),
    ),
    { maxLength: 120 },
  ),
  deleteEach: fc.integer({ min: 2, max: 9 }),
  hasSecondIndex: fc.boolean(),
})

function using<T>(reader: DatabaseReader, use: (reader: DatabaseReader) => T): T {
  try {
    return use(reader)
  } finally {
    reader.close()
  }
}

describe('DatabaseReader, beside SQLite', () => {
  it('finds what SQLite wrote, whatever the pages, from memory and from a file', () => {
    fc.assert(
      fc.property(plans, fc.boolean(), (plan, isFile) => {
        const { bytes, held } = made(plan)
        const pages = isFile ? pagesInFile(bytes, folder.path) : pagesInMemory(bytes)
        using(new DatabaseReader(pages), (reader) => {
          assert.equal(reader.strayRows(), 0)
          for (const [key] of plan.rows) {
            const value = reader.value(key)
            const expected = held.get(key)
            assert.deepEqual(value && Buffer.from(value), expected && Buffer.from(expected), key)
          }
        })
      }),
      { numRuns: 60 },
    )
  })

  const rows = Array.from({ length: 90 }, (_, at) => [`key ${at * 7919}`, at % 9 === 0 ? 3_000 : 60] as const)
  const { bytes: good } = made({ pageBytes: 1024, rows, deleteEach: 1_000, hasSecondIndex: true })

  it('refuses an index that tells of other keys than its table', () => {
    const key = Buffer.from('key 79190')
    let refused = 0
    for (let at = good.indexOf(key); at >= 0; at = good.indexOf(key, at + 1)) {
      const bad = Buffer.from(good)
      bad.write('key 79191', at)
      if (isRefused(bad)) refused++
    }
    assert.equal(refused, 3) // in the table, and in both indexes; other places are left over from before pages were split
  })

  it('sees what SQLite sees, or refuses it, when bytes change', () => {
    let [read, refused] = [0, 0]
    for (let seed = 0; seed < 150; seed++) {
      const bytes = Buffer.from(good)
      const [a = 0, b = 0, c = 0, value = 0] = noise(seed, 4)
      // of a page's first bytes mostly, where its structure is
      const page = ((a << 8) | b) % (bytes.length / 1024)
      bytes[page * 1024 + (seed % 3 === 0 ? c * 4 : c % 32)] = value
      if (isRefused(bytes)) refused++
      else {
        read++
        using(new DatabaseReader(pagesInMemory(bytes)), (reader) => compare(reader, bytes))
      }
    }
    assert.ok(read > 20 && refused > 20, `${read} read, ${refused} refused`)
  })

  function isRefused(bytes: Uint8Array): boolean {
    try {
      new DatabaseReader(pagesInMemory(bytes)).close()
      return false
    } catch (error) {
      assert.ok(error instanceof MalformedError, String(error))
      return true
    }
  }

  /** What SQLite finds by the index is what we find. */
  function compare(reader: DatabaseReader, bytes: Uint8Array): void {
    writeFileSync(path, bytes)
    const database = new sqlite.Database(path, { readOnly: true })
    try {
      database.exec('PRAGMA locking_mode=EXCLUSIVE')
      for (const [key] of rows) {
        const row = database.get('SELECT value FROM entries WHERE key = ?', [key])
        const value = row?.['value']
        const expected =
          value === undefined ? undefined : value instanceof Uint8Array ? Buffer.from(value) : null
        const ours = reader.value(key)
        assert.deepEqual(ours && Buffer.from(ours), expected, key)
      }
    } catch (error) {
      if (!(error instanceof sqlite.SQLite3Error)) throw error // it sees less than we do
    } finally {
      database.close()
    }
  }
})
