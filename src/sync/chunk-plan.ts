import { HOUR_MS, MIB, SECOND_MS } from '../util/units.ts'
import type { TokenBucket } from '../util/token-bucket.ts'
import { HEDGE_MS } from './deadlines.ts'
import { PlannedPeer } from './planned-peer.ts'
import { Wants } from './wants.ts'
import type { Want, Wanted } from './wants.ts'

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
  /** It has just promised it to another, who will have it soon. */
  | { readonly type: 'elsewhere'; readonly peer: string; readonly key: string }
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
const ENDGAME = 2
/** Asked without knowing who has them: so few cost less than the question. */
const FEW = 16
/** On their way at once, over all peers (2.11). */
const MAX_BYTES = 64 * MIB
const MAX_LIES = 2
/** A peer that says it is busy is left alone for no longer than that. Ours. */
const MAX_PAUSE_MS = 10 * SECOND_MS

/**
 * Decides who is asked for which chunk (replication design 2.11). Without I/O: events go in with the time, effects come
 * out. Chunks of one flist are asked for in random order, so that nodes that fetch it together soon have different
 * ones to give each other; each of the peer that should deliver it first.
 */
export class ChunkPlan {
  readonly #wants: Wants
  /** There were many, so the last few are what everything waits for. */
  #isBulk = false
  readonly #peers = new Map<string, PlannedPeer>()
  readonly #lies = new Map<string, { count: number; untilMs: number }>()
  /** Connected, and refused for now. */
  readonly #refused = new Set<string>()

  readonly #rate: TokenBucket | undefined

