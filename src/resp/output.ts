import type { Socket } from 'node:net'
import { CRLF, encodeBulkHeader } from '../format/resp.ts'
import { KIB } from '../util/units.ts'
import { Bulk, type Reply } from './reply.ts'

/** Neighbours below this are joined; from here on one more vector of the write is cheaper than a copy. */
const JOIN_BELOW_BYTES = 1 * KIB

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

/** The same bytes in fewer pieces. */
function join(parts: readonly Uint8Array[]): Uint8Array[] {
  const pieces: Uint8Array[] = []
  let small: Uint8Array[] = []
  for (const part of parts) {
    if (part.length < JOIN_BELOW_BYTES) {
      small.push(part)
      continue
    }
    if (small.length > 0) pieces.push(small.length === 1 ? (small[0] ?? part) : Buffer.concat(small))
    small = []
    pieces.push(part)
  }
  if (small.length > 0) pieces.push(Buffer.concat(small))
  return pieces
}
