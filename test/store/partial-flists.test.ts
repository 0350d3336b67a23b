/** Flists of peers: kept before their chunks are here. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CorruptError } from '../../src/errors.ts'
import { collect } from '../../src/store/collector.ts'
import type { FetchedFlist } from '../../src/store/flist-store.ts'
import { decodeFlistRow, encodeFlistRow } from '../../src/store/flist-row.ts'
import { checkStore } from '../../src/store/fsck.ts'
import { SPACES } from '../../src/store/spaces.ts'
import { toHex, u64be } from '../../src/util/bytes.ts'
import { chunkOf, idsOf } from '../suites/chunk-store.ts'
import { openStore, putFlist, type AfterTest, type OpenStore } from './open-store.ts'

/** What another node would send of a flist of these chunks. */
async function sentBy(t: AfterTest, numbers: readonly number[]): Promise<FetchedFlist> {
  const { flists, ...store } = await openStore(t)
  const id = await putFlist({ flists, ...store }, numbers, 'of a peer')
  const object = (of: Uint8Array) => flists.object(of) ?? assert.fail()
  return {
    id,
    descriptor: object(id),
    pages: flists.descriptor(id)?.chunks.map(object) ?? [],
    bytes: (await flists.read(id)) ?? assert.fail(),
  }
}

async function putPartial(store: OpenStore, flist: FetchedFlist): Promise<void> {
  const lease = store.leases.open()
  await store.flists.putPartial(flist, lease)
  lease.release()
}

async function problemsOf(store: OpenStore): Promise<string[]> {
  const kinds: string[] = []
  await checkStore(store, ({ kind }) => kinds.push(kind))
  return kinds
}

describe('a flist of a peer', () => {
  it('is read as soon as its file and list are here, and complete once its chunks are', async (t) => {
    const flist = await sentBy(t, [1, 2, 3])
    const store = await openStore(t)
    await store.chunks.write([chunkOf(2)])
    await putPartial(store, flist)
    const again = await store.reopen()
    const { flists, chunks } = again
    assert.equal(String(Buffer.from((await flists.read(flist.id)) ?? [])), 'of a peer 1 2 3')
    assert.equal(flists.isComplete(flist.id), false)
    for await (const id of flists.partials()) assert.equal(toHex(id), toHex(flist.id))
    assert.ok(flists.names(flist.id, chunkOf(3).id) && !flists.names(flist.id, chunkOf(4).id))
    assert.deepEqual(await problemsOf(again), [], 'a chunk that is to come is no problem')
    await chunks.write([chunkOf(1)])
    assert.equal(await flists.complete(flist.id), false)
    await chunks.write([chunkOf(3)])
    assert.equal(await flists.complete(flist.id), true)
    assert.equal(flists.isComplete(flist.id), true)
    assert.deepEqual(await problemsOf(again), [])
    await chunks.delete([chunkOf(3).id])
    assert.deepEqual(await problemsOf(again), ['flist-incomplete', 'reference-dangling'])
  })

  it('is refused when its descriptor does not fit what came with it', async (t) => {
    const flist = await sentBy(t, [1, 2])
    const other = await sentBy(t, [1, 3])
    const store = await openStore(t)
    const wrong: FetchedFlist[] = [
      { ...flist, id: other.id },
      { ...flist, bytes: other.bytes },
      { ...flist, pages: other.pages },
      { ...flist, pages: [] },
      { ...flist, bytes: flist.bytes.subarray(1) },
    ]
    for (const one of wrong) await assert.rejects(putPartial(store, one), CorruptError)
    assert.deepEqual((await store.flists.census()).flists, [])
    assert.equal(store.chunks.totals().chunks, 0)
  })

  it('keeps those of its chunks that have come, and no longer once nothing names it', async (t) => {
    const flist = await sentBy(t, [1, 2])
    const time = { nowMs: 1_700_000_000_000 }
    const store = await openStore(t, { clock: () => time.nowMs })
    await putPartial(store, flist)
    await store.chunks.write([chunkOf(1), chunkOf(9)])
    time.nowMs += 2 * 86_400_000
    const run = (live: readonly Uint8Array[]) =>
      collect(
        {
          ...store,
          clock: () => time.nowMs,
          async *liveFlists() {
            yield* live
          },
        },
        { graceS: 86_400 },
      )
    assert.equal((await run([flist.id])).chunks, 1)
    assert.ok((await idsOf(store.chunks)).includes(toHex(chunkOf(1).id)))
    assert.equal((await run([])).flists, 1)
    assert.deepEqual(await idsOf(store.chunks), [])
  })

  it('is of this node once it was made here too, and no longer partial', async (t) => {
    const flist = await sentBy(t, [1, 2])
    const store = await openStore(t)
    await putPartial(store, flist)
    assert.equal(toHex(await putFlist(store, [1, 2], 'of a peer')), toHex(flist.id))
    assert.equal(store.flists.rowOf(flist.id)?.state, 'own')
    await store.flists.setPartial([flist.id])
    assert.equal(store.flists.isComplete(flist.id), true, 'what was made here is never given up')
  })

  it('that needs another chunk than the one under its id is never complete', async (t) => {
    const flist = await sentBy(t, [1])
    const store = await openStore(t)
    await putPartial(store, flist)
    await store.chunks.write([{ ...chunkOf(1), sha256: Buffer.alloc(32, 1) }])
    await assert.rejects(store.flists.complete(flist.id), CorruptError)
    assert.equal(store.flists.isComplete(flist.id), false)
  })
})

describe('the row of a flist', () => {
  it('of formats 1 and 2 is that of one which was made here', async (t) => {
    assert.deepEqual(decodeFlistRow(u64be(300)), { number: 300, state: 'own' })
    const store = await openStore(t)
    const id = await putFlist(store, [1])
    await store.rows.write([{ type: 'put', space: SPACES.flists, key: id, value: u64be(1) }])
    assert.equal(store.flists.isComplete(id), true)
    assert.deepEqual(await problemsOf(store), [])
  })

  it('comes back as it was written', () => {
    for (const state of ['own', 'fetched', 'partial'] as const) {
      for (const number of [1, 255, 2 ** 33, 2 ** 48 - 1]) {
        assert.deepEqual(decodeFlistRow(encodeFlistRow({ number, state })), { number, state })
      }
    }
    assert.equal(toHex(encodeFlistRow({ number: 0x0102, state: 'partial' })), '0100000000010202')
    for (const bad of ['0100000000010203', '02', '0001000000000000', ''])
      assert.throws(() => decodeFlistRow(Buffer.from(bad, 'hex')), CorruptError)
  })
})
