import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import { INGEST_LIMITS } from '../../src/flist/ingest-limits.ts'
import type { FromIngest } from '../../src/flist/ingest-messages.ts'
import { Upload } from '../../src/flist/upload.ts'
import { packError } from '../../src/flist/worker-errors.ts'

describe('an upload that has failed', () => {
  it('begins nothing more while it waits for what is under way', async () => {
    const { port1: port, port2: worker } = new MessageChannel()
    const tell = (message: FromIngest) => worker.postMessage(message)
    const begun: number[] = []
    let store = () => {}
    const stored = new Promise<void>((resolve) => (store = resolve))
    const slabs = {
      identify: async (slab: number) => {
        begun.push(slab)
        upload.fail(new Error('the disk is full'))
        return () => stored
      },
    }
    const runs = { read: () => new Uint8Array(), write: async () => void begun.push(-1) }
    const list = async () => ({ count: 0, bytes: 0, groups: [], pages: [] })
    const upload = new Upload({ port, slabs, runs, list, limits: INGEST_LIMITS, metadata: () => new Map() })
    const run = upload.run((async function* () {})())
    run.catch(() => {})
    tell({ type: 'slab', slab: 3, blocks: 1 })
    await once(worker, 'message') // its answer: that slab is under way
    tell({ type: 'slab', slab: 4, blocks: 1 })
    tell({ type: 'writeRun', run: 0, pages: [] })
    tell({ type: 'failed', error: packError(new Error('too late')) })
    while (!upload.isWorkerIdle) await new Promise((resolve) => setImmediate(resolve))
    store()
    await assert.rejects(run, /the disk is full/)
    assert.deepEqual(begun, [3])
  })
})
