/** Work that goes on after its request was answered, and what is told of it (hub-api.md §9). In memory. */
import { randomUUID } from 'node:crypto'
import { HubError, isAbort, RateLimitedError } from '../errors.ts'
import { fromUtf8 } from '../util/bytes.ts'
import { HOUR_MS } from '../util/units.ts'
import type { Logger } from '../util/logger.ts'
import type { Clock } from './deps.ts'
import { pythonJson } from './python.ts'

/** `progress` is 0 to 100. The last event of a job is `info` or `error`. */
export type JobEvent =
  | { readonly status: 'update'; readonly message: string; readonly progress: number }
  | { readonly status: 'info'; readonly info: object }
  | { readonly status: 'error'; readonly message: string }

export type Tell = (event: JobEvent) => void

/** Tells how far it is, its end too; what it throws is told as an error. */
export type Work = (tell: Tell, signal: AbortSignal) => Promise<void>

/** Beyond that, updates are dropped: each is only the news of a moment. */
const MAX_EVENTS = 8192
/** Running, or ended and not read yet; beyond it the oldest that ended goes. */
const MAX_JOBS = 1000
const MAX_RUNNING = 32
const KEPT_MS = HOUR_MS
const RETRY_S = 10

interface Job {
  readonly events: JobEvent[]
  readonly ended: Promise<void>
  endedMs: number | undefined
  /** Of readers who wait for news. */
  readonly waiting: Set<() => void>
}

export class Jobs {
  readonly #log: Logger
  readonly #clock: Clock
  readonly #jobs = new Map<string, Job>()
  readonly #stopping = new AbortController()
  #running = 0

  constructor(log: Logger, clock: Clock) {
    this.#log = log
    this.#clock = clock
  }

  /** Begins, and answers the id under which its events are read. @throws {RateLimitedError} when too many run. */
  start(work: Work): string {
    if (this.#running >= MAX_RUNNING) throw new RateLimitedError('too many jobs run already', RETRY_S)
    this.#forgetOld()
    const events: JobEvent[] = []
    const waiting = new Set<() => void>()
    const tell = (event: JobEvent) => {
      if (event.status === 'update' && events.length >= MAX_EVENTS) return
      events.push(event)
      wake(waiting)
    }
    this.#running++
    const ended = this.#run(work, tell).finally(() => {
      this.#running--
      job.endedMs = this.#clock()
      wake(waiting)
    })
    const job: Job = { events, ended, endedMs: undefined, waiting }
    const id = randomUUID()
    this.#jobs.set(id, job)
    return id
  }

  /**
   * All events from the first on, as `text/event-stream`, until the job ends; whoever has read it to its end makes
   * it unknown. `undefined` for an unknown one.
   */
  events(id: string, signal: AbortSignal): AsyncIterable<Uint8Array> | undefined {
    const job = this.#jobs.get(id)
    return job && this.#read(id, job, signal)
  }

  /** Ends every job. Resolves when none is left. */
  async stop(): Promise<void> {
    this.#stopping.abort(new DOMException('the node is stopping', 'AbortError'))
    await Promise.all([...this.#jobs.values()].map(({ ended }) => ended))
  }

  async #run(work: Work, tell: Tell): Promise<void> {
    try {
      this.#stopping.signal.throwIfAborted()
      await work(tell, this.#stopping.signal)
    } catch (error) {
      tell({ status: 'error', message: messageOf(error) })
      if (!(error instanceof HubError) && !isAbort(error)) this.#log.error('a job failed', {}, error)
    }
  }

  async *#read(id: string, job: Job, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for (let at = 0; !signal.aborted;) {
      const event = job.events[at]
      if (event !== undefined) {
        at++
        yield fromUtf8(`data: ${pythonJson(event)}\n\n`)
      } else if (job.endedMs !== undefined) {
        this.#jobs.delete(id)
        return
      } else await news(job, signal)
    }
  }

  #forgetOld(): void {
    for (const [id, { endedMs }] of this.#jobs) {
      if (endedMs === undefined) continue
      if (this.#jobs.size >= MAX_JOBS || endedMs + KEPT_MS < this.#clock()) this.#jobs.delete(id)
    }
  }
}

function news({ waiting }: Job, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      waiting.delete(done)
      signal.removeEventListener('abort', done)
      resolve()
    }
    waiting.add(done)
    signal.addEventListener('abort', done)
  })
}

function wake(waiting: ReadonlySet<() => void>): void {
  for (const done of [...waiting]) done()
}

function messageOf(error: unknown): string {
  if (error instanceof HubError) return error.message
  return isAbort(error) ? 'the node is stopping' : 'internal server error'
}
