/** A chunk that the disk damaged: found, told, and stored anew by the next write of it. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { CorruptError } from '../../src/errors.ts'
import { checkStore } from '../../src/store/fsck.ts'
import { receiveChunk } from '../../src/store/receive.ts'
import { scrub } from '../../src/store/scrubber.ts'
import { SPACES } from '../../src/store/spaces.ts'
import { fromUtf8, u64be } from '../../src/util/bytes.ts'
import { chunkOf } from '../suites/chunk-store.ts'
import { openStore, putFlist, type OpenStore } from './open-store.ts'

const PLAIN_KEY = Buffer.alloc(16, 7)

/** A store with three chunks, of which the second has lost its bytes, or has others. */
async function damagedStore(t: TestContext, damage: 'lost' | 'other bytes'): Promise<OpenStore> {
  const store = await openStore(t)
  await store.chunks.write([chunkOf(1), { ...chunkOf(2), plainKey: PLAIN_KEY }, chunkOf(3)])
  if (damage === 'lost') await store.levels.payloads.del(u64be(1))
  else await store.levels.payloads.put(u64be(1), fromUtf8('x'.repeat(chunkOf(2).bytes.length)))
  return store
}

async function problems(store: OpenStore): Promise<string[]> {
  const found: string[] = []
  await checkStore(store, ({ kind }) => found.push(kind))
  return found
}

const FINDERS = {
  read: ({ chunks }: OpenStore) => assert.throws(() => chunks.read(chunkOf(2).id), CorruptError),
  scrub: async (store: OpenStore) => assert.equal((await scrub(store, { chunks: 10 })).problems.length, 1),
  fsck: async (store: OpenStore) => assert.equal((await problems(store)).length, 1),
}

describe('a damaged chunk', () => {
  for (const damage of ['lost', 'other bytes'] as const) {
    for (const [name, find] of Object.entries(FINDERS)) {
      it(`(${damage}) that ${name} found is not known any more, and is healed by writing it again`, async (t) => {
        let store = await damagedStore(t, damage)
        const before = store.chunks.totals()
        assert.deepEqual(store.chunks.known([PLAIN_KEY])[0], Buffer.from(chunkOf(2).id))
        await find(store)
        store = await store.reopen()
        assert.deepEqual(store.chunks.known([PLAIN_KEY]), [undefined])
        assert.equal(store.chunks.info(chunkOf(2).id)?.isDamaged, true)

        assert.equal(await receiveChunk(store.chunks, chunkOf(2).id, chunkOf(2).bytes), false)
        store = await store.reopen()
        assert.deepEqual(Buffer.from(store.chunks.read(chunkOf(2).id) ?? []), Buffer.from(chunkOf(2).bytes))
        assert.equal(store.chunks.info(chunkOf(2).id)?.isDamaged, undefined)
        assert.deepEqual(store.chunks.known([PLAIN_KEY])[0], Buffer.from(chunkOf(2).id))
        assert.deepEqual(store.chunks.totals(), before)
        assert.deepEqual(await problems(store), [])
        for await (const _ of store.rows.rows(SPACES.damaged)) assert.fail('a mark was left')
      })
    }
  }

  it('is healed while uses of it and of others are written down', async (t) => {
    const time = { nowS: 1000 }
    const store = await openStore(t, { clock: () => time.nowS * 1000 })
    const many = Array.from({ length: 20 }, (_, number) => chunkOf(number))
    await store.chunks.write(many)
    for (const number of [3, 4, 5]) await store.levels.payloads.del(u64be(number))
    time.nowS += 100_000
    const ids = many.map(({ id }) => id)
    const touched = store.chunks.touch(ids) // with the rows of the lost payloads, still on their way
    for (const { id } of many.slice(3, 6)) assert.throws(() => store.chunks.read(id), CorruptError)
    await Promise.all([touched, store.chunks.write(many), store.chunks.write(many), store.chunks.touch(ids)])
    for (const { id, bytes } of many)
      assert.deepEqual(Buffer.from(store.chunks.read(id) ?? []), Buffer.from(bytes))
    assert.equal(store.chunks.totals().chunks, 20)
    assert.deepEqual(await problems(store), [])
  })

  it('may be deleted, and comes back as a new one', async (t) => {
    const store = await damagedStore(t, 'lost')
    FINDERS.read(store)
    await Promise.all([store.chunks.delete([chunkOf(2).id]), store.chunks.write([chunkOf(2)])])
    assert.deepEqual(store.chunks.totals(), { chunks: 3, bytes: 300 })
    assert.equal(store.chunks.info(chunkOf(2).id)?.isDamaged, undefined)
    assert.deepEqual(await problems(store), [])
  })

  it('of a flist keeps its references', async (t) => {
    const store = await openStore(t)
    await putFlist(store, [1, 2])
    await store.levels.payloads.del(u64be(0))
    assert.throws(() => store.chunks.read(chunkOf(1).id), CorruptError)
    await store.chunks.write([chunkOf(1)])
    assert.deepEqual(await problems(store), [])
  })
})
