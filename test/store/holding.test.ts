/** I8 where it is narrow: a hold that is taken while the collector decides, or while its own row is being written. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { collect } from '../../src/store/collector.ts'
import { checkStore } from '../../src/store/fsck.ts'
import { chunkOf } from '../suites/chunk-store.ts'
import { openStore, putFlist, type OpenStore } from './open-store.ts'

function run({ rows, chunks, flists, leases }: OpenStore, live: readonly Uint8Array[]) {
  const liveFlists = async function* () {
    yield* live
  }
  return collect({ rows, chunks, flists, leases, liveFlists, clock: Date.now }, { graceS: 0 })
}

describe('a flist whose deletion is decided', () => {
  it('is not found from that turn on, and comes back when it is put again', async (t) => {
    const store = await openStore(t)
    const { flists } = store
    const id = await putFlist(store, [1])
    let deleting: Promise<void> = Promise.resolve()
    await new Promise<void>((decided) => {
      deleting = flists.delete(id, () => {
        queueMicrotask(decided)
        return true
      })
    })
    assert.equal(flists.descriptor(id), undefined)
    assert.equal(flists.numberOf(id), undefined)
    const again = putFlist(store, [1])
    await deleting
    assert.deepEqual(await again, id)
    assert.notEqual(flists.descriptor(id), undefined)
  })

  it('stays when somebody took a hold first', async (t) => {
    const { flists, leases, ...store } = await openStore(t)
    const id = await putFlist({ ...store, flists, leases }, [1])
    const lease = leases.open()
    lease.holdFlist(id)
    await flists.delete(id, () => !leases.holdsFlist(id))
    assert.notEqual(flists.descriptor(id), undefined)
  })
})

describe('a hold until a time', () => {
  it('is seen by a watch that begins while its row is being written', async (t) => {
    const { leases } = await openStore(t)
    const { id } = chunkOf(1)
    const holding = leases.holdUntil([id], Math.floor(Date.now() / 1000) + 3600)
    const watch = leases.watch()
    assert.equal(watch.sawChunk(id), true)
    await holding
    assert.equal(watch.sawChunk(id), true)
    watch.close()
  })
})

describe('an old flist that is named again', () => {
  it('is there afterwards, or was refused; whenever the collector runs', async (t) => {
    const delays = fc.array(fc.nat(40), { minLength: 1, maxLength: 4 })
    await fc.assert(
      fc.asyncProperty(delays, fc.nat(10), async (turns, before) => {
        const store = await openStore(t)
        const { flists, leases } = store
        const old = await Promise.all(turns.map((_, at) => putFlist(store, [at, at + 1], `old ${at}`)))
        const named: Uint8Array[] = []
        /** As an operation does that names a version of before: holds it, looks, and is durable before it lets go. */
        const name = async (id: Uint8Array, delay: number) => {
          await passTurns(delay)
          const lease = leases.open()
          lease.holdFlist(id)
          if (flists.descriptor(id) !== undefined) {
            await store.rows.write([{ type: 'put', space: 'op', key: id, value: new Uint8Array() }])
            named.push(id)
          }
          lease.release()
        }
        const collecting = passTurns(before).then(() => run(store, named))
        await Promise.all([collecting, ...old.map((id, at) => name(id, turns[at] ?? 0))])
        await run(store, named)
        for (const id of named) assert.notEqual(await flists.read(id), undefined, 'a named flist is gone')
        await checkStore(store, ({ kind, detail }) => assert.fail(`${kind}: ${detail}`))
        await store.close()
      }),
      { numRuns: Number(process.env['ZHUB_FUZZ_RUNS'] ?? 25) },
    )
  })
})

async function passTurns(turns: number): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise((resolve) => setImmediate(resolve))
}
