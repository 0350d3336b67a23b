/** Numbers of a page, a bit each. */
const PAGE = 65_536
const FULL = 0xff

/** A set of numbers that lie close together: ten million take little more than a megabyte. */
export class NumberSet {
  /** By number / PAGE. */
  readonly #pages = new Map<number, Uint8Array>()

  add(number: number): void {
    const index = Math.floor(number / PAGE)
    let page = this.#pages.get(index)
    if (page === undefined) this.#pages.set(index, (page = new Uint8Array(PAGE / 8)))
    const bit = number % PAGE
    page[bit >> 3] = (page[bit >> 3] ?? 0) | (1 << (bit & 7))
  }

  /** Stretches below `end` without any of the numbers, in order, each as long as possible. */
  *gaps(end: number): Generator<{ readonly from: number; readonly to: number }> {
    let from = 0
    for (const [first, byte] of this.#bytes()) {
      if (byte === FULL && from === first) {
        from += 8
        continue
      }
      for (let number = first; number < Math.min(first + 8, end); number++) {
        if ((byte & (1 << (number - first))) === 0) continue
        if (number > from) yield { from, to: number }
        from = number + 1
      }
    }
    if (from < end) yield { from, to: end }
  }

  /** Eight numbers each, from the first on; none without any. */
  *#bytes(): Generator<readonly [first: number, byte: number]> {
    for (const index of [...this.#pages.keys()].sort((a, b) => a - b)) {
      for (const [at, byte] of (this.#pages.get(index) ?? []).entries()) {
        if (byte !== 0) yield [index * PAGE + at * 8, byte]
      }
    }
  }
}
