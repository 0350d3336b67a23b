import { UnavailableError } from '../errors.ts'
import type { FlistId } from '../store/flist-store.ts'
import { toHex } from '../util/bytes.ts'
import type { Logger } from '../util/logger.ts'
import type { Scheduler } from '../util/scheduler.ts'
import { Semaphore } from '../util/semaphore.ts'
import { MINUTE_MS, SECOND_MS } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'
import { Bell } from '../util/bell.ts'

const FIRST_RETRY_MS = SECOND_MS
const AT_ONCE = 4
/** One that is not whole by then goes to the end of the line; what came of it stays. */
const PATIENCE_MS = 10 * MINUTE_MS

export interface FlistQueueDeps {
  /** Ids of flists that names lead to and that are not here. */
  readonly awaited: () => Iterable<FlistId>
  readonly fetch: (id: FlistId, options: AbortOptions) => Promise<void>
  /** It is here, whole and durable. */
  readonly arrived: (id: FlistId) => Promise<void>
  readonly scheduler: Scheduler
  readonly log: Logger
}

/** Fetches what this node's names lead to, again and again until it is here. */
export class FlistQueue {
  readonly #deps: FlistQueueDeps
  readonly #bell: Bell
  readonly #stopping = new AbortController()
  #ended: Promise<void> = Promise.resolve()

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
  }

  /** Something may have come to fetch, or somebody to fetch from. */
  ring(): void {
    this.#bell.ring()
  }

  async #run(signal: AbortSignal): Promise<void> {
    let retryMs = FIRST_RETRY_MS
    while (!signal.aborted) {
      const failed = await this.#fetchAll(signal)
      retryMs = failed === 0 ? FIRST_RETRY_MS : Math.min(2 * retryMs, MINUTE_MS)
      const wait = this.#bell.wait(failed === 0 ? MINUTE_MS : retryMs, { signal })
      await wait.catch(() => {})
    }
  }

  /** How many could not be had. A few at once, so that one which nobody has whole does not hold up the others. */
  async #fetchAll(signal: AbortSignal): Promise<number> {
    const ids = new Map([...this.#deps.awaited()].map((id) => [toHex(id), id]))
    const turns = new Semaphore(AT_ONCE)
    const results = await Promise.all([...ids.values()].map((id) => turns.run(() => this.#fetch(id, signal))))
    return results.filter((isHere) => !isHere).length
  }

  async #fetch(id: FlistId, signal: AbortSignal): Promise<boolean> {
    const { fetch, arrived, log, scheduler } = this.#deps
    if (signal.aborted) return false
    const ending = new AbortController()
    const stop = () => ending.abort(signal.reason)
    signal.addEventListener('abort', stop, { once: true })
    const late = scheduler.sleep(PATIENCE_MS, { signal: ending.signal }).then(
      () => ending.abort(new UnavailableError('nobody has all of it')),
      () => {},
    )
    try {
      await fetch(id, { signal: ending.signal })
      await arrived(id)
      return true
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      if (!signal.aborted) log.debug(`a flist is not here yet: ${why}`, { flist: toHex(id) })
      return false
    } finally {
      signal.removeEventListener('abort', stop)
      ending.abort()
      await late
    }
  }
}
