import { HubError, LimitError, MalformedError } from '../errors.ts'
import {
  decodeSyncMessage,
  encodeResponse,
  encodeSyncError,
  MAX_REQUEST_BYTES,
} from '../format/sync-message.ts'
import type { SyncCall, SyncRequest, SyncResponse } from '../format/sync-message.ts'
import type { Channel } from '../net/peer-host.ts'

/** Answers of this node, by call. */
export type SyncAnswers = {
  readonly [C in SyncCall]: (request: SyncRequest<C>) => SyncResponse<C> | Promise<SyncResponse<C>>
}

/** Hints between two requests: five a second, for as long as a peer that follows this node asks nothing, are 450. */
const MAX_HINTS = 1000

/**
 * The answering end of a sync channel, until it ends. One request after the other: who asks faster than this node reads
 * waits, and costs no memory.
 * @throws what broke the channel; a message that is none breaks it, an answer to nothing, and a flood of hints.
 */
export async function serveSync(channel: Channel, answers: SyncAnswers, onHint: () => void): Promise<void> {
  let hints = 0
  try {
    for await (const bytes of channel.messages()) {
      const message = decodeSyncMessage(bytes, MAX_REQUEST_BYTES)
      if (message.type === 'request') {
        hints = 0
        await channel.send(await answer(answers, message.call, message.number, message.body))
      } else if (message.type !== 'hint') throw new MalformedError('sync message', 'nothing was asked')
      else if (++hints > MAX_HINTS) throw new LimitError('hints in a row', MAX_HINTS, 'hints')
      else onHint()
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
