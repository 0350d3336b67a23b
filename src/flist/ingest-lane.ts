import { MessageChannel, Worker } from 'node:worker_threads'
import type { MessagePort } from 'node:worker_threads'
import { LimitError, UnavailableError } from '../errors.ts'
import type { EncodeAnswer, EncodeJob, IngestJob, SharedMemory } from './ingest-messages.ts'
import { OutputPool } from './output-pool.ts'
import { createSlabMemory } from './slab-memory.ts'
import { unpackError } from './worker-errors.ts'

/** Heap of the ingest worker: what its limits let in stays far below. */
const MAX_HEAP_MIB = 768
/** V8 would let garbage grow to 48 MiB in each thread. */
const MAX_YOUNG_MIB = 12

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** Two threads and the memory they share with this one; they serve one upload after the other. */
export class IngestLane {
  /** A view of the shared memory. */
  readonly bytes: Uint8Array
  /** For encoded slabs, in memory of this thread alone. */
  readonly outputs = new OutputPool()
  /** Aborted when a thread has ended, with what happened as its reason. */
  readonly broken: AbortSignal
  readonly #ingest: Worker
  readonly #encoder: Worker
  /** Who waits for the encoder, in order. */
  readonly #encoding: Waiter[] = []
  readonly #breaking = new AbortController()

  constructor() {
    this.broken = this.#breaking.signal
    const memory = createSlabMemory()
    this.bytes = new Uint8Array(memory.buffer)
    const workerData: SharedMemory = { memory }
    this.#ingest = new Worker(new URL('./ingest-worker.js', import.meta.url), {
      workerData,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MIB, maxYoungGenerationSizeMb: MAX_YOUNG_MIB },
    })
    this.#encoder = new Worker(new URL('./encode-worker.js', import.meta.url), {
      workerData,
      resourceLimits: { maxYoungGenerationSizeMb: MAX_YOUNG_MIB },
    })
    this.#encoder.on('message', (answer: EncodeAnswer) => this.#encoded(answer))
    for (const worker of [this.#ingest, this.#encoder]) {
      worker.unref() // an idle lane keeps no process alive
      worker.on('error', (error) => this.#break(threadError(error)))
      worker.on('exit', () => this.#break(new UnavailableError('a thread of the upload has ended')))
    }
  }

  /** Hands the ingest worker an upload; answers this end of its port. */
  begin(job: Omit<IngestJob, 'port'>): MessagePort {
    const { port1, port2 } = new MessageChannel()
    this.#ingest.postMessage({ ...job, port: port2 } satisfies IngestJob, [port2])
    return port1
  }

  /** Encodes the jobs of a slab; calls are served in order. @throws the reason of `broken`. */
  async encode(job: EncodeJob): Promise<void> {
    this.broken.throwIfAborted()
    this.#encoder.postMessage(job)
    this.#encoder.ref() // while somebody waits; the upload's port may be closed by then
    return await new Promise((resolve, reject) => this.#encoding.push({ resolve, reject }))
  }

  /** Ends the threads, whatever they do. */
  async close(): Promise<void> {
    await Promise.all([this.#ingest.terminate(), this.#encoder.terminate()])
  }

  /** Nobody waits for a thread that is gone. */
  #break(error: Error): void {
    this.#breaking.abort(error)
    for (const { reject } of this.#encoding.splice(0)) reject(error)
  }

  #encoded(answer: EncodeAnswer): void {
    const waiter = this.#encoding.shift()
    if (this.#encoding.length === 0) this.#encoder.unref()
    if (answer === undefined) waiter?.resolve()
    else waiter?.reject(unpackError(answer))
  }
}

function threadError(error: Error & { code?: string }): Error {
  if (error.code !== 'ERR_WORKER_OUT_OF_MEMORY') return error
  return new LimitError('memory for the tree of an archive', MAX_HEAP_MIB, 'MiB', { cause: error })
}
