import { setImmediate as turn } from 'node:timers/promises'
import type { Scheduler } from '../../src/util/scheduler.ts'
import type { AbortOptions } from '../../src/util/units.ts'

interface Event {
  readonly atMs: number
  readonly order: number
  readonly happen: () => void
}

/**
 * Virtual time and seeded chance: what is scheduled happens in one order that the seed decides, and a minute of it takes
 * no longer than the work in it.
 */
export class Simulation implements Scheduler {
  #nowMs: number
  #order = 0
  #state: number
  #events: Event[] = []

  constructor(seed: number, startMs = 1_700_000_000_000) {
    this.#state = seed >>> 0
    this.#nowMs = startMs
  }

  now(): number {
    return this.#nowMs
  }

  /** Mulberry32. */
  random(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }

  after(ms: number, happen: () => void): Event {
    const event = { atMs: this.#nowMs + ms, order: this.#order++, happen }
    let at = this.#events.length
    while (at > 0 && isBefore(event, this.#events[at - 1])) at--
    this.#events.splice(at, 0, event)
    return event
  }

  cancel(event: Event): void {
    const at = this.#events.indexOf(event)
    if (at >= 0) this.#events.splice(at, 1)
  }

  sleep(ms: number, { signal }: AbortOptions = {}): Promise<void> {
    if (signal?.aborted === true) return Promise.reject(signal.reason as Error)
    return new Promise((resolve, reject) => {
      const stop = () => {
        this.cancel(event)
        reject(signal?.reason as Error)
      }
      const event = this.after(ms, () => {
        signal?.removeEventListener('abort', stop)
        resolve()
      })
      signal?.addEventListener('abort', stop, { once: true })
    })
  }

  /** Lets so much time pass, and everything happen that comes due in it. */
  async run(ms: number): Promise<void> {
    const endMs = this.#nowMs + ms
    await turn()
    for (;;) {
      const next = this.#events[0]
      if (next === undefined || next.atMs > endMs) break
      this.#events.shift()
      this.#nowMs = Math.max(this.#nowMs, next.atMs)
      next.happen()
      await turn()
    }
    this.#nowMs = endMs
  }
}

function isBefore(event: Event, other: Event | undefined): boolean {
  return (
    other !== undefined &&
    (event.atMs < other.atMs || (event.atMs === other.atMs && event.order < other.order))
  )
}
