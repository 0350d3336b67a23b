import type { Scheduler } from './scheduler.ts'
import type { AbortOptions } from './units.ts'

/** Wakes one waiter early. Rung while nobody waits, it wakes the next one at once. */
export class Bell {
  readonly #scheduler: Scheduler
  #isRung = false
  #wake: (() => void) | undefined

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler
  }

  ring(): void {
    this.#isRung = true
    this.#wake?.()
  }

  /** Until it is rung, or for `ms`: tells whether it was rung. @throws the signal's reason. */
  async wait(ms: number, { signal }: AbortOptions = {}): Promise<boolean> {
    signal?.throwIfAborted()
    if (!this.#isRung) {
      const sleeping = new AbortController()
      const stop = () => sleeping.abort(signal?.reason)
      signal?.addEventListener('abort', stop, { once: true })
      this.#wake = () => sleeping.abort()
      await this.#scheduler.sleep(ms, { signal: sleeping.signal }).catch(() => {})
      this.#wake = undefined
      signal?.removeEventListener('abort', stop)
      signal?.throwIfAborted()
    }
    const wasRung = this.#isRung
    this.#isRung = false
    return wasRung
  }
}
