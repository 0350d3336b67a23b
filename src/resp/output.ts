import type { Socket } from 'node:net'
import { CRLF, encodeBulkHeader } from '../format/resp.ts'
import { asBuffer } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'
import { Bulk, type Reply } from './reply.ts'

/** Below this a copy into one buffer is cheaper than one more vector of the write. */
const COPY_BELOW_BYTES = 16 * KIB

/** Replies gathered between two looks at the socket, then written in one system call. */
export class Output {
  readonly #parts: Uint8Array[] = []
  #bytes = 0

  /** Not yet given to the socket. */
  get bytes(): number {
    return this.#bytes
  }

  add(reply: Reply): void {
    if (!(reply instanceof Bulk)) return this.#push(reply)
    this.#push(encodeBulkHeader(reply.bytes.length))
    this.#push(reply.bytes)
    this.#push(CRLF)
  }

  #push(part: Uint8Array): void {
    this.#parts.push(part)
    this.#bytes += part.length
  }

  /** Gives everything to the socket: small neighbours joined, chunks as they are. Returns how many bytes. */
  flush(socket: Socket): number {
    const bytes = this.#bytes
    if (bytes === 0) return 0
    const pieces = join(this.#parts)
    socket.cork()
    for (const piece of pieces) socket.write(piece)
    socket.uncork()
    this.clear()
    return bytes
  }

  clear(): void {
    this.#parts.length = 0
    this.#bytes = 0
  }
}

function join(parts: readonly Uint8Array[]): Uint8Array[] {
  const pieces: Uint8Array[] = []
  let from = 0
  let smallBytes = 0
  for (let at = 0; at <= parts.length; at++) {
    const part = parts[at]
    if (part !== undefined && part.length < COPY_BELOW_BYTES) {
      smallBytes += part.length
      continue
    }
    if (at > from) pieces.push(Buffer.concat(parts.slice(from, at), smallBytes))
    if (part !== undefined) pieces.push(asBuffer(part))
    from = at + 1
    smallBytes = 0
  }
  return pieces
}
