/** An answer on its way out: raw, because the fast ones are a lookup and two writes. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { MINUTE_MS } from '../util/units.ts'
import type { Answer } from './answer.ts'

/** How long a client may not read at all before its connection is cut. */
const UNREAD_MS = MINUTE_MS

/** Resolves when everything was handed to the socket, or the client is gone. */
export async function send(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
): Promise<void> {
  if (response.headersSent || response.destroyed) return
  if (Buffer.isBuffer(answer.body)) sendBytes(response, answer.status, answer.headers, answer.body)
  else await sendStream(request, response, answer, answer.body)
}

function sendBytes(response: ServerResponse, status: number, headers: readonly string[], body: Buffer): void {
  response.writeHead(status, headers as string[])
  response.end(body) // no bytes for HEAD, 204 and 304: node sees to it
  if (response.writableLength > 0) cutIfUnread(response)
}

async function sendStream(
  request: IncomingMessage,
  response: ServerResponse,
  answer: Answer,
  body: AsyncIterable<Uint8Array>,
): Promise<void> {
  response.writeHead(answer.status, answer.headers as string[])
  if (request.method === 'HEAD') return void response.end()
  cutIfUnread(response)
  try {
    for await (const piece of body) {
      if (response.destroyed) return
      if (!response.write(piece)) await drained(response)
    }
    response.end()
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
