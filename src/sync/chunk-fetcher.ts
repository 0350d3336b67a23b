import { LimitError, MalformedError, UnavailableError } from '../errors.ts'
import { MAX_CHUNK_MESSAGE_BYTES } from '../format/chunk-message.ts'
import type { PeerHost } from '../net/peer-host.ts'
import { fromHex, toHex } from '../util/bytes.ts'
import type { Logger } from '../util/logger.ts'
import { RateMeter } from '../util/rate-meter.ts'
import type { Scheduler } from '../util/scheduler.ts'
import { SECOND_MS } from '../util/units.ts'
import { TokenBucket } from '../util/token-bucket.ts'
import type { AbortOptions } from '../util/units.ts'
import { ChunkChannel } from './chunk-channel.ts'
import { ChunkPlan } from './chunk-plan.ts'
import type { FetchEffect, FetchEvent } from './chunk-plan.ts'
import { isGenuine, keyOf } from './fetch-item.ts'
import type { FetchItem } from './fetch-item.ts'

export const CHUNK_PROTOCOL = '/zhub/chunk/1.0.0'
export const CHUNK_PROTOCOL_OPTIONS = { maxMessageBytes: MAX_CHUNK_MESSAGE_BYTES, maxChannelsPerPeer: 4 }

const FIRST_RETRY_MS = SECOND_MS
const LAST_RETRY_MS = 60 * SECOND_MS

export interface ChunkFetcherDeps {
  readonly host: PeerHost
  readonly scheduler: Scheduler
  readonly log: Logger
  readonly isMember: (peer: Uint8Array) => boolean
  /** Bytes a second at most; 0 = no bound. */
  readonly rateDown: number
  /** Keeps chunks that were verified; durable when it resolves. */
  readonly keep: (chunks: ReadonlyArray<readonly [FetchItem, Uint8Array]>) => Promise<void>
}

interface Waiter {
  readonly done: (item: FetchItem, bytes: Uint8Array) => void
  readonly failed: (error: Error) => void
}

interface Waiting {
  readonly item: FetchItem
  readonly waiters: Set<Waiter>
}

export interface FetchOptions extends AbortOptions {
  /** Before everything else, in this order. */
  readonly isUrgent?: boolean
  /** Is given the bytes of each; parts are kept by nobody else. */
  readonly onArrived?: (item: FetchItem, bytes: Uint8Array) => void
}

/** Fetches chunks from all peers that are connected, as the plan decides, and keeps them. */
export class ChunkFetcher {
  readonly #deps: ChunkFetcherDeps
  readonly #plan: ChunkPlan
  readonly #meter = new RateMeter()
  /** Since the start. */
  readonly counts = { fetchedChunks: 0, fetchedBytes: 0, lies: 0, brokenChannels: 0 }
  readonly #waiting = new Map<string, Waiting>()
  readonly #channels = new Map<string, ChunkChannel>()
  readonly #following = new Map<
    string,
    { readonly stopping: AbortController; readonly ended: Promise<void> }
  >()
  #unsubscribe: () => void = () => {}
  #wake = new AbortController()
  #wakeMs = Infinity
  /** Verified, and on the way to the disk with the next batch. */
  #arrived: Array<{ readonly peer: string; readonly item: FetchItem; readonly bytes: Uint8Array }> = []
  #keeping: Promise<void> | undefined
  #isStopped = false

  constructor(deps: ChunkFetcherDeps) {
    this.#deps = deps
    const { scheduler, rateDown } = deps
    const rate = rateDown > 0 ? new TokenBucket(rateDown, scheduler.now()) : undefined
    this.#plan = new ChunkPlan(() => scheduler.random(), rate)
  }

