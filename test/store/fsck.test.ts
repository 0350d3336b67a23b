import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MalformedError } from '../../src/errors.ts'
import { decodeChunkRow, encodeChunkRow } from '../../src/store/chunk-row.ts'
import { checkStore, type Problem, type StoreProblemKind } from '../../src/store/fsck.ts'
import { scrub } from '../../src/store/scrubber.ts'
import { referenceRows } from '../../src/store/references.ts'
import { SPACES } from '../../src/store/spaces.ts'
import { fromUtf8, u64be } from '../../src/util/bytes.ts'
import { chunkOf } from '../suites/chunk-store.ts'
import { openStore, putFlist, type OpenStore } from './open-store.ts'

async function check(store: OpenStore): Promise<string[]> {
  const problems: Problem[] = []
  await checkStore({ ...store, decode }, (problem) => problems.push(problem))
  return [...new Set(problems.map(({ kind }) => kind))].sort()
}

/** The content that the numbered chunks are known for. */
function decode(stored: Uint8Array): Uint8Array {
  for (let number = 0; number < 10; number++) {
    if (Buffer.compare(stored, chunkOf(number).bytes) === 0) return Buffer.from(`plain ${number}`)
  }
  throw new MalformedError('chunk', 'not one of the numbered chunks')
}

type Plant = (store: OpenStore, flist: Uint8Array) => Promise<void>

function putRow({ rows }: OpenStore, space: string, key: Uint8Array, value: Uint8Array): Promise<void> {
  return rows.write([{ type: 'put', space, key, value }])
}

function deleteRow({ rows }: OpenStore, space: string, key: Uint8Array): Promise<void> {
  return rows.write([{ type: 'delete', space, key }])
}

async function deleteReferences(store: OpenStore, bytes: number): Promise<void> {
  for await (const [key] of store.rows.rows(SPACES.references))
    if (key[1] === bytes) await deleteRow(store, SPACES.references, key)
}

/** What goes wrong on a disk, by the kind that it must be named by: each of them, or this does not compile. */
const DAMAGES: Record<StoreProblemKind, readonly Plant[]> = {
  'chunk-row': [(store) => putRow(store, SPACES.chunks, Buffer.alloc(16, 1), Buffer.of(9))],
  'chunk-lost': [({ levels }) => levels.payloads.del(u64be(1))],
  'chunk-damaged': [
    ({ levels }) => levels.payloads.put(u64be(1), Buffer.alloc(100)),
    ({ levels }) => levels.payloads.put(u64be(1), Buffer.alloc(99)),
  ],
  'chunk-misfiled': [
    async (store) => {
      const row = store.rows.get(SPACES.chunks, chunkOf(9).id) ?? assert.fail()
      await putRow(store, SPACES.chunks, Buffer.alloc(16, 1), row)
    },
    async (store) => {
      const row = store.rows.get(SPACES.chunks, chunkOf(9).id) ?? assert.fail()
      await putRow(store, SPACES.chunks, Buffer.alloc(20, 1), row) // no id at all
    },
  ],
  'payload-stray': [
    (store) => deleteRow(store, SPACES.chunks, chunkOf(9).id),
    (store) => deleteRow(store, SPACES.chunks, chunkOf(1).id),
  ],
  'totals-wrong': [
    (store) => putRow(store, SPACES.own, fromUtf8('totals'), Buffer.alloc(24, 1)),
    (store) => putRow(store, SPACES.own, fromUtf8('totals'), Buffer.concat([u64be(4), u64be(4), u64be(399)])),
  ],
  'plain-dangling': [
    (store) => putRow(store, SPACES.plain, Buffer.alloc(16, 5), chunkOf(1).id),
    (store) => putRow(store, SPACES.plain, Buffer.alloc(16, 5), Buffer.alloc(16, 6)),
  ],
  'plain-wrong': [
    ({ chunks }) => chunks.write([{ ...chunkOf(8), plainKey: chunkOf(7).plainKey }]),
    ({ chunks }) => chunks.write([chunkOf(1000)]), // does not decode
  ],
  'flist-damaged': [
    async ({ flists, chunks }, id) => {
      const [part] = flists.partIds(flists.descriptor(id) ?? assert.fail())
      await chunks.delete([part ?? assert.fail()])
    },
    async ({ flists, rows }, id) => {
      const { parts } = flists.descriptor(id) ?? assert.fail()
      await rows.write(parts.map((key) => ({ type: 'put', space: SPACES.parts, key, value: chunkOf(1).id })))
    },
    (store, id) => deleteRow(store, SPACES.objects, id),
    (store, id) => {
      const bytes = store.rows.get(SPACES.objects, id) ?? assert.fail()
      bytes[20] = (bytes[20] ?? 0) ^ 1
      return putRow(store, SPACES.objects, id, bytes)
    },
    (store, id) => deleteRow(store, SPACES.objects, store.flists.descriptor(id)?.chunks[0] ?? assert.fail()),
    (store, id) => {
      const page = store.flists.descriptor(id)?.chunks[0] ?? assert.fail()
      const bytes = store.rows.get(SPACES.objects, page) ?? assert.fail()
      bytes[10] = (bytes[10] ?? 0) ^ 1
      return putRow(store, SPACES.objects, page, bytes)
    },
  ],
  'flist-incomplete': [
    ({ chunks }) => chunks.delete([chunkOf(1).id]),
    (store) => putRow(store, SPACES.chunks, chunkOf(1).id, Buffer.of(9)),
  ],
  'flist-mismatch': [
    async (store) => {
      const row = decodeChunkRow(store.rows.get(SPACES.chunks, chunkOf(1).id) ?? assert.fail())
      const value = encodeChunkRow({ ...row, sha256: Buffer.alloc(32) })
      await putRow(store, SPACES.chunks, chunkOf(1).id, value)
    },
  ],
  'reference-missing': [(store) => deleteReferences(store, 16), (store) => deleteReferences(store, 32)],
  'reference-dangling': [
    (store, id) => {
      const number = store.flists.numberOf(id) ?? 0
      return store.rows.write([...referenceRows(number, [Buffer.alloc(16, 1)])])
    },
  ],
}

