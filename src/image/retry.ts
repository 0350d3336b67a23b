import { setTimeout as sleep } from 'node:timers/promises'
import { SECOND_MS } from '../util/units.ts'
import { RegistryError } from './errors.ts'

export interface RetryOptions {
  /** Tries in a row that bring nothing before giving up. */
  readonly tries?: number
  /** Before the second try; twice as long before each next. */
  readonly firstWaitMs?: number
}

const TRIES = 5
const FIRST_WAIT_MS = 500
const LONGEST_WAIT_MS = 8 * SECOND_MS

/** How long to go on asking a server that fails: tries in a row are counted, waits grow, both are bounded. */
export class Retries {
  readonly #tries: number
  readonly #firstWaitMs: number
  #failures = 0

  constructor({ tries = TRIES, firstWaitMs = FIRST_WAIT_MS }: RetryOptions = {}) {
    this.#tries = tries
    this.#firstWaitMs = firstWaitMs
  }

  /** Something came: the count starts again. */
  progress(): void {
    this.#failures = 0
  }

  /** Waits before the next try. @throws `error` when it is none to try again, or when it was the last. */
  async after(error: unknown, signal: AbortSignal): Promise<void> {
    if (!(error instanceof RegistryError) || ++this.#failures >= this.#tries) throw error
    const wait = Math.min(this.#firstWaitMs * 2 ** (this.#failures - 1), LONGEST_WAIT_MS)
    // Half of it by chance, so that those who failed together do not come back together.
    await sleep(wait / 2 + (Math.random() * wait) / 2, undefined, { signal }).catch(() =>
      signal.throwIfAborted(),
    )
  }
}
