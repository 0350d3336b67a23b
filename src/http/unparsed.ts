/** Requests that node's parser refuses: answered by hand, then closed. One of them is good: the method INFO. */
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import { envelope, type Answer } from './answer.ts'
import type { Router } from './router.ts'

interface ParserError extends Error {
  readonly code?: string
  readonly rawPacket?: Buffer
}

const STATUS_OF: Readonly<Record<string, number>> = {
  HPE_HEADER_OVERFLOW: 431,
  ERR_HTTP_REQUEST_TIMEOUT: 408,
}

/** A request line with the method INFO (hub-api.md §4), which the original routes and node's parser does not know. */
const INFO_LINE = /^INFO (\/[^ \r\n]*) HTTP\/1\.[01]\r\n/

/** `router` is absent while the node starts or stops. */
export function answerUnparsed(error: ParserError, socket: Socket, router: Router | undefined): void {
  if (!socket.writable || error.code === 'ECONNRESET') return void socket.destroy()
  const [, infoUrl] = INFO_LINE.exec(error.rawPacket?.toString('latin1') ?? '') ?? []
  if (infoUrl === undefined || router === undefined) {
    return end(socket, envelope(STATUS_OF[error.code ?? ''] ?? 400))
  }
  router.info(infoUrl).then(
    (answer) => end(socket, answer),
    () => socket.destroy(),
  )
}

function end(socket: Socket, { status, headers, body }: Answer): void {
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`]
  for (let at = 0; at + 1 < headers.length; at += 2) lines.push(`${headers[at]}: ${headers[at + 1]}`)
  socket.write(`${lines.join('\r\n')}\r\nConnection: close\r\n\r\n`)
  socket.end(Buffer.isBuffer(body) ? body : '')
}
