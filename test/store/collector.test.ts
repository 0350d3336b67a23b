import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { collect, type CollectOptions } from '../../src/store/collector.ts'
import { checkStore } from '../../src/store/fsck.ts'
import { referenceRows } from '../../src/store/references.ts'
import { SPACES } from '../../src/store/spaces.ts'
import { toHex } from '../../src/util/bytes.ts'
import { chunkOf, idsOf } from '../suites/chunk-store.ts'
import { openStore, putFlist, type OpenStore } from './open-store.ts'

const DAY_MS = 86_400_000
const GRACE = { graceS: 86_400 }

/** A store in which time passes by hand. */
async function openAt(t: Parameters<typeof openStore>[0]) {
  const time = { nowMs: 1_700_000_000_000 }
  return { time, store: await openStore(t, { clock: () => time.nowMs }) }
}

function run(
  store: OpenStore,
  time: { nowMs: number },
  live: readonly Uint8Array[],
  options: Partial<CollectOptions> = {},
) {
  const { rows, chunks, flists, leases } = store
  const liveFlists = async function* () {
    yield* live
  }
  return collect(
    { rows, chunks, flists, leases, liveFlists, clock: () => time.nowMs },
    { ...GRACE, ...options },
  )
}

describe('the collector', () => {
  it('frees what nothing holds once the grace is over, and nothing else', async (t) => {
    const { store, time } = await openAt(t)
    const live = await putFlist(store, [1, 2], 'live')
    await putFlist(store, [2, 3], 'dead')
    await store.chunks.write([chunkOf(4), chunkOf(5)])
    const lease = store.leases.open()
    lease.holdChunks([chunkOf(5).id])
    time.nowMs += DAY_MS + 1000
    await store.chunks.write([chunkOf(6)])
    const freed = await run(store, time, [live])
    assert.deepEqual({ flists: freed.flists, chunks: freed.chunks }, { flists: 1, chunks: 3 }) // 3, 4, part of dead
    const held = await idsOf(store.chunks)
    for (const number of [1, 2, 5, 6]) assert.ok(held.includes(toHex(chunkOf(number).id)), String(number))
    for (const number of [3, 4]) assert.ok(!held.includes(toHex(chunkOf(number).id)), String(number))
    assert.equal(String(Buffer.from((await store.flists.read(live)) ?? [])), 'live 1 2')
    lease.release()
    assert.equal((await run(store, time, [live])).chunks, 1)
  })

  it('deletes nothing when it is only asked', async (t) => {
    const { store, time } = await openAt(t)
    await putFlist(store, [1])
    time.nowMs += 2 * DAY_MS
    const before = await idsOf(store.chunks)
    const { flists, chunks } = await run(store, time, [], { dryRun: true })
    assert.deepEqual({ flists, chunks }, { flists: 1, chunks: 2 }) // the chunk, and the part of the flist
    await store.chunks.write([chunkOf(7)])
    time.nowMs += 2 * DAY_MS
    assert.equal((await run(store, time, [], { dryRun: true })).chunks, 3)
    assert.equal((await idsOf(store.chunks)).length, before.length + 1)
    assert.equal((await store.flists.census()).flists.length, 1)
  })

  it('leaves what is held until a time, and drops the hold after it', async (t) => {
    const { store, time } = await openAt(t)
    await store.chunks.write([chunkOf(1)])
    time.nowMs += 2 * DAY_MS
    await store.leases.holdUntil([chunkOf(1).id], time.nowMs / 1000 + 3600)
    assert.equal((await run(store, time, [])).chunks, 0)
    time.nowMs += 3_600_000
    assert.equal((await run(store, time, [])).chunks, 1)
    for await (const _ of store.rows.rows(SPACES.holds)) assert.fail('a hold that is over')
  })

  it('drops references of a flist that never came', async (t) => {
    const { store, time } = await openAt(t)
    const live = await putFlist(store, [1])
    await store.chunks.write([chunkOf(2)])
    await store.flists.delete(live)
    await store.rows.write([...referenceRows(1, [chunkOf(2).id, Buffer.alloc(16, 0xff)])])
    time.nowMs += 2 * DAY_MS
    assert.ok((await run(store, time, [])).chunks >= 2)
    for await (const _ of store.rows.rows(SPACES.references)) assert.fail('a stale reference')
  })

  it('I8: never deletes what a flist, an upload or a lease holds, whatever happens side by side', async (t) => {
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        fc.array(fc.nat(5), { minLength: 1, maxLength: 5 }),
        async (scheduler, numbers) => {
          const { store, time } = await openAt(t)
          const live: Uint8Array[] = []
          await store.chunks.write([0, 1, 2, 3, 4, 5].map((number) => chunkOf(number)))
          time.nowMs += 2 * DAY_MS
          const tasks = numbers.map((number, at) => async () => {
            // An upload: holds, sees what is known, brings what is not, puts, and is named before it lets go.
            const lease = store.leases.open()
            const chunk = chunkOf(number)
            lease.holdChunks([chunk.id])
            await scheduler.schedule(Promise.resolve(), `held ${at}`)
            if (store.chunks.info(chunk.id) === undefined) await store.chunks.write([chunk])
            await scheduler.schedule(Promise.resolve(), `written ${at}`)
            const flist = {
              format: 'zflist',
              bytes: Buffer.from(`flist ${at}`),
              chunkIds: [chunk.id],
              files: 1,
            } as const
            live.push(await store.flists.put(flist, lease))
            await scheduler.schedule(Promise.resolve(), `named ${at}`)
            lease.release()
          })
          const collecting = async () => {
            for (let turn = 0; turn < 3; turn++) {
              await scheduler.schedule(Promise.resolve(), `collect ${turn}`)
              await run(store, time, live)
            }
          }
          const all = Promise.all([...tasks.map((task) => task()), collecting()])
          await scheduler.waitFor(all)
          for (const id of live)
            assert.ok((await store.flists.read(id)) !== undefined, 'a live flist is gone')
          const problems: unknown[] = []
          await checkStore(store, (problem) => problems.push(problem))
          assert.deepEqual(problems, [])
          await store.close()
        },
      ),
      { numRuns: Number(process.env['ZHUB_FUZZ_RUNS'] ?? 20) },
    )
  })
})
