import { CorruptError, MalformedError } from '../errors.ts'
import { decodeChunkMessage, encodeChunkMessage, packBits } from '../format/chunk-message.ts'
import type { ChunkMessage, ChunkNaming } from '../format/chunk-message.ts'
import type { Channel, PeerHost } from '../net/peer-host.ts'
import type { ChunkStore } from '../store/chunk-store.ts'
import type { ServedFlists } from '../store/flist-store.ts'
import { equalBytes, toHex } from '../util/bytes.ts'
import type { Logger } from '../util/logger.ts'
import type { Scheduler } from '../util/scheduler.ts'
import { Semaphore } from '../util/semaphore.ts'
import { TokenBucket } from '../util/token-bucket.ts'
import { SECOND_MS } from '../util/units.ts'
import { CHUNK_PROTOCOL, CHUNK_PROTOCOL_OPTIONS } from './chunk-fetcher.ts'
import { keyOf } from './fetch-item.ts'
import { PromisedChunks } from './promised-chunks.ts'

/** What this node itself holds: it cannot reach peers, so that no question goes round in circles. */
export interface HeldChunks {
  has(naming: ChunkNaming, id: Uint8Array): boolean
  /** The stored bytes; `undefined` also for what is damaged here. */
  read(naming: ChunkNaming, id: Uint8Array): Uint8Array | undefined
}

export function heldChunks(
  chunks: Pick<ChunkStore, 'info' | 'read'>,
  flists: Pick<ServedFlists, 'partId'>,
): HeldChunks {
  const stored = (naming: ChunkNaming, id: Uint8Array) => (naming === 'chunk' ? id : flists.partId(id))
  return {
    has: (naming, id) => {
      const chunk = stored(naming, id)
      const info = chunk && chunks.info(chunk)
      return info !== undefined && info.isDamaged !== true
    },
    read: (naming, id) => {
      const chunk = stored(naming, id)
      try {
        return chunk && chunks.read(chunk)
      } catch (error) {
        if (error instanceof CorruptError) return undefined
        throw error
      }
    },
  }
}

export interface ChunkServerDeps {
  readonly host: PeerHost
  readonly held: HeldChunks
  readonly scheduler: Scheduler
  readonly log: Logger
  readonly isMember: (peer: Uint8Array) => boolean
  /** Bytes of chunks a second to all peers together; 0 = no bound. */
  readonly rateUp: number
}

/** GETs of one peer that are answered side by side, and those that wait for that (replication.md 2.11). */
const AT_ONCE = 4
const MAX_QUEUED = 16
const BUSY_MS = SECOND_MS

/** Answers what members ask of this node's chunks. */
export class ChunkServer {
  readonly #deps: ChunkServerDeps
  readonly #rate: TokenBucket | undefined
  readonly #served = new Map<Channel, Promise<void>>()
  /** Of each peer that has a channel open. */
  readonly #turns = new Map<string, Semaphore>()
  readonly #promised = new PromisedChunks()
  readonly #stopping = new AbortController()

  constructor(deps: ChunkServerDeps) {
    this.#deps = deps
    this.#rate = deps.rateUp > 0 ? new TokenBucket(deps.rateUp, deps.scheduler.now()) : undefined
  }

  start(): void {
    this.#deps.host.handle(CHUNK_PROTOCOL, CHUNK_PROTOCOL_OPTIONS, (channel) => this.#take(channel))
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const channel of this.#served.keys()) channel.abort(new Error('the node stops'))
    await Promise.all(this.#served.values())
  }

  #take(channel: Channel): void {
    if (this.#stopping.signal.aborted || !this.#deps.isMember(channel.peer)) {
      channel.abort(new Error('not a member of this realm'))
      return
    }
    this.#served.set(
      channel,
      this.#serve(channel).finally(() => this.#forget(channel)),
    )
  }

  async #serve(channel: Channel): Promise<void> {
    const peer = toHex(channel.peer)
    const turns = this.#turns.get(peer) ?? new Semaphore(AT_ONCE)
    this.#turns.set(peer, turns)
    try {
      await serveChunks(channel, this.#deps.held, {
        turns,
        pass: (bytes) => this.#pass(bytes),
        promised: this.#promised,
        now: () => this.#deps.scheduler.now(),
      })
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      this.#deps.log.debug(`a chunk channel ended: ${why}`, { peer })
    }
  }

  #forget(channel: Channel): void {
    this.#served.delete(channel)
    const isLast = ![...this.#served.keys()].some(({ peer }) => equalBytes(peer, channel.peer))
    if (isLast) this.#turns.delete(toHex(channel.peer))
  }

  /** Until so many bytes may go. */
  async #pass(bytes: number): Promise<void> {
    const { scheduler } = this.#deps
    const { signal } = this.#stopping
    for (
      let ms = this.#rate?.waitMs(scheduler.now()) ?? 0;
      ms > 0;
      ms = this.#rate?.waitMs(scheduler.now()) ?? 0
    )
      await scheduler.sleep(ms, { signal })
    this.#rate?.take(bytes, scheduler.now())
  }
}

