/** Thread: encodes the blocks of slabs, as they are told, in their order. */
import { parentPort, workerData } from 'node:worker_threads'
import { createSlabEncoder } from '../format/slab-encoder.ts'
import type { EncodeAnswer, EncodeJob, SharedMemory } from './ingest-messages.ts'
import { SCRATCH_AT, slabPlace } from './slab-memory.ts'
import { packError } from './worker-errors.ts'
import { workInBackground } from '../util/thread-priority.ts'

if (parentPort === null) throw new Error('this is a worker')
workInBackground()
const main = parentPort
const encoder = await createSlabEncoder((workerData as SharedMemory).memory, SCRATCH_AT)

main.on('message', (job: EncodeJob) => {
  main.postMessage(encode(job))
})

function encode({ slab, blocks }: EncodeJob): EncodeAnswer {
  const { jobsAt, outputAt } = slabPlace(slab)
  try {
    encoder.encode(jobsAt, blocks, outputAt)
    return undefined
  } catch (error) {
    return packError(error)
  }
}
