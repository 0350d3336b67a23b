import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import {
  ConflictError,
  InvalidInputError,
  UnavailableError,
  UnsupportedVersionError,
} from '../../src/errors.ts'
import { backupDatabase, restoreDatabase } from '../../src/store/backup.ts'
import { decodeChunkRow, encodeChunkRow } from '../../src/store/chunk-row.ts'
import { openDatabase } from '../../src/store/database.ts'
import { checkStore, type Problem } from '../../src/store/fsck.ts'
import { scrub } from '../../src/store/scrubber.ts'
import { SPACES } from '../../src/store/spaces.ts'
import { fromUtf8, u64be } from '../../src/util/bytes.ts'
import { chunkOf } from '../suites/chunk-store.ts'
import { openStore, putFlist, type OpenStore } from './open-store.ts'

async function check(store: OpenStore): Promise<string[]> {
  const problems: Problem[] = []
  await checkStore(store, (problem) => problems.push(problem))
  return [...new Set(problems.map(({ kind }) => kind))].sort()
}

/** What goes wrong on a disk, and the kind that it must be named by. */
const DAMAGES: ReadonlyArray<{
  kind: string
  plant: (store: OpenStore, flist: Uint8Array) => Promise<void>
}> = [
  { kind: 'chunk-lost', plant: ({ levels }) => levels.payloads.del(u64be(1)) },
  { kind: 'chunk-damaged', plant: ({ levels }) => levels.payloads.put(u64be(1), Buffer.alloc(100)) },
  { kind: 'chunk-damaged', plant: ({ levels }) => levels.payloads.put(u64be(1), Buffer.alloc(99)) },
  {
    kind: 'chunk-misfiled',
    plant: async ({ rows, chunks }) => {
      const row = rows.get(SPACES.chunks, chunkOf(9).id) ?? assert.fail()
      await rows.write([{ type: 'put', space: SPACES.chunks, key: Buffer.alloc(16, 1), value: row }])
      assert.notEqual(chunks.info(Buffer.alloc(16, 1)), undefined)
    },
  },
  {
    kind: 'chunk-row',
    plant: ({ rows }) =>
      rows.write([{ type: 'put', space: SPACES.chunks, key: Buffer.alloc(16, 1), value: Buffer.of(9) }]),
  },
  {
    kind: 'payload-stray',
    plant: ({ rows }) => rows.write([{ type: 'delete', space: SPACES.chunks, key: chunkOf(9).id }]),
  },
  {
    kind: 'plain-dangling',
    plant: ({ rows }) =>
      rows.write([{ type: 'put', space: SPACES.plain, key: Buffer.alloc(16, 5), value: chunkOf(1).id }]),
  },
  { kind: 'flist-incomplete', plant: ({ chunks }) => chunks.delete([chunkOf(1).id]) },
  {
    kind: 'flist-mismatch',
    plant: async ({ rows }) => {
      const row = decodeChunkRow(rows.get(SPACES.chunks, chunkOf(1).id) ?? assert.fail())
      const value = encodeChunkRow({ ...row, sha256: Buffer.alloc(32) })
      await rows.write([{ type: 'put', space: SPACES.chunks, key: chunkOf(1).id, value }])
    },
  },
  {
    kind: 'flist-damaged',
    plant: async ({ flists, chunks }, id) => {
      const [part] = flists.partIds(flists.descriptor(id) ?? assert.fail())
      await chunks.delete([part ?? assert.fail()])
    },
  },
  {
    kind: 'flist-damaged',
    plant: ({ rows }, id) => rows.write([{ type: 'delete', space: SPACES.objects, key: id }]),
  },
  {
    kind: 'reference-missing',
    plant: async ({ rows }) => {
      for await (const [key] of rows.rows(SPACES.references))
        await rows.write([{ type: 'delete', space: SPACES.references, key }])
    },
  },
  {
    kind: 'reference-dangling',
    plant: ({ rows, flists }, id) => {
      const key = Buffer.concat([Buffer.alloc(16, 1), u64be(flists.numberOf(id) ?? 0).subarray(2)])
      return rows.write([{ type: 'put', space: SPACES.references, key, value: new Uint8Array() }])
    },
  },
]

describe('fsck', () => {
  it('finds nothing in a good store, and says how much it looked at', async (t) => {
    const store = await openStore(t)
    await putFlist(store, [1, 2])
    await store.chunks.write([chunkOf(9)])
    await store.chunks.delete([chunkOf(9).id])
    const report = await checkStore(store, (problem) => assert.fail(problem.kind))
    assert.deepEqual(report, { chunks: 3, flists: 1 })
  })

  for (const [at, { kind, plant }] of DAMAGES.entries()) {
    it(`names what is wrong: ${kind} (${at})`, async (t) => {
      const store = await openStore(t)
      const flist = await putFlist(store, [1, 2])
      const { id, bytes } = chunkOf(9)
      await store.chunks.write([{ id, bytes }])
      await plant(store, flist)
      assert.ok(
        (await check(store)).includes(kind),
        `${kind} is not among ${(await check(store)).join(', ')}`,
      )
    })
  }
})

describe('the scrubber', () => {
  it('goes round in shares, and tells what is damaged', async (t) => {
    const store = await openStore(t)
    await store.chunks.write(Array.from({ length: 10 }, (_, number) => chunkOf(number)))
    await store.levels.payloads.put(u64be(4), Buffer.alloc(100))
    const runs = []
    for (let turn = 0; turn < 3; turn++) runs.push(await scrub(store, { chunks: 4 }))
    assert.deepEqual(
      runs.map(({ chunks }) => chunks),
      [4, 4, 2],
    )
    assert.deepEqual(
      runs.flatMap(({ problems }) => problems.map(({ kind }) => kind)),
      ['chunk-damaged'],
    )
    assert.equal((await scrub(store, { chunks: 100 })).chunks, 10)
  })
})

describe('a backup', () => {
  it('of a store that is being written to is whole', async (t) => {
    const store = await openStore(t)
    const id = await putFlist(store, [1, 2, 3])
    const folder = await mkdtemp(join(tmpdir(), 'zhub-backup-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    let isOver = false
    const writing = (async () => {
      for (let number = 10; !isOver; number++) await putFlist(store, [number, number + 1])
    })()
    await backupDatabase(store, join(folder, 'backup'))
    isOver = true
    await writing
    await restoreDatabase(join(folder, 'backup'), join(folder, 'data'))
    const copy = await openStore(t, { folder: join(folder, 'data') })
    assert.deepEqual(await check(copy), [])
    assert.equal(String(Buffer.from((await copy.flists.read(id)) ?? [])), 'flist 1 2 3')
    await assert.rejects(backupDatabase(store, join(folder, 'backup')), ConflictError)
    await assert.rejects(restoreDatabase(folder, join(folder, 'other')), InvalidInputError)
  })
})

describe('the data folder', () => {
  it('belongs to one process', async (t) => {
    const store = await openStore(t)
    const again = openDatabase(store.folder, { minFreeBytes: 0, clock: Date.now })
    await assert.rejects(
      again,
      (error: Error) => error instanceof UnavailableError && /in use by another/.test(error.message),
    )
  })

  it('of a newer release is refused, and stays as it is', async (t) => {
    const store = await openStore(t)
    await store.rows.write([{ type: 'put', space: SPACES.own, key: fromUtf8('format'), value: u64be(99) }])
    await assert.rejects(store.reopen(), UnsupportedVersionError)
    await assert.rejects(
      openDatabase(store.folder, { minFreeBytes: 0, clock: Date.now }),
      UnsupportedVersionError,
    )
  })
})
