import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import sqlite from 'node-sqlite3-wasm'
import { LimitError, MalformedError } from '../../src/errors.ts'
import { pagesInFile, pagesInMemory } from '../../src/flist/database-pages.ts'
import { DatabaseReader } from '../../src/flist/database-reader.ts'
import { DatabaseWriter } from '../../src/flist/database-writer.ts'
import { noise } from '../doubles/noise.ts'
import { temporaryFolder } from '../doubles/temporary-folder.ts'

const folder = temporaryFolder()
let made = 0

/** Pieces lie in one place, one after the other. */
const whole = (_sizeBytes: number, pieces: Iterable<Uint8Array>) =>
  Buffer.concat(Array.from(pieces, (piece) => Buffer.from(piece)))

function written(rows: Iterable<readonly [string, Uint8Array]>): Uint8Array {
  const writer = new DatabaseWriter()
  for (const [key, value] of rows) writer.entry(key, value)
  writer.metadata('tags', 'x')
  return writer.finish(whole)
}

/** A database that a stranger made. */
function database(sql: string): Uint8Array {
  const path = join(folder.path, `made-${made++}`)
  const open = new sqlite.Database(path)
  open.exec(sql)
  open.close()
  return readFileSync(path)
}

function reading<T>(bytes: Uint8Array, use: (reader: DatabaseReader) => T): T {
  const reader = new DatabaseReader(pagesInMemory(bytes))
  try {
    return use(reader)
  } finally {
    reader.close()
  }
}

const ENTRIES = 'CREATE TABLE entries (key VARCHAR(64) PRIMARY KEY, value BLOB);'
const METADATA = 'CREATE TABLE metadata (key VARCHAR(64) PRIMARY KEY, value TEXT);'

describe('DatabaseWriter', () => {
  it('writes the schema, page size and journal mode of flist v1, keys as TEXT, values as BLOB', () => {
    const bytes = written([['ab', Buffer.from('value')]])
    assert.equal(Buffer.from(bytes).readUInt16BE(16), 4096)
    assert.deepEqual([bytes[18], bytes[19]], [1, 1])
    assert.equal(bytes.length % 4096, 0)
    const text = Buffer.from(bytes).toString('latin1')
    assert.ok(text.includes(ENTRIES.slice(0, -1)) && text.includes(METADATA.slice(0, -1)))
    reading(bytes, (reader) => {
      assert.equal(reader.strayRows(), 0)
      assert.deepEqual(Buffer.from(reader.value('ab') ?? []), Buffer.from('value'))
      assert.equal(reader.value('AB'), undefined)
      assert.deepEqual(reader.metadata(), [['tags', 'x']])
    })
  })

  it('gives equal bytes for equal calls, and takes many and large rows', () => {
    const rows = Array.from(
      { length: 3_000 },
      (_, at) => [Buffer.from(noise(at, 16)).toString('hex'), noise(at, at % 700)] as const,
    )
    const all = [...rows, ['large', noise(1, 2_000_000)] as const]
    const bytes = written(all)
    assert.deepEqual(written(all), bytes)
    reading(bytes, (reader) => {
      for (const [key, value] of all)
        assert.deepEqual(Buffer.from(reader.value(key) ?? []), Buffer.from(value))
    })
  })
})

