import { LimitError, MalformedError } from '../errors.ts'
import { concat } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'

/** Messages on a stream of bytes: an unsigned LEB128 length of at most four bytes, then the message (replication.md 2.8). */
const MAX_HEADER_BYTES = 4
/** Smaller pieces are copied together: one that comes byte by byte must not take a hundred bytes for each. */
const SMALL_BYTES = 4 * KIB

export function frameHeader(lengthBytes: number): Uint8Array {
  const header: number[] = []
  let rest = lengthBytes
  for (; rest > 127; rest >>>= 7) header.push((rest & 127) | 128)
  header.push(rest)
  if (header.length > MAX_HEADER_BYTES)
    throw new RangeError(`a message of ${lengthBytes} bytes has no header`)
  return Uint8Array.from(header)
}

/** Cuts what arrives into messages. A length is checked before anything is kept for it. */
export class FrameReader {
  readonly #maxBytes: number
  #header: number[] = []
  #left = 0
  #pieces: Uint8Array[] = []
  /** The last piece, while it is a copy with room for more, and how much of it is used. */
  #tail: Uint8Array | undefined
  #used = 0

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes
  }

  /** True between two messages. */
  get isWhole(): boolean {
    return this.#left === 0 && this.#header.length === 0
  }

  /**
   * Messages that are complete with these bytes; those that came in one piece share their memory.
   * @throws {LimitError} for a message that is longer than allowed. @throws {MalformedError} for no or no shortest length.
   */
  push(bytes: Uint8Array): Uint8Array[] {
    const messages: Uint8Array[] = []
    for (let at = 0; at < bytes.length;) {
      if (this.#left === 0) {
        this.#readHeader(bytes[at++] ?? 0)
        continue
      }
      const piece = bytes.subarray(at, at + this.#left)
      at += piece.length
      this.#left -= piece.length
      if (this.#left > 0) this.#keep(piece)
      else messages.push(this.#complete(piece))
    }
    return messages
  }

  #keep(piece: Uint8Array): void {
    if (piece.length >= SMALL_BYTES) {
      this.#closeTail()
      this.#pieces.push(piece)
      return
    }
    if (this.#tail === undefined || this.#used + piece.length > SMALL_BYTES) {
      this.#closeTail()
      this.#tail = new Uint8Array(SMALL_BYTES)
    }
    this.#tail.set(piece, this.#used)
    this.#used += piece.length
  }

  #closeTail(): void {
    if (this.#tail !== undefined) this.#pieces.push(this.#tail.subarray(0, this.#used))
    this.#tail = undefined
    this.#used = 0
  }

  #complete(last: Uint8Array): Uint8Array {
    this.#closeTail()
    if (this.#pieces.length === 0) return last
    const message = concat([...this.#pieces, last])
    this.#pieces = []
    return message
  }

  #readHeader(byte: number): void {
    this.#header.push(byte)
    if ((byte & 128) !== 0) {
      if (this.#header.length === MAX_HEADER_BYTES) throw malformed('its length takes more than four bytes')
      return
    }
    if (byte === 0)
      throw malformed(this.#header.length > 1 ? 'its length is not in its shortest form' : 'it is empty')
    this.#left = this.#header.reduceRight((sum, one) => sum * 128 + (one & 127), 0)
    this.#header = []
    if (this.#left > this.#maxBytes) throw new LimitError('message', this.#maxBytes, 'bytes')
  }
}

function malformed(why: string): MalformedError {
  return new MalformedError('frame', `the frame is malformed: ${why}`)
}
