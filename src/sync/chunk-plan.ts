import { HOUR_MS, MIB, SECOND_MS } from '../util/units.ts'
import type { TokenBucket } from '../util/token-bucket.ts'
import { HEDGE_MS } from './deadlines.ts'
import { PlannedPeer } from './planned-peer.ts'

/** A chunk that is to be fetched, by a key of the caller's. */
export interface Want {
  readonly key: string
  readonly lengthBytes: number
}

export type FetchEvent =
  | { readonly type: 'want'; readonly wants: readonly Want[]; readonly isUrgent: boolean }
  /** Nobody waits for them any more. */
  | { readonly type: 'drop'; readonly keys: readonly string[] }
  | { readonly type: 'peer'; readonly peer: string }
  | { readonly type: 'gone'; readonly peer: string }
  /** Which of the asked keys a peer has. */
  | { readonly type: 'have'; readonly peer: string; readonly has: ReadonlyMap<string, boolean> }
  /** It came, was verified and is kept. */
  | { readonly type: 'chunk'; readonly peer: string; readonly key: string }
  | { readonly type: 'miss'; readonly peer: string; readonly key: string }
  /** It has too much to do: nothing of these comes, and nothing is to be asked of it for a while. */
  | {
      readonly type: 'busy'
      readonly peer: string
      readonly keys: readonly string[]
      readonly retryMs: number
    }
  /** What came is not what was asked for; without a key it was no answer at all. */
  | { readonly type: 'lie'; readonly peer: string; readonly key?: string }
  | { readonly type: 'tick' }

export type FetchEffect =
  | { readonly type: 'ask'; readonly peer: string; readonly keys: readonly string[] }
  | { readonly type: 'ask-have'; readonly peer: string; readonly keys: readonly string[] }
  /** It lied twice: nothing is asked of it for an hour. */
  | { readonly type: 'refuse'; readonly peer: string }
  /** Nothing may come for so long: step with a tick then, instead of at the time asked for before. */
  | { readonly type: 'wake'; readonly afterMs: number }

/** Wants that are looked at together: enough for every peer to have work, few enough for urgent ones to come soon. */
const SLIDE = 256
/** Keys in one question of who has them. */
const MAX_HAVE = 2048
/** A peer that did not have a chunk, and may be fetching it itself, is asked again after so long. */
const ASK_AGAIN_MS = SECOND_MS
/** With more wants than one question takes, the next ones are asked about after so long. */
const SLIDE_AGAIN_MS = 100
/** The last wants are asked of two peers at once (2.11). */
const ENDGAME = 8
/** Asked without knowing who has them: so few cost less than the question. */
const FEW = 16
/** On their way at once, over all peers (2.11). */
const MAX_BYTES = 64 * MIB
const MAX_LIES = 2
/** A peer that says it is busy is left alone for no longer than that. Ours. */
const MAX_PAUSE_MS = 10 * SECOND_MS

interface Wanted extends Want {
  readonly askedOf: Set<string>
}

/**
 * Decides who is asked for which chunk (replication design 2.11). Without I/O: events go in with the time, effects come
 * out. Chunks of one flist are asked for in random order, so that nodes that fetch it together soon have different
 * ones to give each other; each of the peer that should deliver it first.
 */
export class ChunkPlan {
  readonly #random: () => number
  readonly #wants = new Map<string, Wanted>()
  /** Keys in the order of asking, from `#head` on; some are no longer wanted. */
  #order: string[] = []
  #head = 0
  #urgent: string[] = []
  /** There were many, so the last few are what everything waits for. */
  #isBulk = false
  readonly #peers = new Map<string, PlannedPeer>()
  readonly #lies = new Map<string, { count: number; untilMs: number }>()
  /** Connected, and refused for now. */
  readonly #refused = new Set<string>()

  readonly #rate: TokenBucket | undefined

  /** `rate`: bytes that may be asked for. */
  constructor(random: () => number, rate?: TokenBucket) {
    this.#random = random
    this.#rate = rate
  }

  get wanted(): number {
    return this.#wants.size
  }

