/** One HTTP request and the head of its answer, which may come before everything is sent. */
import {
  request as httpRequest,
  type ClientRequest,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http'
import { request as httpsRequest } from 'node:https'
import { pipeline } from 'node:stream/promises'
import { UnavailableError } from '../errors.ts'
import { SECOND_MS } from '../util/units.ts'

/** How long a node may take to accept a connection. Ours. */
const CONNECT_WITHIN_MS = 20 * SECOND_MS

export interface Exchange {
  readonly response: IncomingMessage
  /** Gives up what is not sent or not read yet. */
  close(): void
}

/**
 * Sends `body` and resolves at the head of the answer.
 * @throws what reading `body` threw, as it is; {UnavailableError} when the connection failed; the signal's reason.
 */
export async function exchange(
  options: RequestOptions & { readonly signal: AbortSignal },
  body: AsyncIterable<Uint8Array>,
): Promise<Exchange> {
  const source = new WatchedSource(body)
  const open = options.protocol === 'https:' ? httpsRequest : httpRequest
  const request = open({ ...options, agent: false })
  limitConnecting(request)
  try {
    const response = await answerTo(request, source)
    return { response, close: () => request.destroy() }
  } catch (cause) {
    request.destroy()
    options.signal.throwIfAborted()
    if (source.failure !== undefined) throw source.failure.error
    throw new UnavailableError((cause as Error).message, { cause })
  }
}

function answerTo(request: ClientRequest, source: WatchedSource): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('response', resolve)
    request.on('error', reject) // once there is an answer, its own stream tells
    pipeline(source.bytes(), request).catch(reject)
  })
}

function limitConnecting(request: ClientRequest): void {
  request.on('socket', (socket) => {
    const late = () => request.destroy(new Error(`no connection within ${CONNECT_WITHIN_MS / SECOND_MS} s`))
    const timer = setTimeout(late, CONNECT_WITHIN_MS)
    for (const event of ['connect', 'close']) socket.once(event, () => clearTimeout(timer))
  })
}

/** Remembers that it was the source that failed, and not the connection. */
class WatchedSource {
  failure: { readonly error: unknown } | undefined
  readonly #body: AsyncIterable<Uint8Array>

  constructor(body: AsyncIterable<Uint8Array>) {
    this.#body = body
  }

  async *bytes(): AsyncGenerator<Uint8Array> {
    try {
      yield* this.#body
    } catch (error) {
      this.failure = { error }
      throw error
    }
  }
}
