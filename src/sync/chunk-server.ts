import { CorruptError, MalformedError } from '../errors.ts'
import { decodeChunkMessage, encodeChunkMessage, packBits } from '../format/chunk-message.ts'
import type { ChunkNaming } from '../format/chunk-message.ts'
import type { Channel, PeerHost } from '../net/peer-host.ts'
import type { ChunkStore } from '../store/chunk-store.ts'
import type { ServedFlists } from '../store/flist-store.ts'
import { toHex } from '../util/bytes.ts'
import type { Logger } from '../util/logger.ts'
import { CHUNK_PROTOCOL, CHUNK_PROTOCOL_OPTIONS } from './chunk-fetcher.ts'

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
  readonly log: Logger
  readonly isMember: (peer: Uint8Array) => boolean
}

/** Answers what members ask of this node's chunks. */
export class ChunkServer {
  readonly #deps: ChunkServerDeps
  readonly #served = new Map<Channel, Promise<void>>()
  #isStopped = false

  constructor(deps: ChunkServerDeps) {
    this.#deps = deps
  }

  start(): void {
    this.#deps.host.handle(CHUNK_PROTOCOL, CHUNK_PROTOCOL_OPTIONS, (channel) => this.#take(channel))
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    for (const channel of this.#served.keys()) channel.abort(new Error('the node stops'))
    await Promise.all(this.#served.values())
  }

  #take(channel: Channel): void {
    if (this.#isStopped || !this.#deps.isMember(channel.peer)) {
      channel.abort(new Error('not a member of this realm'))
      return
    }
    this.#served.set(
      channel,
      this.#serve(channel).finally(() => this.#served.delete(channel)),
    )
  }

  async #serve(channel: Channel): Promise<void> {
    const { held, log } = this.#deps
    try {
      await serveChunks(channel, held)
    } catch (error) {
      const why = error instanceof Error ? error.message : String(error)
      log.debug(`a chunk channel ended: ${why}`, { peer: toHex(channel.peer) })
    }
  }
}

/**
 * The answering end of a chunk channel, until it ends. One chunk is read when the one before it has found room on the
 * way: a peer that does not read costs one chunk of memory.
 * @throws what broke the channel; a message that is no question breaks it.
 */
export async function serveChunks(channel: Channel, held: HeldChunks): Promise<void> {
  try {
    for await (const bytes of channel.messages()) await answer(channel, held, bytes)
    await channel.close()
  } catch (error) {
    channel.abort(error instanceof Error ? error : new Error('the channel broke', { cause: error }))
    throw error
  }
}

async function answer(channel: Channel, held: HeldChunks, question: Uint8Array): Promise<void> {
  const message = decodeChunkMessage(question)
  const { number } = message
  if (message.type === 'have') {
    const bits = packBits(message.ids.map((id) => held.has(message.naming, id)))
    await channel.send(encodeChunkMessage({ type: 'held', number, bits }))
  } else if (message.type === 'get') {
    for (const [index, id] of message.ids.entries()) {
      const bytes = held.read(message.naming, id)
      await channel.send(encodeChunkMessage({ type: 'chunk', number, index, bytes }))
    }
  } else throw new MalformedError('chunk message', 'it is an answer, and nothing was asked')
}
