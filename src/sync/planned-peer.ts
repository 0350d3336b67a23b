import { MIB, MINUTE_MS } from '../util/units.ts'

/** Chunks on their way from one peer: at first, and at most. Replication.md 2.11, as the next. */
const FIRST_WINDOW = 4
const MAX_WINDOW = 16
/** libp2p breaks a stream whose unread bytes pass 4 MiB. */
const MAX_BYTES = 3 * MIB
/** Until it is measured: 20 MB/s. */
const FIRST_BYTES_PER_MS = 20_000
/** Slower counts as no slower: what is divided by it stays a time. */
const SLOWEST_BYTES_PER_MS = 1
/** A chunk that a peer said it has and then did not give is not asked of it again for so long; collectors do that, too. */
const DISBELIEF_MS = MINUTE_MS
/** Weight of the last measurement. */
const NEWEST = 0.25

interface Ask {
  readonly lengthBytes: number
  readonly askedMs: number
  readonly dueMs: number
  isLate: boolean
}

/** What the plan knows of one peer: what it has, what is on its way, how fast it is. */
export class PlannedPeer {
  readonly #asks = new Map<string, Ask>()
  readonly #known = new Map<string, { readonly has: boolean; readonly atMs: number }>()
  readonly #distrusted = new Set<string>()
  #window = FIRST_WINDOW
  #bytes = 0
  #bytesPerMs = FIRST_BYTES_PER_MS
  #lastMs = 0
  #isInquired = false
  #inquireAgainMs = 0
  #pausedUntilMs = 0

  /** On their way. */
  get bytes(): number {
    return this.#bytes
  }

  asked(): Iterable<string> {
    return this.#asks.keys()
  }

  has(key: string): boolean | undefined {
    return this.#distrusted.has(key) ? false : this.#known.get(key)?.has
  }

  /** Is it worth a question whether it has this? */
  isUnsure(key: string, nowMs: number, againMs: number): boolean {
    if (this.#distrusted.has(key) || this.#asks.has(key)) return false
    const known = this.#known.get(key)
    return known === undefined || (!known.has && known.atMs + againMs <= nowMs)
  }

  learn(has: ReadonlyMap<string, boolean>, nowMs: number): void {
    this.#isInquired = false
    for (const [key, held] of has) this.#known.set(key, { has: held, atMs: nowMs })
  }

  /** It said so when asked for the chunk itself. Who had said that it has it is slow, and not believed for a while. */
  lacks(key: string, nowMs: number): void {
    const isContradiction = this.#known.get(key)?.has === true
    this.#known.set(key, { has: false, atMs: isContradiction ? nowMs + DISBELIEF_MS : nowMs })
    if (isContradiction) this.#slowDown()
  }

  /** Nobody wants it any more; what is on its way stays so until it is here. */
  forget(key: string): void {
    this.#known.delete(key)
    this.#distrusted.delete(key)
  }

  /** One question at a time, and the next after a while; an answer that never comes ends with the channel. */
  mayInquire(nowMs: number): boolean {
    return !this.#isInquired && this.#inquireAgainMs <= nowMs
  }

  /** Asked, or nothing to ask; not again before that time. */
  inquire(isAsked: boolean, againMs: number): void {
    this.#isInquired = isAsked
    this.#inquireAgainMs = againMs
  }

  /** There is something new to ask about. */
  inquireSoon(): void {
    this.#inquireAgainMs = 0
  }

  distrust(key: string): void {
    this.#distrusted.add(key)
  }

  get isFull(): boolean {
    return this.#asks.size >= this.#window || this.#bytes >= MAX_BYTES
  }

  hasRoom(lengthBytes: number): boolean {
    return !this.isFull && (this.#bytes === 0 || this.#bytes + lengthBytes <= MAX_BYTES)
  }

  /** From now until it should be here, after all that was asked before it. */
  expectedMs(lengthBytes: number, nowMs: number): number {
    const lateMs = [...this.#asks.values()].reduce((most, { dueMs }) => Math.max(most, nowMs - dueMs), 0)
    return (this.#bytes + lengthBytes) / this.#bytesPerMs + lateMs
  }

  ask(key: string, lengthBytes: number, nowMs: number, graceMs: number): void {
    const dueMs = nowMs + (this.#bytes + lengthBytes) / this.#bytesPerMs + graceMs
    this.#asks.set(key, { lengthBytes, askedMs: nowMs, dueMs, isLate: false })
    this.#bytes += lengthBytes
  }

  /** Answers how many bytes of it do not come. */
  release(key: string): number {
    const ask = this.#asks.get(key)
    if (ask === undefined) return 0
    this.#asks.delete(key)
    this.#bytes -= ask.lengthBytes
    return ask.lengthBytes
  }

  /** Nothing is asked of it before that time. */
  pause(untilMs: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, untilMs)
  }

  isPaused(nowMs: number): boolean {
    return this.#pausedUntilMs > nowMs
  }

  /** Measures, and opens the window by one. */
  delivered(key: string, nowMs: number): void {
    const ask = this.#asks.get(key)
    if (ask === undefined) return
    const tookMs = Math.max(0.1, nowMs - Math.max(ask.askedMs, this.#lastMs))
    this.#bytesPerMs += NEWEST * (ask.lengthBytes / tookMs - this.#bytesPerMs)
    this.#lastMs = nowMs
    this.#window = Math.min(MAX_WINDOW, this.#window + 1)
    this.release(key)
  }

  /** Another peer had to be asked: once for each ask, the window halves. */
  isLate(key: string, nowMs: number): void {
    const ask = this.#asks.get(key)
    if (ask === undefined || ask.isLate || ask.dueMs > nowMs) return
    ask.isLate = true
    this.#slowDown()
  }

  #slowDown(): void {
    this.#window = Math.max(1, Math.floor(this.#window / 2))
    this.#bytesPerMs = Math.max(SLOWEST_BYTES_PER_MS, this.#bytesPerMs / 2)
  }

  dueMs(key: string): number {
    return this.#asks.get(key)?.dueMs ?? 0
  }

  /** The next time that something of it is overdue, or its pause over; those that are already do not count. */
  nextDueMs(nowMs: number): number {
    let next = this.#pausedUntilMs > nowMs ? this.#pausedUntilMs : Infinity
    for (const { dueMs } of this.#asks.values()) if (dueMs > nowMs) next = Math.min(next, dueMs)
    return next
  }
}
