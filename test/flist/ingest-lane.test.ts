import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { IngestLane } from '../../src/flist/ingest-lane.ts'
import { IngestBench } from '../doubles/ingest-bench.ts'
import { noise } from '../doubles/noise.ts'
import { member, tarOf } from '../doubles/tar-bytes.ts'

describe('the threads of an upload', () => {
  it('keep nobody waiting when one dies', async () => {
    const alive = setInterval(() => {}, 1000) // the threads themselves keep no process alive
    const lane = new IngestLane()
    const waiting = [lane.encode(undefined as never), lane.encode({ slab: 0, blocks: 0 })]
    for (const encoding of waiting) await assert.rejects(encoding, TypeError)
    assert.ok(lane.broken.reason instanceof TypeError)
    await assert.rejects(lane.encode({ slab: 0, blocks: 0 }), TypeError)
    await lane.close()
    clearInterval(alive)
  })

  it('keep nothing of an upload that is over', async () => {
    setFlagsFromString('--expose-gc')
    const collectGarbage = runInNewContext('gc') as () => void
    const bench = new IngestBench()
    const archive = tarOf(member({ path: 'a', content: noise(1, 5000) }))
    const made = await (async () => new WeakRef((await bench.take(archive)).flist.bytes))()
    for (let turn = 0; turn < 20 && made.deref() !== undefined; turn++) {
      await new Promise((resolve) => setImmediate(resolve))
      collectGarbage()
    }
    assert.equal(made.deref(), undefined)
  })
})
