import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { JobTimes } from '../../src/store/job-times.ts'
import { MemoryRowStore } from '../../src/store/memory-row-store.ts'
import { HOUR_MS } from '../../src/util/units.ts'

describe('the times of background jobs', () => {
  it('count a period from the last time, whoever ran the node then', async () => {
    const rows = new MemoryRowStore()
    let nowMs = 1e12
    const open = () => new JobTimes(rows, () => nowMs)
    await open().begin('collect')
    assert.equal(open().dueInMs('collect', 24 * HOUR_MS), 24 * HOUR_MS)
    nowMs += 10 * HOUR_MS
    await open().begin('collect')
    assert.equal(open().dueInMs('collect', 24 * HOUR_MS), 14 * HOUR_MS)
    nowMs += 30 * HOUR_MS
    assert.equal(open().dueInMs('collect', 24 * HOUR_MS), 0)
    assert.equal(open().dueInMs('scrub', HOUR_MS), HOUR_MS)
    await open().markDone('collect')
    assert.equal(open().dueInMs('collect', 24 * HOUR_MS), 24 * HOUR_MS)
  })

  it('wait no longer than a period when the clock was ahead', async () => {
    const rows = new MemoryRowStore()
    await new JobTimes(rows, () => 2e12).markDone('scrub')
    assert.equal(new JobTimes(rows, () => 1e12).dueInMs('scrub', HOUR_MS), HOUR_MS)
  })
})