describe('DatabaseReader', () => {
  it('takes a database without metadata, with the old index', () => {
    const bytes = database(
      `${ENTRIES} CREATE INDEX entries_index on entries(key); INSERT INTO entries VALUES ('k', x'00ff')`,
    )
    reading(bytes, (reader) => {
      assert.deepEqual(reader.metadata(), [])
      assert.deepEqual(Buffer.from(reader.value('k') ?? []), Buffer.of(0, 255))
    })
  })

  it('answers null for a value that is no BLOB, and counts stray rows', () => {
    const bytes = database(
      `${ENTRIES} INSERT INTO entries VALUES ('text', 'x'), (x'00', x'00'), ('null', NULL), ('ok', x'01')`,
    )
    reading(bytes, (reader) => {
      assert.equal(reader.value('text'), null)
      assert.equal(reader.value('null'), null)
      assert.equal(reader.value('none'), undefined)
      assert.equal(reader.strayRows(), 3)
    })
  })

  it('reads metadata that is no UTF-8, and copies it as it is', () => {
    const insert =
      "INSERT INTO metadata VALUES ('b', CAST(x'ff41' AS TEXT)), ('a', '1'), ('c', NULL), ('n', 5)"
    reading(database(ENTRIES + METADATA + insert), (reader) => {
      assert.deepEqual(reader.metadata(), [['a', '1'], ['b', '\ufffdA'], ['n', '5']]) // prettier-ignore
      const copy = reader.rewrite(new Map([['a', null], ['z', 'new']]), whole) // prettier-ignore
      assert.ok(Buffer.from(copy).includes(Buffer.of(0xff, 0x41)))
      reading(copy, (again) => assert.deepEqual(again.metadata(), [['b', '\ufffdA'], ['n', '5'], ['z', 'new']])) // prettier-ignore
    })
  })

  it('has a limit for metadata', () => {
    const large = "INSERT INTO metadata VALUES ('a', CAST(zeroblob(17000000) AS TEXT))"
    const many =
      "WITH n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10001) INSERT INTO metadata SELECT i, '' FROM n"
    for (const sql of [large, many]) {
      reading(database(ENTRIES + METADATA + sql), (reader) =>
        assert.throws(() => reader.metadata(), LimitError),
      )
    }
  })

  const schemas: Array<[what: string, sql: string]> = [
    ['no entries', METADATA],
    ['a view', `${ENTRIES} CREATE VIEW metadata AS SELECT 1 AS key, 2 AS value`],
    ['a view in place of entries', 'CREATE VIEW entries AS SELECT 1 AS key, 2 AS value'],
    ['a trigger', `${ENTRIES} CREATE TRIGGER t AFTER INSERT ON entries BEGIN SELECT 1; END`],
    ['another table', `${ENTRIES} CREATE TABLE other (a)`],
    ['a virtual table', `${ENTRIES} CREATE VIRTUAL TABLE metadata USING fts5(key, value)`],
    ['a computed column', 'CREATE TABLE entries (key VARCHAR(64) PRIMARY KEY, value BLOB AS (zeroblob(9)))'],
    ['a check', 'CREATE TABLE entries (key VARCHAR(64) PRIMARY KEY, value BLOB CHECK (length(value) > 0))'],
    ['an index on an expression', `${ENTRIES} CREATE INDEX entries_index ON entries(lower(key))`],
    ['statistics', `${ENTRIES} ANALYZE`],
  ]
  for (const [what, sql] of schemas) {
    it(`refuses ${what}`, () =>
      assert.throws(() => new DatabaseReader(pagesInMemory(database(sql))), MalformedError))
  }

  const good = Buffer.from(written([['ab', noise(1, 20_000)]]))
  const headers: Array<[what: string, change: (bytes: Buffer) => Uint8Array, message: RegExp]> = [
    ['nothing', () => Buffer.alloc(0), /no sqlite 3 file/],
    ['text', () => Buffer.alloc(9_000, 'x'), /no sqlite 3 file/],
    ['WAL mode', (bytes) => bytes.fill(2, 18, 20), /WAL mode/],
    ['odd pages', (bytes) => bytes.fill(3, 16, 18), /pages have/],
    ['UTF-16', (bytes) => bytes.fill(2, 59, 60), /not UTF-8/],
    ['a cut', (bytes) => bytes.subarray(0, bytes.length - 1), /cut off/],
    [
      'a page of noise',
      (bytes) => Buffer.concat([bytes.subarray(0, 4096), noise(3, 4096), bytes.subarray(8192)]),
      /does not read/,
    ],
    ['a table that points to itself', (bytes) => withOverflowLoop(bytes), /does not read/],
  ]
  for (const [what, change, message] of headers) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => new DatabaseReader(pagesInMemory(change(Buffer.from(good)))),
        (error) => error instanceof MalformedError && message.test(error.message),
      )
    })
  }

  it('leaves no file behind, and may be closed twice', () => {
    const reader = new DatabaseReader(pagesInFile(good, folder.path))
    reader.close()
    reader.close()
    assert.deepEqual(
      folder.left().filter((name) => name.startsWith('flist-')),
      [],
    )
  })
})

/** Every chain of overflow pages leads back to its first page. */
function withOverflowLoop(bytes: Buffer): Buffer {
  for (let page = 5; page * 4096 < bytes.length; page++) bytes.writeUInt32BE(6, page * 4096)
  return bytes
}
