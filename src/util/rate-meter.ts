import { SECOND_MS } from './units.ts'

const SECONDS = 10

/** How much came in a second, over the last ten. Callers say what time it is. */
export class RateMeter {
  readonly #amounts = new Float64Array(SECONDS)
  #second = 0

  add(amount: number, nowMs: number): void {
    this.#goTo(nowMs)
    const at = this.#second % SECONDS
    this.#amounts[at] = (this.#amounts[at] ?? 0) + amount
  }

  perS(nowMs: number): number {
    this.#goTo(nowMs)
    return this.#amounts.reduce((sum, amount) => sum + amount, 0) / SECONDS
  }

  #goTo(nowMs: number): void {
    const second = Math.floor(nowMs / SECOND_MS)
    for (let next = Math.max(this.#second, second - SECONDS) + 1; next <= second; next++)
      this.#amounts[next % SECONDS] = 0
    this.#second = Math.max(this.#second, second)
  }
}
