/** An answer on its way out: raw, because the fast ones are a lookup and two writes. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { MINUTE_MS } from '../util/units.ts'
import { envelope, type Answer } from './answer.ts'

/** How long a client may not read at all before its connection is cut. */
const UNREAD_MS = MINUTE_MS

/**
 * Resolves when everything was handed to the socket, or the client is gone. When it rejects the response has ended
 * too: with 500 when its head could not be written, else cut.
 */
export async function send(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
): Promise<void> {
  if (response.headersSent || response.destroyed) return
  const { body } = answer
  writeHead(response, answer)
  if (Buffer.isBuffer(body)) {
    response.end(body) // no bytes for HEAD, 204 and 304: node sees to it
    if (response.writableLength > 0) cutIfUnread(response)
    return
  }
  if (request.method !== 'HEAD') await writeStream(response, body)
  response.end()
}

/** @throws what node says of a head that cannot be sent; the client has had a 500 then, in its place. */
export function writeHead(response: ServerResponse, { status, headers, current }: Answer): void {
  try {
    response.writeHead(status, (current === undefined ? headers : [...headers, ...current()]) as string[])
  } catch (error) {
    const failure = envelope(500)
    response.writeHead(failure.status, failure.headers as string[]).end(failure.body)
    throw error
  }
}

/** All of a body but its end. Resolves early when the client leaves; a body that fails cuts the connection. */
export async function writeStream(response: ServerResponse, body: AsyncIterable<Uint8Array>): Promise<void> {
  cutIfUnread(response)
  try {
    for await (const piece of body) {
      if (response.destroyed) return
      if (!response.write(piece)) await drained(response)
    }
  } catch (error) {
    response.destroy() // the status is out: a cut connection is the only way left to say it
    throw error
  }
}

function drained(response: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      response.off('drain', done)
      response.off('close', done)
      resolve()
    }
    response.on('drain', done)
    response.on('close', done)
  })
}

/** Cuts a connection whose peer has stopped reading, while this response is on its way. */
function cutIfUnread(response: ServerResponse): void {
  const { socket } = response
  if (socket === null) return
  const check = setInterval(() => {
    if (socket.bytesWritten === seen && response.writableLength > 0) socket.destroy()
    seen = socket.bytesWritten
  }, UNREAD_MS).unref()
  let seen = socket.bytesWritten
  response.once('close', () => clearInterval(check))
}