export interface ServingLimits {
  /** Of the peer, whatever channels it has. */
  readonly turns: Semaphore
  readonly pass: (bytes: number) => Promise<void>
  /** To all peers. */
  readonly promised: PromisedChunks
  readonly now: () => number
}

type Get = Extract<ChunkMessage, { type: 'get' }>

/**
 * The answering end of a chunk channel, until it ends. A chunk is read when the one before it has found room on the way:
 * a peer that does not read costs one chunk of memory for each of its turns; one that asks too much at once is told so.
 * @throws what broke the channel; a message that is no question breaks it.
 */
export async function serveChunks(channel: Channel, held: HeldChunks, limits: ServingLimits): Promise<void> {
  const underWay = new Set<Promise<void>>()
  const ending = new AbortController()
  const end = (error: unknown) => {
    ending.abort()
    channel.abort(error instanceof Error ? error : new Error('the channel broke', { cause: error }))
  }
  try {
    for await (const bytes of channel.messages()) {
      const message = decodeChunkMessage(bytes)
      const { number } = message
      if (message.type === 'have') {
        const bits = packBits(message.ids.map((id) => held.has(message.naming, id)))
        await channel.send(encodeChunkMessage({ type: 'held', number, bits }))
      } else if (message.type !== 'get') {
        throw new MalformedError('chunk message', 'it is an answer, and nothing was asked')
      } else if (limits.turns.waiting >= MAX_QUEUED) {
        await channel.send(encodeChunkMessage({ type: 'busy', number, retryMs: BUSY_MS }))
      } else {
        const order = new Order(channel, message, limits)
        await order.accept().catch((error: unknown) => {
          order.end() // nobody would fill it
          throw error
        })
        const answered = limits.turns
          .run(() => order.fill(held, ending.signal), { signal: ending.signal })
          .catch((error: unknown) => {
            if (!ending.signal.aborted) end(error)
          })
          .finally(() => {
            order.end()
            underWay.delete(answered)
          })
        underWay.add(answered)
      }
    }
    await Promise.all(underWay)
    await channel.close()
  } catch (error) {
    end(error)
    await Promise.all(underWay)
    throw error
  }
}

/** The answer to one `get`. */
class Order {
  readonly #channel: Channel
  readonly #get: Get
  readonly #limits: ServingLimits
  readonly #peer: string
  /** What is to be sent, by its place. */
  readonly #open = new Map<number, Uint8Array>()

  constructor(channel: Channel, get: Get, limits: ServingLimits) {
    this.#channel = channel
    this.#get = get
    this.#limits = limits
    this.#peer = toHex(channel.peer)
  }

  /** Says at once what others are to be asked for; promises the rest. */
  async accept(): Promise<void> {
    const { number, naming, ids } = this.#get
    const { promised, now } = this.#limits
    for (const [index, id] of ids.entries()) {
      const key = keyOf({ naming, id })
      if (naming === 'chunk' && promised.isElsewhere(key, this.#peer, now())) {
        await this.#channel.send(encodeChunkMessage({ type: 'elsewhere', number, index }))
      } else {
        promised.promise(key, this.#peer, now())
        this.#open.set(index, id)
      }
    }
  }

  async fill(held: HeldChunks, signal: AbortSignal): Promise<void> {
    const { number, naming } = this.#get
    const { promised, pass, now } = this.#limits
    for (const [index, id] of this.#open) {
      signal.throwIfAborted()
      const bytes = held.read(naming, id)
      if (bytes !== undefined) await pass(bytes.length)
      await this.#channel.send(encodeChunkMessage({ type: 'chunk', number, index, bytes }))
      this.#open.delete(index)
      const key = keyOf({ naming, id })
      if (bytes === undefined) promised.broken(key)
      else promised.kept(key, this.#peer, now())
    }
  }

  /** What was not sent is promised no longer. */
  end(): void {
    const { naming } = this.#get
    for (const id of this.#open.values()) this.#limits.promised.broken(keyOf({ naming, id }))
    this.#open.clear()
  }
}
