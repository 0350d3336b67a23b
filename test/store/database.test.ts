import assert from 'node:assert/strict'
import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { CorruptError, UnavailableError, UnsupportedVersionError } from '../../src/errors.ts'
import { openDatabase } from '../../src/store/database.ts'
import { MemoryRowStore } from '../../src/store/memory-row-store.ts'
import { DISK_FORMAT, migrate, type Migration } from '../../src/store/migrations.ts'
import { ReferenceLookup, referenceRows } from '../../src/store/references.ts'
import { SPACES } from '../../src/store/spaces.ts'
import { fromUtf8, readU64be, u64be } from '../../src/util/bytes.ts'
import { chunkOf } from '../suites/chunk-store.ts'
import { openStore } from './open-store.ts'

const FORMAT = fromUtf8('format')
const OPTIONS = { minFreeBytes: 0, clock: Date.now }

describe('the data folder', () => {
  it('is this user’s alone', async (t) => {
    const { folder } = await openStore(t)
    for (const name of ['index', 'chunks']) assert.equal((await stat(join(folder, name))).mode & 0o777, 0o700)
  })

  it('belongs to one process', async (t) => {
    const store = await openStore(t)
    const again = openDatabase(store.folder, OPTIONS)
    await assert.rejects(
      again,
      (error: Error) => error instanceof UnavailableError && /in use by another/.test(error.message),
    )
  })

  it('of a newer release is refused, and stays as it is', async (t) => {
    const store = await openStore(t)
    await store.rows.write([{ type: 'put', space: SPACES.own, key: FORMAT, value: u64be(99) }])
    await assert.rejects(store.reopen(), UnsupportedVersionError)
    await assert.rejects(openDatabase(store.folder, OPTIONS), UnsupportedVersionError)
  })

  it('keeps its payloads when the index is lost, or an older one', async (t) => {
    const store = await openStore(t)
    await store.chunks.write(Array.from({ length: 5000 }, (_, number) => chunkOf(number, 10)))
    const old = Buffer.concat([u64be(100), u64be(100), u64be(1000)])
    await store.rows.write([{ type: 'put', space: SPACES.own, key: fromUtf8('totals'), value: old }])
    await store.close()
    await assert.rejects(openDatabase(store.folder, OPTIONS), CorruptError)
  })

  it('keeps its payloads when the index has lost its totals', async (t) => {
    const store = await openStore(t)
    await store.chunks.write([chunkOf(1)])
    await store.rows.write([{ type: 'delete', space: SPACES.own, key: fromUtf8('totals') }])
    await store.close()
    await assert.rejects(openDatabase(store.folder, OPTIONS), CorruptError)
  })
})

describe('an older format', () => {
  const step = (format: number, done: number[]): Migration => ({
    format,
    migrate: async () => void done.push(format),
  })
  const formatOf = (rows: MemoryRowStore) => readU64be(rows.get(SPACES.own, FORMAT) ?? assert.fail())
  const rowsOf = async (format: number) => {
    const rows = new MemoryRowStore()
    await rows.write([{ type: 'put', space: SPACES.own, key: FORMAT, value: u64be(format) }])
    return rows
  }

  it('is brought to ours step by step, in order', async () => {
    const done: number[] = []
    const rows = await rowsOf(1)
    await migrate(rows, 3, [step(2, done), step(3, done)])
    assert.deepEqual([done, formatOf(rows)], [[2, 3], 3])
    await migrate(rows, 3, [step(2, done), step(3, done)])
    assert.deepEqual(done, [2, 3])
  })

  it('goes on after a step that failed', async () => {
    const done: number[] = []
    const rows = await rowsOf(1)
    const failing = { format: 3, migrate: () => Promise.reject(new Error('power')) }
    await assert.rejects(migrate(rows, 3, [step(2, done), failing]), /power/)
    assert.equal(formatOf(rows), 2)
    await migrate(rows, 3, [step(2, done), step(3, done)])
    assert.deepEqual(done, [2, 3])
  })

  it('that nothing begins at is refused, and a fresh folder gets ours', async () => {
    await assert.rejects(migrate(await rowsOf(1), 3, [step(3, [])]), UnsupportedVersionError)
    const fresh = new MemoryRowStore()
    await migrate(fresh)
    assert.equal(formatOf(fresh), DISK_FORMAT)
  })

  it('1: references get rows of many, also where that was cut off in between', async () => {
    const rows = await rowsOf(1)
    const number = 7
    const ids = [16, 16, 32].map((bytes, at) => Buffer.alloc(bytes, 5).fill(at, 1))
    const old = ids.map((id) => Buffer.concat([id, u64be(number).subarray(2)]))
    for (const key of old) await rows.write([{ type: 'put', space: 'cref', key, value: new Uint8Array() }])
    const stopped = new Error('power')
    const failing = Object.assign(Object.create(rows) as MemoryRowStore, {
      get: rows.get.bind(rows),
      rows: rows.rows.bind(rows),
      write: () => Promise.reject(stopped),
    })
    await assert.rejects(migrate(failing, 2), stopped)
    await rows.write([...referenceRows(number, ids.slice(0, 1))])
    await rows.write([{ type: 'delete', space: 'cref', key: old[0] ?? assert.fail() }])
    await migrate(rows, 2)
    const lookup = new ReferenceLookup(rows, number)
    assert.deepEqual(
      [...ids, Buffer.alloc(16, 5)].map((id) => lookup.names(id)),
      [true, true, true, false],
    )
    for await (const _ of rows.rows('cref')) assert.fail('a row of the old format')
  })
})
