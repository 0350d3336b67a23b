import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RowLeases } from '../../src/store/leases.ts'
import { MemoryRowStore } from '../../src/store/memory-row-store.ts'
import { SPACES } from '../../src/store/spaces.ts'

const [a, b, c] = [1, 2, 3].map((byte) => Buffer.alloc(16, byte)) as [Buffer, Buffer, Buffer]
const flist = Buffer.alloc(32, 9)

function openLeases() {
  const time = { nowMs: 1_700_000_000_000 }
  const rows = new MemoryRowStore()
  return { time, rows, leases: new RowLeases(rows, () => time.nowMs) }
}

async function countHolds(rows: MemoryRowStore): Promise<number> {
  let count = 0
  for await (const _ of rows.rows(SPACES.holds)) count++
  return count
}

describe('a lease', () => {
  it('holds until it is released, and no longer', () => {
    const { leases } = openLeases()
    const lease = leases.open()
    lease.holdChunks([a, b])
    lease.holdFlist(flist)
    assert.deepEqual(
      [leases.holdsChunk(a), leases.holdsChunk(c), leases.holdsFlist(flist)],
      [true, false, true],
    )
    lease.release()
    lease.release()
    assert.deepEqual([leases.holdsChunk(a), leases.holdsFlist(flist)], [false, false])
  })

  it('does not let go of what another one holds too', () => {
    const { leases } = openLeases()
    const [one, other] = [leases.open(), leases.open()]
    one.holdChunks([a, a])
    other.holdChunks([a])
    one.holdFlist(flist)
    other.holdFlist(flist)
    one.release()
    assert.deepEqual([leases.holdsChunk(a), leases.holdsFlist(flist)], [true, true])
    other.release()
    assert.deepEqual([leases.holdsChunk(a), leases.holdsFlist(flist)], [false, false])
  })
})

describe('a watch', () => {
  it('has seen what was held before it, and what came and went meanwhile', () => {
    const { leases } = openLeases()
    const before = leases.open()
    before.holdChunks([a])
    const watch = leases.watch()
    before.release()
    const during = leases.open()
    during.holdChunks([b])
    during.holdFlist(flist)
    during.release()
    assert.deepEqual(
      [watch.sawChunk(a), watch.sawChunk(b), watch.sawChunk(c), watch.sawFlist(flist)],
      [true, true, false, true],
    )
    watch.close()
    leases.open().holdChunks([c])
    assert.equal(watch.sawChunk(c), false, 'closed')
  })

  it('sees a hold until a time from the call on, before its row is durable', async () => {
    const { leases, time } = openLeases()
    const watch = leases.watch()
    const holding = leases.holdUntil([a], time.nowMs / 1000 + 60)
    assert.equal(watch.sawChunk(a), true)
    await holding
    watch.close()
  })
})

describe('a hold until a time', () => {
  it('outlives a restart, is over at its time, and is dropped after it', async () => {
    const { leases, rows, time } = openLeases()
    const untilS = time.nowMs / 1000 + 60
    await leases.holdUntil([a, b], untilS)
    const restarted = new RowLeases(rows, () => time.nowMs)
    assert.deepEqual([restarted.holdsChunk(a), restarted.holdsChunk(c)], [true, false])
    await restarted.holdUntil([b], untilS + 60)
    time.nowMs = untilS * 1000
    assert.deepEqual([restarted.holdsChunk(a), restarted.holdsChunk(b)], [false, true])
    await restarted.expire()
    assert.equal(await countHolds(rows), 1)
    assert.equal(restarted.holdsChunk(b), true)
  })

  it('is never made shorter, whichever call comes first', async () => {
    const { leases, time } = openLeases()
    const nowS = time.nowMs / 1000
    await Promise.all([leases.holdUntil([a], nowS + 60), leases.holdUntil([a], nowS + 10)])
    time.nowMs += 30_000
    assert.equal(leases.holdsChunk(a), true)
  })

  it('stays when it is renewed while holds that are over are dropped', async () => {
    const { leases, time } = openLeases()
    await leases.holdUntil([a], time.nowMs / 1000 + 10)
    time.nowMs += 20_000
    await Promise.all([leases.expire(), leases.holdUntil([a], time.nowMs / 1000 + 60)])
    assert.equal(leases.holdsChunk(a), true)
  })
})