describe('fsck', () => {
  it('finds nothing in a good store, and says how much it looked at', async (t) => {
    const store = await openStore(t)
    await putFlist(store, [1, 2])
    await store.chunks.write([chunkOf(9)])
    await store.chunks.delete([chunkOf(9).id])
    const report = await checkStore(store, (problem) => assert.fail(problem.kind))
    assert.deepEqual(report, { chunks: 3, flists: 1 })
  })

  for (const [kind, plants] of Object.entries(DAMAGES)) {
    for (const [at, plant] of plants.entries()) {
      it(`names what is wrong: ${kind} (${at})`, async (t) => {
        const store = await openStore(t)
        const flist = await putFlist(store, [1, 2])
        const { id, bytes } = chunkOf(9)
        await store.chunks.write([{ id, bytes }])
        assert.deepEqual(await check(store), [])
        await plant(store, flist)
        assert.ok((await check(store)).includes(kind), `found: ${(await check(store)).join(', ')}`)
      })
    }
  }

  it('tells how far it is, and stops with the reason of its signal', async (t) => {
    const store = await openStore(t)
    await store.chunks.write(Array.from({ length: 40 }, (_, number) => chunkOf(number)))
    const told: string[] = []
    await checkStore(store, () => {}, { onProgress: (done, total) => told.push(`${done}/${total}`) })
    assert.equal(told.length, 40)
    assert.equal(told.at(-1), '40/40')
    const stop = new AbortController()
    const reason = new Error('enough')
    const stopped = checkStore(store, () => {}, {
      signal: stop.signal,
      onProgress: () => stop.abort(reason),
    })
    await assert.rejects(stopped, (error) => error === reason)
  })

  it('finds nothing while chunks and flists come and go', async (t) => {
    const store = await openStore(t)
    let isOver = false
    const busy = (async () => {
      for (let number = 0; !isOver; number = (number + 1) % 9) {
        const id = await putFlist(store, [number, number + 1])
        await store.flists.delete(id)
        await store.chunks.delete([chunkOf(number + 1).id])
      }
    })()
    for (let turn = 0; turn < 20; turn++) assert.deepEqual(await check(store), [])
    isOver = true
    await busy
  })
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
