/** Work that goes on after its request was answered, and what is told of it (hub-api.md §9). In memory. */
import { randomUUID } from 'node:crypto'
import { setMaxListeners } from 'node:events'
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

/** Of a job. Beyond that, updates are dropped: each is only the news of a moment. */
const MAX_EVENTS = 1024
/** Of a message, in characters. With the others, what jobs take in memory: at most about 100 MiB. */
const MAX_MESSAGE = 1024
/** Running, or ended within the hour; beyond it the oldest that ended goes. */
const MAX_JOBS = 256
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
    setMaxListeners(0, this.#stopping.signal) // each job may have several
  }

  /** Begins, and answers the id under which its events are read. @throws {RateLimitedError} when too many run. */
  start(work: Work): string {
    if (this.#running >= MAX_RUNNING) throw new RateLimitedError('too many jobs run already', RETRY_S)
    this.#makeRoom()
    const events: JobEvent[] = []
    const waiting = new Set<() => void>()
    const tell = (event: JobEvent) => {
      if (event.status === 'update' && events.length >= MAX_EVENTS) return
      events.push(cut(event))
      wake(waiting)
    }
    this.#running++
    const ended = this.#run(work, tell).finally(() => {
      this.#running--
      job.endedMs = this.#clock()
      wake(waiting)
    })
    const job: Job = { events, ended, endedMs: undefined, waiting }
    return this.#keep(job)
  }

  /** A job that is over: what came of it is told to whoever asks. */
  record(events: readonly JobEvent[]): string {
    this.#makeRoom()
    const ended = Promise.resolve()
    return this.#keep({ events: events.map(cut), ended, endedMs: this.#clock(), waiting: new Set() })
  }

  /**
   * All events from the first on, as `text/event-stream`, until the job ends: the same for every reader, for an hour
   * after its end (hub-departures 26). `undefined` for an unknown job.
   */
  events(id: string, signal: AbortSignal): AsyncIterable<Uint8Array> | undefined {
    this.#forgetOld()
    const job = this.#jobs.get(id)
    return job && readEvents(job, signal)
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

  #keep(job: Job): string {
    const id = randomUUID()
    this.#jobs.set(id, job)
    return id
  }

  #forgetOld(): void {
    for (const [id, { endedMs }] of this.#jobs) {
      if (endedMs !== undefined && endedMs + KEPT_MS <= this.#clock()) this.#jobs.delete(id)
    }
  }

  #makeRoom(): void {
    this.#forgetOld()
    for (const [id, { endedMs }] of this.#jobs) {
      if (this.#jobs.size < MAX_JOBS) return
      if (endedMs !== undefined) this.#jobs.delete(id)
    }
  }
}

/** A slow reader keeps nothing but its place. */
async function* readEvents(job: Job, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  for (let at = 0; !signal.aborted;) {
    const event = job.events[at]
    if (event !== undefined) {
      at++
      yield fromUtf8(`data: ${pythonJson(event)}\n\n`)
    } else if (job.endedMs !== undefined) return
    else await news(job, signal)
  }
}

function cut(event: JobEvent): JobEvent {
  if (event.status === 'info' || event.message.length <= MAX_MESSAGE) return event
  return { ...event, message: `${event.message.slice(0, MAX_MESSAGE)}…` }
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