  /** `rate`: bytes that may be asked for. */
  constructor(random: () => number, rate?: TokenBucket) {
    this.#wants = new Wants(random)
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
        this.#admit(event.peer, nowMs)
        return []
      case 'gone':
        this.#lose(event.peer)
        return []
      case 'have':
      case 'chunk':
      case 'miss':
      case 'elsewhere':
        this.#hear(event, this.#peers.get(event.peer), nowMs)
        return []
    }
  }

  /** A peer that is not there any more may have sent a chunk before. */
  #hear(
    event: Extract<FetchEvent, { type: 'have' | 'chunk' | 'miss' | 'elsewhere' }>,
    peer: PlannedPeer | undefined,
    nowMs: number,
  ): void {
    switch (event.type) {
      case 'have':
        peer?.learn(event.has, nowMs)
        for (const key of event.has.keys()) this.#noteHolder(peer, key)
        return
      case 'chunk':
        peer?.delivered(event.key, nowMs)
        this.#forget(event.key)
        return
      case 'miss':
        peer?.lacks(event.key, nowMs)
        this.#release(peer, event.key)
        return
      case 'elsewhere':
        peer?.gaveElsewhere(event.key, nowMs)
        this.#release(peer, event.key)
    }
  }

  #noteHolder(peer: PlannedPeer | undefined, key: string): void {
    const want = this.#wants.get(key)
    if (want === undefined || peer === undefined) return
    if (peer.has(key) === true) want.heldBy.add(peer)
    else want.heldBy.delete(peer)
  }

  #want(wants: readonly Want[], isUrgent: boolean): void {
    this.#wants.add(wants, isUrgent)
    if (this.#wants.size > FEW) this.#isBulk = true
    for (const peer of this.#peers.values()) peer.inquireSoon()
  }

  #forget(key: string): void {
    if (!this.#wants.delete(key)) return
    for (const peer of this.#peers.values()) peer.forget(key)
    if (this.#wants.size === 0) this.#isBulk = false
  }

  #pause(name: string, keys: readonly string[], untilMs: number): FetchEffect[] {
    const peer = this.#peers.get(name)
    for (const key of keys) this.#release(peer, key)
    peer?.pause(untilMs)
    return []
  }

  /** One peer will not deliver it. */
  #release(peer: PlannedPeer | undefined, key: string): void {
    if (peer === undefined) return
    const bytes = peer.release(key)
    this.#rate?.giveBack(bytes)
    this.#wants.get(key)?.askedOf.delete(peer)
    this.#noteHolder(peer, key)
  }

  #admit(name: string, nowMs: number): void {
    this.#lose(name)
    if (this.#isRefused(name, nowMs)) this.#refused.add(name)
    else this.#peers.set(name, new PlannedPeer(name, HEDGE_MS))
  }

  #lose(name: string): void {
    this.#refused.delete(name)
    const peer = this.#peers.get(name)
    if (peer === undefined) return
    this.#peers.delete(name)
    for (const want of this.#wants.all()) {
      want.askedOf.delete(peer)
      want.heldBy.delete(peer)
    }
  }

  #lied(name: string, key: string | undefined, nowMs: number): FetchEffect[] {
    const count = (this.#lies.get(name)?.count ?? 0) + 1
    this.#lies.set(name, { count, untilMs: nowMs + HOUR_MS })
    if (key !== undefined) {
      const peer = this.#peers.get(name)
      peer?.distrust(key)
      this.#release(peer, key)
    }
    if (count < MAX_LIES) return []
    this.#lose(name)
    this.#refused.add(name)
    return [{ type: 'refuse', peer: name }]
  }

  #isRefused(peer: string, nowMs: number): boolean {
    const lies = this.#lies.get(peer)
    if (lies !== undefined && lies.untilMs <= nowMs) this.#lies.delete(peer)
    return (this.#lies.get(peer)?.count ?? 0) >= MAX_LIES
  }

  /**
   * Gives each want that nobody was asked for, or that is overdue, to the peer that should have it here first. What only
   * one peer has goes before what others have, too: where many fetch the same from one, it comes to have more givers.
   */
  #assign(nowMs: number): FetchEffect[] {
    const asks = new Map<string, string[]>()
    const free = [...this.#peers.values()].filter((peer) => !peer.isFull && !peer.isPaused(nowMs))
    const common: Wanted[] = []
    const give = (want: Wanted) => {
      const peer = this.#choose(want, nowMs)
      if (peer === undefined) return
      const same = asks.get(peer.name)
      if (same === undefined) asks.set(peer.name, [want.key])
      else same.push(want.key)
      this.#ask(peer, want, nowMs)
    }
    for (const want of free.length === 0 ? [] : this.#wants.next(SLIDE)) {
      if (free.every((peer) => peer.isFull)) break
      if (!this.#needsPeer(want, nowMs)) continue
      if (want.heldBy.size > 1) common.push(want)
      else give(want)
    }
    for (const want of common) {
      if (free.every((peer) => peer.isFull)) break
      give(want)
    }
    return [...asks].map(([peer, keys]) => ({ type: 'ask', peer, keys }))
  }

  #ask(peer: PlannedPeer, { key, lengthBytes, askedOf }: Wanted, nowMs: number): void {
    for (const other of askedOf) other.isLate(nowMs)
    askedOf.add(peer)
    peer.ask(key, lengthBytes, nowMs)
    this.#rate?.take(lengthBytes, nowMs)
  }

  /** Until the rate lets more be asked for. */
  #rateMs(nowMs: number): number {
    return this.#rate?.waitMs(nowMs) ?? 0
  }

  #needsPeer({ askedOf }: Wanted, nowMs: number): boolean {
    if (this.#isBulk && this.#wants.size <= ENDGAME && askedOf.size < 2) return true
    for (const peer of askedOf) if (!peer.isStalled(nowMs)) return false
    return true
  }

  #choose(want: Wanted, nowMs: number): PlannedPeer | undefined {
    if (this.#bytes + want.lengthBytes > MAX_BYTES || this.#rateMs(nowMs) > 0) return undefined
    const isGuess = this.#wants.size <= FEW
    let best: PlannedPeer | undefined
    let bestMs = Infinity
    for (const peer of isGuess ? this.#peers.values() : want.heldBy) {
      if (want.askedOf.has(peer) || peer.isPaused(nowMs) || !peer.hasRoom(want.lengthBytes)) continue
      const has = want.heldBy.has(peer)
      if (!has && peer.has(want.key) === false) continue
      const expectedMs = peer.expectedMs(want.lengthBytes, nowMs) + (has ? 0 : HEDGE_MS)
      if (expectedMs >= bestMs) continue
      best = peer
      bestMs = expectedMs
    }
    return best
  }

  get #bytes(): number {
    let sum = 0
    for (const peer of this.#peers.values()) sum += peer.bytes
    return sum
  }

  /** Asks each peer which of the next wants it has, unless that is known. */
  #inquire(nowMs: number): FetchEffect[] {
    const effects: FetchEffect[] = []
    for (const [id, peer] of this.#peers) {
      if (!peer.mayInquire(nowMs)) continue
      const keys: string[] = []
      let at = 0
      for (const want of this.#wants.next(MAX_HAVE))
        if (peer.isUnsure(want.key, nowMs, at++ < SLIDE ? ASK_AGAIN_MS : Infinity)) keys.push(want.key)
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
}
