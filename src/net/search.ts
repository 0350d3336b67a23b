import { withDeadline } from '../util/deadline.ts'
import type { Logger } from '../util/logger.ts'
import type { Scheduler } from '../util/scheduler.ts'
import { MINUTE_MS, SECOND_MS } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'
import { backOffMs } from './dial-plan.ts'
import type { PeerHost } from './peer-host.ts'

/** A peer that somebody says is at these addresses: a hint, to be proved by its handshake. */
export interface FoundPeer {
  readonly peer: Uint8Array
  readonly addresses: readonly string[]
}

/** A way to find members: the DHT, for instance. */
export interface Finder {
  find(options?: AbortOptions): Promise<readonly FoundPeer[]>
}

export interface SearchDeps {
  readonly host: PeerHost
  readonly scheduler: Scheduler
  readonly log: Logger
  readonly finders: readonly Finder[]
  readonly onFound: (found: FoundPeer) => void
}

/** Between two searches while neighbours are missing, at first and at last; and when none are missing. */
const FIRST_MS = 5 * SECOND_MS
const LAST_MS = 5 * MINUTE_MS
const QUIET_MS = 30 * MINUTE_MS
const CONNECT_MS = 10 * SECOND_MS
const FIND_MS = MINUTE_MS

/** When to look for members, and how: first the rendezvous nodes are called, then each finder is asked. */
export class Search {
  dueMs: number
  readonly #deps: SearchDeps
  readonly #bootstrap: readonly string[]
  #fruitless = 0
  #lastMs = -Infinity
  #isRunning = false

  constructor(deps: SearchDeps, bootstrap: readonly string[]) {
    this.#deps = deps
    this.#bootstrap = bootstrap
    const { scheduler, finders } = deps
    const canSearch = finders.length + bootstrap.length > 0
    this.dueMs = canSearch ? scheduler.now() + SECOND_MS * scheduler.random() : Infinity
  }

  /** Something was lost, or is new. */
  soon(): void {
    if (this.dueMs === Infinity || this.#isRunning) return
    const { scheduler } = this.#deps
    this.#fruitless = 0
    const soonMs = scheduler.now() + SECOND_MS * scheduler.random()
    this.dueMs = Math.min(this.dueMs, Math.max(soonMs, this.#lastMs + FIRST_MS))
  }

  /** One search; never rejects. `isMissing` is asked at its end. */
  async run(signal: AbortSignal, isMissing: () => boolean): Promise<void> {
    const { scheduler, finders } = this.#deps
    this.#isRunning = true
    this.dueMs = scheduler.now() + LAST_MS // should this search hang
    this.#lastMs = scheduler.now()
    await Promise.all(this.#bootstrap.map((address) => this.#connect(address, signal)))
    await Promise.all(finders.map((finder) => this.#ask(finder, signal)))
    this.#fruitless++
    this.#isRunning = false
    const waitMs = isMissing()
      ? Math.min((FIRST_MS / SECOND_MS) * backOffMs(this.#fruitless, scheduler.random()), LAST_MS)
      : QUIET_MS * (1 - scheduler.random() / 2)
    this.dueMs = scheduler.now() + waitMs
  }

  async #connect(address: string, signal: AbortSignal): Promise<void> {
    const { host, scheduler, log } = this.#deps
    try {
      await withDeadline({ scheduler, ms: CONNECT_MS, signal }, (whole) =>
        host.connect(address, { signal: whole }),
      )
    } catch (error) {
      if (!signal.aborted) log.debug(`a rendezvous node is not there: ${messageOf(error)}`, { address })
    }
  }

  async #ask(finder: Finder, signal: AbortSignal): Promise<void> {
    const { scheduler, log, onFound } = this.#deps
    try {
      const found = await withDeadline({ scheduler, ms: FIND_MS, signal }, (whole) =>
        finder.find({ signal: whole }),
      )
      for (const one of found) onFound(one)
    } catch (error) {
      if (!signal.aborted) log.debug(`a search for members failed: ${messageOf(error)}`)
    }
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
