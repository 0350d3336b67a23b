import type { Clock } from './deps.ts'

export interface RateLimit {
  /** How many at once. */
  readonly burst: number
  /** How many a second, in the long run. */
  readonly perSecond: number
}

/** Addresses remembered at most; beyond that the longest unseen is forgotten. */
const MAX_ADDRESSES = 10_000

/** A token bucket an address. A full bucket is not kept. */
export class AddressLimiter {
  readonly #limit: RateLimit
  readonly #clock: Clock
  readonly #buckets = new Map<string, { tokens: number; atMs: number }>()

  constructor(limit: RateLimit, clock: Clock) {
    this.#limit = limit
    this.#clock = clock
  }

  /** Seconds to wait before the next `take` succeeds; 0 when it would now. */
  waitS(address: string): number {
    const tokens = this.#tokens(address)
    return tokens >= 1 ? 0 : Math.max(1, Math.ceil((1 - tokens) / this.#limit.perSecond))
  }

  take(address: string): void {
    const tokens = this.#tokens(address)
    this.#buckets.delete(address)
    this.#buckets.set(address, { tokens: Math.max(0, tokens - 1), atMs: this.#clock() })
    for (const oldest of this.#buckets.keys()) {
      if (this.#buckets.size <= MAX_ADDRESSES) break
      this.#buckets.delete(oldest)
    }
  }

  #tokens(address: string): number {
    const bucket = this.#buckets.get(address)
    if (bucket === undefined) return this.#limit.burst
    const gained = ((this.#clock() - bucket.atMs) / 1000) * this.#limit.perSecond
    return Math.min(this.#limit.burst, bucket.tokens + Math.max(0, gained))
  }
}
