import { SECOND_MS } from './units.ts'

/**
 * So many units a second, and at once as many as a bucket holds. Without time of its own: callers say what time it is,
 * in milliseconds that never go back.
 */
export class TokenBucket {
  readonly #perMs: number
  readonly #capacity: number
  #left: number
  #atMs: number

  /** Full at `nowMs`. A bucket of a fifth of a second, unless `capacity` says otherwise. */
  constructor(perS: number, nowMs: number, capacity = perS / 5) {
    this.#perMs = perS / SECOND_MS
    this.#capacity = capacity
    this.#left = capacity
    this.#atMs = nowMs
  }

  /** Milliseconds until something may be taken; 0 = now. */
  waitMs(nowMs: number): number {
    this.#fill(nowMs)
    return this.#left > 0 ? 0 : Math.max(1, Math.ceil(-this.#left / this.#perMs))
  }

  /** Takes while anything is left, also more than that: what comes next waits the longer. */
  take(units: number, nowMs: number): void {
    this.#fill(nowMs)
    this.#left -= units
  }

  /** What was taken was not used. */
  giveBack(units: number): void {
    this.#left = Math.min(this.#capacity, this.#left + units)
  }

  #fill(nowMs: number): void {
    this.#left = Math.min(this.#capacity, this.#left + Math.max(0, nowMs - this.#atMs) * this.#perMs)
    this.#atMs = Math.max(this.#atMs, nowMs)
  }
}
