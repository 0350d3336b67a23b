import { HubError } from '../errors.ts'
import { decodeSyncMessage, encodeResponse, encodeSyncError } from '../format/sync-message.ts'
import type { SyncCall, SyncRequest, SyncResponse } from '../format/sync-message.ts'
import type { Channel } from '../net/peer-host.ts'

/** Answers of this node, by call. */
export type SyncAnswers = {
  readonly [C in SyncCall]: (request: SyncRequest<C>) => SyncResponse<C> | Promise<SyncResponse<C>>
}

/**
 * The answering end of a sync channel, until it ends. One request after the other: who asks faster than this node reads
 * waits, and costs no memory.
 * @throws what broke the channel; a message that is none breaks it.
 */
export async function serveSync(channel: Channel, answers: SyncAnswers, onHint: () => void): Promise<void> {
  try {
    for await (const bytes of channel.messages()) {
      const message = decodeSyncMessage(bytes)
      if (message.type === 'hint') onHint()
      else if (message.type === 'request') {
        await channel.send(await answer(answers, message.call, message.number, message.body))
      }
    }
    await channel.close()
  } catch (error) {
    channel.abort(error instanceof Error ? error : new Error('the channel broke', { cause: error }))
    throw error
  }
}

async function answer<C extends SyncCall>(
  answers: SyncAnswers,
  call: C,
  number: number,
  body: SyncRequest,
): Promise<Uint8Array> {
  try {
    return encodeResponse(call, number, await answers[call](body as SyncRequest<C>))
  } catch (error) {
    if (error instanceof HubError) return encodeSyncError(number, error.code, 0)
    throw error
  }
}
