/** Until it is measured: 20 MB/s. */
const FIRST_MS_PER_BYTE = 1 / 20_000
/** Slower counts as no slower: what is multiplied by it stays a time. */
const SLOWEST_MS_PER_BYTE = 1
/** Of what was known before, with each measurement. */
const KEPT = 0.8
/** Deviations that are no reason to worry, as in RFC 6298. */
const DEVIATIONS = 4

/**
 * How long the bytes of one peer take: the mean of what came lately and how far single chunks are from it. Sums of times
 * over sums of bytes, so that chunks of all sizes, and several that come at once, add up to what passed.
 */
export class Pace {
  #ms = 0
  #bytes = 0
  #deviationMs = 0
  /** Of what it delivers late. */
  #factor = 1

  get isMeasured(): boolean {
    return this.#bytes > 0
  }

  /** So many bytes came so long after those before them, or after they were asked for. */
  measure(bytes: number, tookMs: number): void {
    const offMs = this.isMeasured ? Math.abs(tookMs - this.expectedMs(bytes)) : tookMs / 2
    this.#ms = KEPT * this.#ms + tookMs
    this.#bytes = KEPT * this.#bytes + bytes
    this.#deviationMs = KEPT * this.#deviationMs + offMs
    this.#factor = 1
  }

  expectedMs(bytes: number): number {
    return bytes * this.#msPerByte
  }

  /** Longer than that is more than chance. */
  patienceMs(bytes: number): number {
    const deviation = this.isMeasured ? this.#deviationMs / this.#bytes : 0
    return bytes * (this.#msPerByte + DEVIATIONS * Math.min(deviation, SLOWEST_MS_PER_BYTE))
  }

  /** What comes in so many milliseconds. */
  bytesIn(ms: number): number {
    return ms / Math.max(this.#msPerByte, Number.MIN_VALUE)
  }

  /** It broke its word: half as fast, until it delivers. */
  halve(): void {
    this.#factor *= 2
  }

  get #msPerByte(): number {
    const measured = this.isMeasured ? this.#ms / this.#bytes : FIRST_MS_PER_BYTE
    return Math.min(SLOWEST_MS_PER_BYTE, this.#factor * measured)
  }
}
