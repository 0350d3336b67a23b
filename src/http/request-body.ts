import type { IncomingMessage, ServerResponse } from 'node:http'
import { MIB, SECOND_MS } from '../util/units.ts'

/** What we still take from a client that was answered in the middle of its body, so that it gets to read the answer. */
const MAX_DISCARD_BYTES = 256 * MIB
const MAX_DISCARD_MS = 30 * SECOND_MS

/** The rest of a request's body once the answer is known. */
export class RequestBody {
  readonly #request: IncomingMessage
  readonly #response: ServerResponse
  /** Something of it was not read: the connection cannot carry another request. */
  readonly isUnread: boolean

  constructor(request: IncomingMessage, response: ServerResponse) {
    this.#request = request
    this.#response = response
    this.isUnread = !request.complete && !request.destroyed
  }

  /**
   * Reads on and throws away until the client is through or has gone. Closing at once would reset the connection
   * and with it the answer that the client has not read yet.
   */
  async discard(): Promise<void> {
    if (!this.isUnread) return
    const request = this.#request
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
      this.#response.once('close', resolve)
      request.resume()
    })
    clearTimeout(timer)
  }
}
