import { UnavailableError } from '../errors.ts'
import type { FlistId } from '../store/flist-store.ts'
import { toHex } from '../util/bytes.ts'
import type { Logger } from '../util/logger.ts'
import type { Scheduler } from '../util/scheduler.ts'
import { Semaphore } from '../util/semaphore.ts'
import { MINUTE_MS, SECOND_MS } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'
import { Bell } from '../util/bell.ts'
import { within } from './deadline.ts'

const FIRST_RETRY_MS = SECOND_MS
/** Files and lists are small, and a name may show with them. */
const PARTIAL_AT_ONCE = 8
const WHOLE_AT_ONCE = 4
/** Under way or waiting for their turn. */
const MAX_TASKS = 256
/** One of which nothing came for so long lets others go first; what came of it stays. */
const PATIENCE_MS = MINUTE_MS

export interface ProgressOptions extends AbortOptions {
  /** Something has come. */
  readonly onProgress?: () => void
}

export interface FlistQueueDeps {
  /** Ids of flists that names lead to and that are not here whole. */
  readonly awaited: () => Iterable<FlistId>
  /** Brings file and chunk list. */
  readonly fetchPartial: (id: FlistId, options: ProgressOptions) => Promise<void>
  /** Then the chunks. */
  readonly complete: (id: FlistId, options: ProgressOptions) => Promise<void>
  /** More of it is here, and durable. */
  readonly arrived: (id: FlistId) => Promise<void>
  readonly scheduler: Scheduler
  readonly log: Logger
}

interface Failure {
  readonly retryMs: number
  readonly againMs: number
}

/** Fetches what this node's names lead to, again and again until it is here or they lead elsewhere. */
export class FlistQueue {
  readonly #deps: FlistQueueDeps
  readonly #bell: Bell
  readonly #stopping = new AbortController()
  readonly #partialTurns = new Semaphore(PARTIAL_AT_ONCE)
  readonly #wholeTurns = new Semaphore(WHOLE_AT_ONCE)
  readonly #tasks = new Map<string, { readonly stopping: AbortController; readonly ended: Promise<void> }>()
  readonly #failures = new Map<string, Failure>()
  #ended: Promise<void> = Promise.resolve()
  #failed = 0

  constructor(deps: FlistQueueDeps) {
    this.#deps = deps
    this.#bell = new Bell(deps.scheduler)
  }

  start(): void {
    this.#ended = this.#run(this.#stopping.signal)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#ended
    for (const { stopping } of this.#tasks.values()) stopping.abort()
    await Promise.all([...this.#tasks.values()].map(({ ended }) => ended))
  }

  /** How often a flist could not be had, since the start. */
  get failures(): number {
    return this.#failed
  }

  /** Something may have come to fetch, or somebody to fetch from. */
  ring(): void {
    this.#bell.ring()
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const waitMs = this.#review()
      await this.#bell.wait(waitMs, { signal }).catch(() => {})
    }
  }

  /** Begins what is due and ends what nobody waits for. Answers when to look again. */
  #review(): number {
    const { awaited, scheduler } = this.#deps
    const ids = new Map([...awaited()].map((id) => [toHex(id), id]))
    for (const [key, { stopping }] of this.#tasks) if (!ids.has(key)) stopping.abort()
    for (const key of this.#failures.keys()) if (!ids.has(key)) this.#failures.delete(key)
    const nowMs = scheduler.now()
    let waitMs = MINUTE_MS
    for (const [key, id] of ids) {
      if (this.#tasks.has(key)) continue
      const dueMs = (this.#failures.get(key)?.againMs ?? nowMs) - nowMs
      if (dueMs > 0) waitMs = Math.min(waitMs, dueMs)
      else if (this.#tasks.size < MAX_TASKS) this.#begin(key, id)
    }
    return waitMs
  }

  #begin(key: string, id: FlistId): void {
    const stopping = new AbortController()
    const ended = this.#bring(key, id, stopping.signal).finally(() => {
      this.#tasks.delete(key)
      // For one that came there may be room for others; all awaited ones are looked at, so not each time.
      if (stopping.signal.aborted || this.#failures.has(key) || this.#tasks.size < MAX_TASKS / 2) this.ring()
    })
    this.#tasks.set(key, { stopping, ended })
  }

  async #bring(key: string, id: FlistId, signal: AbortSignal): Promise<void> {
    const { scheduler, log } = this.#deps
    try {
      await this.#step(id, signal)
      this.#failures.delete(key)
    } catch (error) {
      if (signal.aborted) return
      this.#failed++
      const retryMs = Math.min(2 * (this.#failures.get(key)?.retryMs ?? FIRST_RETRY_MS / 2), MINUTE_MS)
      const againMs = scheduler.now() + retryMs * (0.5 + scheduler.random())
      this.#failures.set(key, { retryMs, againMs })
      const why = error instanceof Error ? error.message : String(error)
      log.debug(`a flist is not here yet: ${why}`, { flist: toHex(id) })
    }
  }

  async #step(id: FlistId, signal: AbortSignal): Promise<void> {
    const { fetchPartial, complete, arrived } = this.#deps
    await this.#patiently(this.#partialTurns, signal, (options) => fetchPartial(id, options))
    await arrived(id)
    await this.#patiently(this.#wholeTurns, signal, (options) => complete(id, options))
    await arrived(id)
  }

  /** One that nobody has whole does not hold up the others for longer than its patience. */
  #patiently(
    turns: Semaphore,
    signal: AbortSignal,
    work: (options: ProgressOptions) => Promise<void>,
  ): Promise<void> {
    const late = () => new UnavailableError('nobody has all of it')
    return turns.run(
      () =>
        within(
          this.#deps.scheduler,
          PATIENCE_MS,
          late,
          (both, again) => work({ signal: both, onProgress: again }),
          { signal },
        ),
      { signal },
    )
  }
}
