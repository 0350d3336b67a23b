import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RowLeases } from '../../src/store/leases.ts'
import { MemoryRowStore } from '../../src/store/memory-row-store.ts'
import { SPACES } from '../../src/store/spaces.ts'
import { chunkOf } from '../suites/chunk-store.ts'

function openLeases() {
  const time = { nowS: 1_700_000_000 }
  const rows = new MemoryRowStore()
  return { time, rows, leases: new RowLeases(rows, () => time.nowS * 1000) }
}

const [one, two] = [chunkOf(1).id, chunkOf(2).id]

describe('leases', () => {
  it('hold what anybody still holds', () => {
    const { leases } = openLeases()
    const [a, b] = [leases.open(), leases.open()]
    a.holdChunks([one, one])
    a.holdChunks([one])
    b.holdChunks([one, two])
    a.holdFlist(two)
    a.release()
    a.release()
    assert.deepEqual(
      [leases.holdsChunk(one), leases.holdsChunk(two), leases.holdsFlist(two)],
      [true, true, false],
    )
    b.release()
    assert.deepEqual([leases.holdsChunk(one), leases.holdsChunk(two)], [false, false])
  })

  it('hold until a time, across restarts, and the longest hold counts', async () => {
    const { leases, rows, time } = openLeases()
    await leases.holdUntil([one], time.nowS + 100)
    await leases.holdUntil([one], time.nowS + 10)
    time.nowS += 50
    assert.equal(new RowLeases(rows, () => time.nowS * 1000).holdsChunk(one), true)
    time.nowS += 50
    assert.equal(leases.holdsChunk(one), false)
  })

  it('drop holds that are over, but none that is renewed meanwhile', async () => {
    const { leases, rows, time } = openLeases()
    await leases.holdUntil([one, two], time.nowS + 10)
    time.nowS += 20
    await Promise.all([leases.expire(), leases.holdUntil([one], time.nowS + 10)])
    assert.equal(leases.holdsChunk(one), true)
    assert.equal(rows.get(SPACES.holds, two), undefined)
  })

  it('are seen by a watch that began before or after them, also when they have ended', () => {
    const { leases } = openLeases()
    const before = leases.open()
    before.holdChunks([one])
    const watch = leases.watch()
    before.release()
    const during = leases.open()
    during.holdChunks([two])
    during.holdFlist(one)
    during.release()
    assert.deepEqual([watch.sawChunk(one), watch.sawChunk(two), watch.sawFlist(one)], [true, true, true])
    watch.close()
    const later = leases.watch()
    assert.deepEqual([later.sawChunk(one), later.sawFlist(one)], [false, false])
    later.close()
  })
})
