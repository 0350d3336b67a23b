/** Answers that are known before the request's body is through. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { MIB, SECOND_MS } from '../util/units.ts'
import { withHeaders, type Answer } from './answer.ts'
import { writeHead, writeStream } from './send.ts'

/** What we still take from a client that was answered in the middle of its body, so that it gets to read the answer. */
const MAX_DISCARD_BYTES = 256 * MIB
const MAX_DISCARD_MS = 30 * SECOND_MS

/** True while the client has more to send. */
export function isUnread({ complete, destroyed, headers }: IncomingMessage): boolean {
  const hasBody = headers['transfer-encoding'] !== undefined || Number(headers['content-length'] ?? 0) > 0
  return hasBody && !complete && !destroyed
}

/**
 * Sends the answer now, and ends the connection once the client is through with its body. Closing at once would
 * reset the connection, and with it the answer that the client has not read yet.
 */
export async function sendEarly(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
): Promise<void> {
  const { body } = answer
  if (response.headersSent || response.destroyed) return
  writeHead(response, withHeaders(answer, ['Connection', 'close']))
  const discarded = discard(request, response)
  if (Buffer.isBuffer(body)) response.write(body)
  else await writeStream(response, body)
  await discarded
  response.end()
}

/** Reads on and throws away until the client is through, has gone, or has had its share. */
async function discard(request: IncomingMessage, response: ServerResponse): Promise<void> {
  let left = MAX_DISCARD_BYTES
  const timer = setTimeout(() => request.destroy(), MAX_DISCARD_MS).unref()
  request.on('data', (piece: Buffer) => {
    left -= piece.length
    if (left < 0) request.destroy()
  })
  await new Promise<void>((resolve) => {
    request.once('end', resolve)
    request.once('close', resolve)
    request.on('error', () => resolve())
    response.once('close', resolve)
    request.resume()
  })
  clearTimeout(timer)
}