  step(event: FetchEvent, nowMs: number): FetchEffect[] {
    const effects = this.#take(event, nowMs)
    for (const peer of [...this.#refused]) this.#admit(peer, nowMs)
    if (this.#wants.size === 0) return effects
    return [...effects, ...this.#assign(nowMs), ...this.#inquire(nowMs), ...this.#wake(nowMs)]
  }

  #take(event: FetchEvent, nowMs: number): FetchEffect[] {
    switch (event.type) {
      case 'want':
        this.#want(event.wants, event.isUrgent)
        return []
      case 'drop':
        event.keys.forEach((key) => this.#forget(key))
        return []
      case 'tick':
        return []
      case 'lie':
        return this.#lied(event.peer, event.key, nowMs)
      case 'busy':
        return this.#pause(event.peer, event.keys, nowMs + Math.min(event.retryMs, MAX_PAUSE_MS))
      case 'peer':
      case 'gone':
      case 'have':
      case 'chunk':
      case 'miss':
        this.#hear(event, nowMs)
        return []
    }
  }

  #hear(
    event: Exclude<FetchEvent, { type: 'want' | 'drop' | 'tick' | 'lie' | 'busy' }>,
    nowMs: number,
  ): void {
    const peer = this.#peers.get(event.peer)
    switch (event.type) {
      case 'peer':
        this.#admit(event.peer, nowMs)
        return
      case 'gone':
        this.#lose(event.peer)
        return
      case 'have':
        peer?.learn(event.has, nowMs)
        return
      case 'chunk':
        peer?.delivered(event.key, nowMs)
        this.#forget(event.key)
        return
      case 'miss':
        peer?.lacks(event.key, nowMs)
        this.#release(event.peer, event.key)
    }
  }

  #want(wants: readonly Want[], isUrgent: boolean): void {
    const keys: string[] = []
    for (const want of wants) {
      if (!this.#wants.has(want.key)) this.#wants.set(want.key, { ...want, askedOf: new Set() })
      else if (!isUrgent) continue
      keys.push(want.key)
    }
    if (this.#wants.size > FEW) this.#isBulk = true
    for (const peer of this.#peers.values()) peer.inquireSoon()
    if (isUrgent) this.#urgent.push(...keys)
    else for (const key of shuffled(keys, this.#random)) this.#order.push(key)
  }

  #forget(key: string): void {
    if (!this.#wants.delete(key)) return
    for (const peer of this.#peers.values()) peer.forget(key)
    if (this.#wants.size === 0) this.#isBulk = false
  }

  #pause(peer: string, keys: readonly string[], untilMs: number): FetchEffect[] {
    for (const key of keys) this.#release(peer, key)
    this.#peers.get(peer)?.pause(untilMs)
    return []
  }

  /** One peer will not deliver it. */
  #release(peer: string, key: string): void {
    this.#rate?.giveBack(this.#peers.get(peer)?.release(key) ?? 0)
    this.#wants.get(key)?.askedOf.delete(peer)
  }

  #admit(peer: string, nowMs: number): void {
    this.#refused.delete(peer)
    if (this.#isRefused(peer, nowMs)) this.#refused.add(peer)
    else this.#peers.set(peer, new PlannedPeer())
  }

  #lose(peer: string): void {
    this.#refused.delete(peer)
    for (const key of this.#peers.get(peer)?.asked() ?? []) this.#wants.get(key)?.askedOf.delete(peer)
    this.#peers.delete(peer)
  }

  #lied(peer: string, key: string | undefined, nowMs: number): FetchEffect[] {
    const count = (this.#lies.get(peer)?.count ?? 0) + 1
    this.#lies.set(peer, { count, untilMs: nowMs + HOUR_MS })
    if (key !== undefined) {
      this.#peers.get(peer)?.distrust(key)
      this.#release(peer, key)
    }
    if (count < MAX_LIES) return []
    this.#lose(peer)
    this.#refused.add(peer)
    return [{ type: 'refuse', peer }]
  }

  #isRefused(peer: string, nowMs: number): boolean {
    const lies = this.#lies.get(peer)
    if (lies !== undefined && lies.untilMs <= nowMs) this.#lies.delete(peer)
    return (this.#lies.get(peer)?.count ?? 0) >= MAX_LIES
  }

  /** Gives each want that nobody was asked for, or that is overdue, to the peer that should have it here first. */
  #assign(nowMs: number): FetchEffect[] {
    const asks = new Map<string, string[]>()
    const free = [...this.#peers].filter(([, peer]) => !peer.isFull && !peer.isPaused(nowMs))
    let bytes = [...this.#peers.values()].reduce((sum, peer) => sum + peer.bytes, 0)
    for (const want of free.length === 0 ? [] : this.#slide()) {
      if (bytes + want.lengthBytes > MAX_BYTES || this.#rateMs(nowMs) > 0) break
      const id = this.#needsPeer(want, nowMs) ? this.#choose(want, free, nowMs) : undefined
      if (id === undefined) continue
      const same = asks.get(id)
      if (same === undefined) asks.set(id, [want.key])
      else same.push(want.key)
      this.#ask(id, want, nowMs)
      bytes += want.lengthBytes
    }
    return [...asks].map(([peer, keys]) => ({ type: 'ask', peer, keys }))
  }

  #ask(id: string, { key, lengthBytes, askedOf }: Wanted, nowMs: number): void {
    for (const other of askedOf) this.#peers.get(other)?.isLate(key, nowMs)
    askedOf.add(id)
    this.#peers.get(id)?.ask(key, lengthBytes, nowMs, HEDGE_MS)
    this.#rate?.take(lengthBytes, nowMs)
  }

  /** Until the rate lets more be asked for. */
  #rateMs(nowMs: number): number {
    return this.#rate?.waitMs(nowMs) ?? 0
  }

  #needsPeer({ key, askedOf }: Wanted, nowMs: number): boolean {
    if (this.#isBulk && this.#wants.size <= ENDGAME && askedOf.size < 2) return true
    return [...askedOf].every((peer) => (this.#peers.get(peer)?.dueMs(key) ?? 0) <= nowMs)
  }

  #choose(
    want: Wanted,
    free: ReadonlyArray<readonly [string, PlannedPeer]>,
    nowMs: number,
  ): string | undefined {
    const isGuess = this.#wants.size <= FEW
    let best: string | undefined
    let bestMs = Infinity
    for (const [id, peer] of free) {
      if (want.askedOf.has(id) || !peer.hasRoom(want.lengthBytes)) continue
      const has = peer.has(want.key)
      if (has === false || (has === undefined && !isGuess)) continue
      const expectedMs = peer.expectedMs(want.lengthBytes, nowMs) + (has === undefined ? HEDGE_MS : 0)
      if (expectedMs >= bestMs) continue
      best = id
      bestMs = expectedMs
    }
    return best
  }

  /** Asks each peer which of the next wants it has, unless that is known. */
  #inquire(nowMs: number): FetchEffect[] {
    const effects: FetchEffect[] = []
    for (const [id, peer] of this.#peers) {
      if (!peer.mayInquire(nowMs)) continue
      const keys: string[] = []
      for (const want of this.#slide(MAX_HAVE))
        if (peer.isUnsure(want.key, nowMs, ASK_AGAIN_MS)) keys.push(want.key)
      peer.inquire(keys.length > 0, nowMs + (this.#wants.size > MAX_HAVE ? SLIDE_AGAIN_MS : ASK_AGAIN_MS))
      if (keys.length > 0) effects.push({ type: 'ask-have', peer: id, keys })
    }
    return effects
  }

  #wake(nowMs: number): FetchEffect[] {
    let atMs = nowMs + ASK_AGAIN_MS
    for (const peer of this.#peers.values()) atMs = Math.min(atMs, peer.nextDueMs(nowMs))
    const rateMs = this.#rateMs(nowMs)
    if (rateMs > 0) atMs = Math.min(atMs, nowMs + rateMs)
    return [{ type: 'wake', afterMs: Math.max(1, atMs - nowMs) }]
  }

  /** The next wants: urgent ones, then in order. */
  *#slide(count = SLIDE): Generator<Wanted> {
    this.#tidy()
    let left = count
    for (const key of this.#urgent) {
      const want = this.#wants.get(key)
      if (want !== undefined && left-- > 0) yield want
    }
    for (let at = this.#head; at < this.#order.length && left > 0; at++) {
      const want = this.#wants.get(this.#order[at] ?? '')
      if (want === undefined) continue
      left--
      yield want
    }
  }

  /** Lets go of keys that came. */
  #tidy(): void {
    const isWanted = (key: string) => this.#wants.has(key)
    if (this.#urgent.length > 0) this.#urgent = this.#urgent.filter(isWanted)
    while (this.#head < this.#order.length && !isWanted(this.#order[this.#head] ?? '')) this.#head++
    if (this.#order.length <= 2 * this.#wants.size + SLIDE) return
    this.#order = this.#order.slice(this.#head).filter(isWanted)
    this.#head = 0
  }
}

/** Fisher and Yates. */
function shuffled(keys: string[], random: () => number): string[] {
  for (let at = keys.length - 1; at > 0; at--) {
    const other = Math.floor(random() * (at + 1))
    const key = keys[at] ?? ''
    keys[at] = keys[other] ?? ''
    keys[other] = key
  }
  return keys
}
