/** Time spent on something, without the waits in between; calls `onOver` once when it is over `maxMs`. */
export class WorkClock {
  readonly #onOver: () => void
  #leftMs: number
  #startedMs: number | undefined
  #timer: NodeJS.Timeout | undefined

  constructor(maxMs: number, onOver: () => void) {
    this.#onOver = onOver
    this.#leftMs = maxMs
    this.resume()
  }

  resume(): void {
    if (this.#startedMs !== undefined) return
    this.#startedMs = performance.now()
    this.#timer = setTimeout(this.#onOver, Math.min(Math.max(this.#leftMs, 0), 2 ** 31 - 1))
    this.#timer.unref()
  }

  pause(): void {
    if (this.#startedMs === undefined) return
    clearTimeout(this.#timer)
    this.#leftMs -= performance.now() - this.#startedMs
    this.#startedMs = undefined
  }
}
