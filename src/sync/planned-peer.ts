import { MIB, MINUTE_MS, SECOND_MS } from '../util/units.ts'
import { Pace } from './pace.ts'

/**
 * On their way from one peer: so many chunks always, more as long as they come within a second. Whoever is slow, as many
 * ask it, is then asked for little, and a chunk that others have by then is asked of them.
 */
const MIN_CHUNKS = 2
const WINDOW_MS = SECOND_MS
/** Replication.md 2.11, as the next. */
const MAX_CHUNKS = 16
/** libp2p breaks a stream whose unread bytes pass 4 MiB. */
const MAX_BYTES = 3 * MIB
/** A chunk that a peer said it has and then did not give is not asked of it again for so long; collectors do that, too. */
const DISBELIEF_MS = MINUTE_MS
/** A chunk that it has promised to others is asked of it again after so long, if nobody else has it by then. */
const ELSEWHERE_MS = 2 * SECOND_MS

interface Ask {
  readonly lengthBytes: number
  readonly askedMs: number
}

/** What the plan knows of one peer: what it has, what is on its way, how fast it is. */
export class PlannedPeer {
  readonly name: string
  readonly #asks = new Map<string, Ask>()
  readonly #known = new Map<string, { readonly has: boolean; readonly atMs: number }>()
  readonly #distrusted = new Set<string>()
  readonly #pace = new Pace()
  readonly #graceMs: number
  #bytes = 0
  /** When a chunk came last. */
  #lastMs = 0
  /** With nothing more by then, it has stalled. */
  #dueMs = Infinity
  #isLate = false
  #isInquired = false
  #inquireAgainMs = 0
  #pausedUntilMs = 0

  /** It has stalled when it is later by so much than was to be expected. */
  constructor(name: string, graceMs: number) {
    this.name = name
    this.#graceMs = graceMs
  }

  /** On their way. */
  get bytes(): number {
    return this.#bytes
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
    for (const [key, held] of has) this.#note(key, held, nowMs)
  }

  /** It said so when asked for the chunk itself. Who had said that it has it is slow, and not believed for a while. */
  lacks(key: string, nowMs: number): void {
    const isContradiction = this.#known.get(key)?.has === true
    this.#note(key, false, isContradiction ? nowMs + DISBELIEF_MS : nowMs)
    if (isContradiction) this.#pace.halve()
  }

  /** It has it, and was promised to others. */
  gaveElsewhere(key: string, nowMs: number): void {
    this.#note(key, false, nowMs + ELSEWHERE_MS)
  }

  /** Nobody wants it any more; what is on its way stays so until it is here. */
  forget(key: string): void {
    this.#known.delete(key)
    this.#distrusted.delete(key)
  }

  #note(key: string, has: boolean, atMs: number): void {
    this.#known.set(key, { has, atMs })
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
    return !this.hasRoom(1)
  }

  hasRoom(lengthBytes: number): boolean {
    const { size } = this.#asks
    if (size === 0) return true
    if (size >= MAX_CHUNKS || this.#bytes + lengthBytes > MAX_BYTES) return false
    if (size < MIN_CHUNKS) return true
    return this.#pace.isMeasured && this.#bytes + lengthBytes <= this.#pace.bytesIn(WINDOW_MS)
  }

  /** From now until it should be here, after all that was asked before it. */
  expectedMs(lengthBytes: number, nowMs: number): number {
    return this.#pace.expectedMs(this.#bytes + lengthBytes) + Math.max(0, nowMs - this.#dueMs)
  }

  ask(key: string, lengthBytes: number, nowMs: number): void {
    this.#asks.set(key, { lengthBytes, askedMs: nowMs })
    this.#bytes += lengthBytes
    if (this.#asks.size === 1) this.#expect()
  }

  /** Answers how many bytes of it do not come. */
  release(key: string): number {
    const ask = this.#asks.get(key)
    if (ask === undefined) return 0
    this.#asks.delete(key)
    this.#bytes -= ask.lengthBytes
    this.#expect()
    return ask.lengthBytes
  }

  /** Nothing is asked of it before that time. */
  pause(untilMs: number): void {
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, untilMs)
  }

  isPaused(nowMs: number): boolean {
    return this.#pausedUntilMs > nowMs
  }

  delivered(key: string, nowMs: number): void {
    const ask = this.#asks.get(key)
    if (ask === undefined) return
    this.#pace.measure(ask.lengthBytes, nowMs - Math.max(ask.askedMs, this.#lastMs))
    this.#lastMs = nowMs
    this.release(key)
  }

  /** Nothing came of it for longer than chance explains: what it was asked for is to be asked of others. */
  isStalled(nowMs: number): boolean {
    return this.#dueMs <= nowMs
  }

  /** Another peer had to be asked. */
  isLate(nowMs: number): void {
    if (this.#isLate || !this.isStalled(nowMs)) return
    this.#isLate = true
    this.#pace.halve()
  }

  /** When the next chunk must be here. */
  #expect(): void {
    this.#isLate = false
    const [oldest] = this.#asks.values()
    this.#dueMs = oldest
      ? Math.max(this.#lastMs, oldest.askedMs) + this.#pace.patienceMs(oldest.lengthBytes) + this.#graceMs
      : Infinity
  }

  /** The next time that it may have stalled, or its pause is over. */
  nextDueMs(nowMs: number): number {
    const times = [this.#pausedUntilMs, this.#dueMs].filter((ms) => ms > nowMs)
    return Math.min(Infinity, ...times)
  }
}
