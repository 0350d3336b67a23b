import { compareTimes } from '../format/operation.ts'
import type { HybridTime } from '../format/operation.ts'
import { MINUTE_MS } from '../util/units.ts'

/** Unix milliseconds. */
export type Clock = () => number

/** How far a time may be ahead of this node's wall clock and still be believed. Replication.md 2.5. */
export const MAX_AHEAD_MS = 10 * MINUTE_MS

/** Times of operations: near the wall clock, and later than every operation known here that is not too far ahead. */
export class HybridClock {
  readonly #wall: Clock
  #known: HybridTime = { ms: 0, counter: 0 }

  constructor(wall: Clock) {
    this.#wall = wall
  }

  /** Counts an operation as known; a time too far ahead is passed over, for it would drag every clock along. */
  observe(time: HybridTime): void {
    if (time.ms > this.#wall() + MAX_AHEAD_MS) return
    if (compareTimes(time, this.#known) > 0) this.#known = time
  }

  next(): HybridTime {
    const wallMs = Math.floor(this.#wall())
    const { ms, counter } = this.#known
    const isFollowing = ms >= wallMs && ms <= wallMs + MAX_AHEAD_MS
    this.#known = isFollowing ? { ms, counter: counter + 1 } : { ms: wallMs, counter: 0 }
    return this.#known
  }
}