  start(): void {
    const { host } = this.#deps
    this.#unsubscribe = host.subscribe({
      connected: (peer) => this.#meet(peer),
      disconnected: (peer) => void this.#leave(toHex(peer)),
    })
    for (const { key } of host.peers()) this.#meet(key)
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    this.#unsubscribe()
    this.#wake.abort()
    await Promise.all([...this.#following.keys()].map((id) => this.#leave(id)))
    await this.#keeping
    const stopped = new UnavailableError('the node stops')
    for (const { waiters } of this.#waiting.values()) for (const { failed } of waiters) failed(stopped)
    this.#waiting.clear()
  }

  /** Who is a member may have changed. */
  review(): void {
    const { host, isMember } = this.#deps
    for (const id of [...this.#following.keys()]) {
      if (!isMember(Buffer.from(id, 'hex'))) void this.#leave(id)
    }
    for (const { key } of host.peers()) this.#meet(key)
  }

  /** As of the last ten seconds. */
  bytesPerS(nowMs: number): number {
    return this.#meter.perS(nowMs)
  }

  /** How many are still to come. */
  get wanted(): number {
    return this.#plan.wanted
  }

  /**
   * Resolves when every item has come, and every chunk is kept. Waits for as long as nobody has one: give a signal with
   * a deadline.
   * @throws the signal's reason. @throws {DiskFullError} and what else `keep` throws.
   */
  async fetch(
    items: readonly FetchItem[],
    { signal, isUrgent = false, onArrived }: FetchOptions = {},
  ): Promise<void> {
    signal?.throwIfAborted()
    if (this.#isStopped) throw new UnavailableError('the node stops')
    const wanted = items.map((item) => ({ key: keyOf(item), lengthBytes: item.lengthBytes, item }))
    const unique = new Map(wanted.map((want) => [want.key, want]))
    if (unique.size === 0) return
    await new Promise<void>((resolve, reject) => {
      let left = unique.size
      const leave = () => {
        signal?.removeEventListener('abort', abort)
        this.#leaveAll([...unique.keys()], waiter)
      }
      const abort = () => {
        leave()
        reject(signal?.reason as Error)
      }
      const waiter: Waiter = {
        done: (item, bytes) => {
          onArrived?.(item, bytes)
          if (--left > 0) return
          signal?.removeEventListener('abort', abort)
          resolve()
        },
        failed: (error: Error) => {
          leave()
          reject(error)
        },
      }
      signal?.addEventListener('abort', abort, { once: true })
      for (const { key, item } of unique.values()) {
        const waiting = this.#waiting.get(key)
        if (waiting === undefined) this.#waiting.set(key, { item, waiters: new Set([waiter]) })
        else waiting.waiters.add(waiter)
      }
      this.#step({ type: 'want', wants: [...unique.values()], isUrgent })
    })
  }

  /** Somebody waits no longer; what nobody waits for is wanted no more. */
  #leaveAll(keys: readonly string[], waiter: Waiter): void {
    const dropped: string[] = []
    for (const key of keys) {
      const waiting = this.#waiting.get(key)
      if (waiting === undefined) continue
      waiting.waiters.delete(waiter)
      if (waiting.waiters.size > 0) continue
      this.#waiting.delete(key)
      dropped.push(key)
    }
    if (dropped.length > 0) this.#step({ type: 'drop', keys: dropped })
  }

  #meet(peer: Uint8Array): void {
    const id = toHex(peer)
    if (this.#isStopped || this.#following.has(id) || !this.#deps.isMember(peer)) return
    const stopping = new AbortController()
    this.#following.set(id, { stopping, ended: this.#follow(peer, stopping.signal) })
  }

  async #leave(id: string): Promise<void> {
    const following = this.#following.get(id)
    if (following === undefined) return
    this.#following.delete(id)
    following.stopping.abort()
    await this.#channels.get(id)?.close()
    await following.ended
  }

  /** Keeps a channel to one peer for as long as it is connected. */
  async #follow(peer: Uint8Array, signal: AbortSignal): Promise<void> {
    const { host, scheduler, log } = this.#deps
    const id = toHex(peer)
    let retryMs = FIRST_RETRY_MS
    while (!signal.aborted) {
      const sinceMs = scheduler.now()
      let channel: ChunkChannel | undefined
      try {
        channel = new ChunkChannel(
          await host.open(peer, CHUNK_PROTOCOL, { ...CHUNK_PROTOCOL_OPTIONS, signal }),
          scheduler,
        )
        this.#channels.set(id, channel)
        this.#step({ type: 'peer', peer: id })
        await channel.listen({
          held: (items, answers) => {
            const has = new Map(items.map((item, at) => [keyOf(item), answers[at] === true]))
            this.#step({ type: 'have', peer: id, has })
          },
          chunk: (item, bytes) => {
            retryMs = FIRST_RETRY_MS
            this.#take(id, item, bytes)
          },
          miss: (item) => this.#step({ type: 'miss', peer: id, key: keyOf(item) }),
          elsewhere: (item) => this.#step({ type: 'elsewhere', peer: id, key: keyOf(item) }),
          busy: (items, retryMs) => this.#step({ type: 'busy', peer: id, keys: items.map(keyOf), retryMs }),
        })
      } catch (error) {
        if (!signal.aborted) this.counts.brokenChannels++
        if (isLie(error)) this.#lied(id, messageOf(error))
        else if (!signal.aborted) log.debug(`a chunk channel ended: ${messageOf(error)}`, { peer: id })
      }
      this.#ended(id, channel)
      if (scheduler.now() - sinceMs >= LAST_RETRY_MS) retryMs = FIRST_RETRY_MS // it was good for a while
      await scheduler.sleep(retryMs * (0.5 + scheduler.random()), { signal }).catch(() => {})
      retryMs = Math.min(2 * retryMs, LAST_RETRY_MS)
    }
  }

  /** One of a connection that is gone may end after the peer has come back, with another. */
  #ended(id: string, channel: ChunkChannel | undefined): void {
    if (channel === undefined || this.#channels.get(id) !== channel) return
    this.#channels.delete(id)
    this.#step({ type: 'gone', peer: id })
  }

  #take(peer: string, item: FetchItem, bytes: Uint8Array): void {
    if (!isGenuine(item, bytes)) {
      this.counts.lies++
      this.#lied(peer, `it sent a chunk that is not ${toHex(item.id)}`, keyOf(item))
      return
    }
    this.counts.fetchedChunks++
    this.counts.fetchedBytes += bytes.length
    this.#meter.add(bytes.length, this.#deps.scheduler.now())
    this.#arrived.push({ peer, item, bytes })
    this.#keeping ??= this.#keep()
  }

  #lied(peer: string, what: string, key?: string): void {
    this.#deps.log.warn(`a peer lies: ${what}`, { peer })
    this.#step({ type: 'lie', peer, ...(key !== undefined && { key }) })
  }

  /** Everything that came while one batch went to the disk is the next one. */
  async #keep(): Promise<void> {
    await Promise.resolve()
    while (this.#arrived.length > 0) {
      const batch = this.#arrived.splice(0)
      const chunks = batch.filter(({ item }) => item.naming === 'chunk' && this.#waiting.has(keyOf(item)))
      try {
        if (chunks.length > 0) await this.#deps.keep(chunks.map(({ item, bytes }) => [item, bytes]))
        for (const { peer, item, bytes } of batch) this.#kept(peer, item, bytes)
      } catch (error) {
        const failure = error instanceof Error ? error : new Error('cannot keep chunks', { cause: error })
        for (const { peer, item } of batch) {
          for (const { failed } of [...(this.#waiting.get(keyOf(item))?.waiters ?? [])]) failed(failure)
          this.#step({ type: 'chunk', peer, key: keyOf(item) })
        }
      }
    }
    this.#keeping = undefined
  }

  #kept(peer: string, item: FetchItem, bytes: Uint8Array): void {
    const key = keyOf(item)
    const waiting = this.#waiting.get(key)
    this.#waiting.delete(key)
    this.#step({ type: 'chunk', peer, key })
    for (const { done } of waiting?.waiters ?? []) done(item, bytes)
  }

  #step(event: FetchEvent): void {
    if (this.#isStopped && event.type !== 'gone') return
    for (const effect of this.#plan.step(event, this.#deps.scheduler.now())) this.#do(effect)
  }

  #do(effect: FetchEffect): void {
    if (effect.type === 'wake') this.#wakeAfter(effect.afterMs)
    else if (effect.type === 'refuse') {
      const peer = fromHex(effect.peer)
      this.#deps.log.warn('a peer that lied twice is asked for no chunk for an hour', { peer: effect.peer })
      if (peer !== undefined) void this.#deps.host.disconnect(peer)
    } else {
      const items = effect.keys.flatMap((key) => this.#waiting.get(key)?.item ?? [])
      this.#channels.get(effect.peer)?.ask(effect.type === 'ask' ? 'get' : 'have', items)
    }
  }

  /** A wake that comes too early does no harm; to call one off costs more than it. */
  #wakeAfter(ms: number): void {
    const { scheduler } = this.#deps
    const atMs = scheduler.now() + ms
    if (this.#wakeMs <= atMs) return
    this.#wake.abort()
    this.#wake = new AbortController()
    this.#wakeMs = atMs
    scheduler.sleep(ms, { signal: this.#wake.signal }).then(
      () => {
        this.#wakeMs = Infinity
        this.#step({ type: 'tick' })
      },
      () => {},
    )
  }
}

function isLie(error: unknown): boolean {
  return error instanceof MalformedError || error instanceof LimitError
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
