import type { PlannedPeer } from './planned-peer.ts'

/** A chunk that is to be fetched, by a key of the caller's. */
export interface Want {
  readonly key: string
  readonly lengthBytes: number
}

export interface Wanted extends Want {
  /** They say so. */
  readonly heldBy: Set<PlannedPeer>
  /** It is on its way from them. */
  readonly askedOf: Set<PlannedPeer>
  /** It came, or nobody waits for it any more. */
  isOver: boolean
}

/** Those that are over are let go of once there are so many more of them than others. */
const MAX_OVER = 256

/** What is wanted, in the order of asking: urgent ones as they came, all others by chance. */
export class Wants {
  readonly #random: () => number
  readonly #wants = new Map<string, Wanted>()
  /** From `#head` on; some are over. */
  #order: Wanted[] = []
  #head = 0
  #urgent: Wanted[] = []

  constructor(random: () => number) {
    this.#random = random
  }

  get size(): number {
    return this.#wants.size
  }

  get(key: string): Wanted | undefined {
    return this.#wants.get(key)
  }

  all(): Iterable<Wanted> {
    return this.#wants.values()
  }

  /** What was wanted before can become urgent. */
  add(wants: readonly Want[], isUrgent: boolean): void {
    const added: Wanted[] = []
    for (const { key, lengthBytes } of wants) {
      const before = this.#wants.get(key)
      if (before !== undefined && !isUrgent) continue
      const want = before ?? { key, lengthBytes, heldBy: new Set(), askedOf: new Set(), isOver: false }
      this.#wants.set(key, want)
      added.push(want)
    }
    if (isUrgent) this.#urgent.push(...added)
    else for (const want of shuffled(added, this.#random)) this.#order.push(want)
  }

  delete(key: string): boolean {
    const want = this.#wants.get(key)
    if (want === undefined) return false
    want.isOver = true
    return this.#wants.delete(key)
  }

  /** The next ones; an urgent one may come twice. */
  *next(count: number): Generator<Wanted> {
    this.#tidy()
    let left = count
    for (const want of this.#urgent) if (left-- > 0) yield want
    for (let at = this.#head; at < this.#order.length && left > 0; at++) {
      const want = this.#order[at]
      if (want === undefined || want.isOver) continue
      left--
      yield want
    }
  }

  #tidy(): void {
    if (this.#urgent.some(({ isOver }) => isOver)) this.#urgent = this.#urgent.filter(({ isOver }) => !isOver)
    while (this.#order[this.#head]?.isOver === true) this.#head++
    if (this.#order.length <= 2 * this.#wants.size + MAX_OVER) return
    this.#order = this.#order.slice(this.#head).filter(({ isOver }) => !isOver)
    this.#head = 0
  }
}

/** Fisher and Yates. */
function shuffled<T>(all: T[], random: () => number): T[] {
  for (let at = all.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1))
    const [one, swapped] = [all[at], all[other]] as [T, T]
    all[at] = swapped
    all[other] = one
  }
  return all
}
