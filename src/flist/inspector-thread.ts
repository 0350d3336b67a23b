import { mkdtempSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { LimitError, UnavailableError } from '../errors.ts'
import { MIB, SECOND_MS } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'
import type { Answers, FromThread, Question, ThreadData } from './inspector-protocol.ts'
import type { FlistLimits } from './limits.ts'
import { unpackError } from './worker-errors.ts'

/** What was read of a larger flist stays with the thread, 80 MiB for one of 45,000 files; a new thread takes 60 ms. */
const LARGE_BYTES = 2 * MIB

/** V8 would take 48 MiB of each thread for what is garbage at once. */
const MAX_YOUNG_MIB = 12

export interface InspectorThreadOptions {
  readonly temporaryDirectory: string
  readonly limits: FlistLimits
  readonly timeLimitMs: number
  /** Of the thread's JavaScript heap; what lies outside of it is bounded by `limits`. */
  readonly heapLimitMib: number
}

export interface AskOptions extends AbortOptions {
  /** Takes batches of entries. */
  readonly onBatch?: (batch: Uint8Array) => void
}

interface Running {
  readonly worker: Worker
  readonly folder: string
  /** Set once by whoever asks: how the thread's next words reach them. */
  onMessage: (message: FromThread) => void
  onEnd: (error: Error) => void
}

/**
 * One worker thread, started by the first question and again after it was killed: by the time limit, by memory, by an
 * abort, or because something in it broke. It answers one question at a time: the caller sees to that.
 */
export class InspectorThread {
  readonly #options: InspectorThreadOptions
  #running: Running | undefined
  #ending: Promise<void> = Promise.resolve()

  constructor(options: InspectorThreadOptions) {
    this.#options = options
  }

  /**
   * @throws what reading the flist threw; {LimitError} over the time or memory limit; the signal's reason.
   */
  async ask<K extends Question['kind']>(
    question: Extract<Question, { kind: K }>,
    transfer: readonly ArrayBuffer[],
    { signal, onBatch }: AskOptions = {},
  ): Promise<Answers[K]> {
    await this.#ending
    signal?.throwIfAborted()
    const running = (this.#running ??= this.#start())
    const timer = setTimeout(() => this.#end(running, this.#tooLong()), this.#options.timeLimitMs)
    const onAbort = () => this.#end(running, signal?.reason as Error)
    signal?.addEventListener('abort', onAbort, { once: true })
    running.worker.ref()
    const isLarge =
      question.kind !== 'merge-source' && 'bytes' in question && question.bytes.length > LARGE_BYTES
    try {
      return await new Promise<Answers[K]>((resolve, reject) => {
        running.onEnd = reject
        running.onMessage = (message) => {
          if ('batch' in message) onBatch?.(message.batch)
          else if ('answer' in message) resolve(message.answer as Answers[K])
          else {
            const error = unpackError(message.failure)
            if (message.isBroken) this.#end(running, error)
            else reject(error)
          }
        }
        running.worker.postMessage(question, transfer)
      })
    } finally {
      clearTimeout(timer)
      signal?.removeEventListener('abort', onAbort)
      running.onEnd = () => {}
      running.onMessage = () => {}
      if (isLarge) this.#end(running, new UnavailableError('not needed any more'))
      if (this.#running === running) running.worker.unref() // one that waits for questions keeps nobody up
    }
  }

  /** Ends the thread; a question under way fails. Resolves when it is gone, with its files. */
  async stop(): Promise<void> {
    if (this.#running !== undefined) this.#end(this.#running, new UnavailableError('stopping'))
    await this.#ending
  }

  #start(): Running {
    const { temporaryDirectory, limits, heapLimitMib } = this.#options
    const folder = mkdtempSync(join(temporaryDirectory, 'inspector-'))
    const worker = new Worker(new URL('./inspector-worker.js', import.meta.url), {
      workerData: { temporaryDirectory: folder, limits } satisfies ThreadData,
      resourceLimits: { maxOldGenerationSizeMb: heapLimitMib, maxYoungGenerationSizeMb: MAX_YOUNG_MIB },
    })
    const running: Running = { worker, folder, onMessage: () => {}, onEnd: () => {} }
    worker.on('message', (message: FromThread) => running.onMessage(message))
    worker.on('error', (cause) => this.#end(running, this.#crashed(cause)))
    worker.on('exit', () => this.#end(running, new Error('the thread that reads flists ended')))
    return running
  }

  #end(running: Running, error: Error): void {
    if (this.#running !== running) return
    this.#running = undefined
    running.onEnd(error)
    running.worker.ref()
    this.#ending = running.worker
      .terminate()
      .then(() => rm(running.folder, { recursive: true, force: true }))
      .catch(() => {}) // what stays behind goes when the node starts again
  }

  #tooLong(): LimitError {
    return new LimitError('time to read a flist', this.#options.timeLimitMs / SECOND_MS, 'seconds')
  }

  #crashed(cause: Error): Error {
    if ('code' in cause && cause.code === 'ERR_WORKER_OUT_OF_MEMORY') {
      return new LimitError('memory to read a flist', this.#options.heapLimitMib, 'MiB', { cause })
    }
    return new Error('the thread that reads flists failed', { cause })
  }
}
