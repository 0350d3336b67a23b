import { encodeChunkMessage, decodeChunkMessage, packBits } from '../format/chunk-message.ts'
import type { ChunkNaming } from '../format/chunk-message.ts'
import { MalformedError } from '../errors.ts'
import type { Channel } from '../net/peer-host.ts'

/** What this node itself holds: it cannot reach peers, so that no question goes round in circles. */
export interface HeldChunks {
  has(naming: ChunkNaming, id: Uint8Array): boolean
  /** The stored bytes; `undefined` also for what is damaged here. */
  read(naming: ChunkNaming, id: Uint8Array): Uint8Array | undefined
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
