/** Request bodies, pulled: bounded in size, cut off when the client stops sending, never buffered beyond a piece. */
import type { IncomingMessage, ServerResponse } from 'node:http'
import { InvalidInputError, LimitError } from '../errors.ts'
import { toUtf8 } from '../util/bytes.ts'
import { KIB, SECOND_MS, type AbortOptions } from '../util/units.ts'
import { envelope } from './answer.ts'
import { Refusal } from './errors.ts'

/** Slowest body we wait for; only the time that we wait for the client counts (security.md row 12). */
export const BODY_FLOOR_BYTES_PER_S = 16 * KIB

const PATIENCE_MS = 10 * SECOND_MS

/** Our own JSON bodies (security.md row 13). */
const MAX_JSON_BYTES = 256 * KIB
const MAX_JSON_DEPTH = 16

/** Requests that wait for `100 Continue` before they send their body. */
const awaitingContinue = new WeakSet<IncomingMessage>()

/** The request came with `Expect: 100-continue`: the client is told to go on once somebody reads the body. */
export function holdContinue(request: IncomingMessage): void {
  awaitingContinue.add(request)
}

export interface BodyOptions extends AbortOptions {
  /** How long a client may pause before the floor bites. */
  readonly patienceMs?: number
  /** The floor as of now, where it is not the common one. */
  readonly floorBytesPerS?: (() => number) | undefined
  /** Milliseconds, monotonic. */
  readonly clock?: () => number
}

/**
 * The body in pieces as they arrive.
 * @throws {LimitError} over `maxBytes`; {Refusal} 408 when it comes too slowly; {InvalidInputError} when it is cut.
 */
export async function* readBody(
  request: IncomingMessage,
  response: ServerResponse,
  maxBytes: number,
  options: BodyOptions = {},
): AsyncGenerator<Buffer> {
  if (Number(request.headers['content-length'] ?? 0) > maxBytes)
    throw new LimitError('body', maxBytes, 'bytes')
  if (awaitingContinue.delete(request)) response.writeContinue()
  const arrivals = new Arrivals(request, options)
  try {
    let received = 0
    for (;;) {
      const piece = request.read() as Buffer | null
      if (piece === null) {
        if (await arrivals.ended()) return
        continue
      }
      received += piece.length
      if (received > maxBytes) throw new LimitError('body', maxBytes, 'bytes')
      arrivals.credit(piece.length)
      yield piece
    }
  } finally {
    arrivals.stop()
  }
}

/** Wakes a reader when bytes arrive, when the body ends or breaks, and when it comes too slowly. */
class Arrivals {
  readonly #request: IncomingMessage
  readonly #timer: NodeJS.Timeout
  #wake: (() => void) | undefined
  #failure: Error | undefined
  readonly #patienceMs: number
  readonly #signal: AbortSignal | undefined
  readonly #floorBytesPerS: () => number
  readonly #clock: () => number
  #creditMs: number
  #waitingSinceMs: number | undefined

  constructor(request: IncomingMessage, options: BodyOptions) {
    const { patienceMs = PATIENCE_MS, signal } = options
    this.#request = request
    this.#floorBytesPerS = options.floorBytesPerS ?? (() => BODY_FLOOR_BYTES_PER_S)
    this.#clock = options.clock ?? (() => performance.now())
    this.#signal = signal
    signal?.addEventListener('abort', this.#onEvent)
    this.#patienceMs = patienceMs
    this.#creditMs = patienceMs
    request.on('readable', this.#onEvent)
    request.on('end', this.#onEvent)
    request.on('close', this.#onEvent)
    request.on('error', this.#onEvent)
    this.#timer = setInterval(() => this.#check(), SECOND_MS).unref()
  }

  /** Resolves when there is something to read (false) or nothing more will come (true). */
  async ended(): Promise<boolean> {
    this.#signal?.throwIfAborted()
    if (this.#request.readableEnded) return true
    if (this.#request.destroyed) throw new InvalidInputError('the body was cut off')
    this.#waitingSinceMs = this.#clock()
    await new Promise<void>((resolve) => (this.#wake = resolve))
    this.#creditMs -= this.#clock() - this.#waitingSinceMs
    this.#waitingSinceMs = undefined
    if (this.#failure !== undefined) throw this.#failure
    this.#signal?.throwIfAborted()
    return false
  }

  credit(bytes: number): void {
    const earnedMs = (bytes / this.#floorBytesPerS()) * SECOND_MS
    this.#creditMs = Math.min(this.#patienceMs, this.#creditMs + earnedMs)
  }

  stop(): void {
    clearInterval(this.#timer)
    this.#signal?.removeEventListener('abort', this.#onEvent)
    this.#request.off('readable', this.#onEvent)
    this.#request.off('end', this.#onEvent)
    this.#request.off('close', this.#onEvent)
    // The error listener stays: a client that leaves later must not become an uncaught error.
  }

  readonly #onEvent = () => {
    this.#wake?.()
    this.#wake = undefined
  }

  #check(): void {
    if (this.#waitingSinceMs === undefined) return
    if (this.#clock() - this.#waitingSinceMs < this.#creditMs) return
    this.#failure = new Refusal(envelope(408, 'the body comes too slowly'))
    this.#onEvent()
  }
}

/** A whole small body. @throws {LimitError} over `maxBytes`. */
export async function readAll(
  request: IncomingMessage,
  response: ServerResponse,
  maxBytes: number,
): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of readBody(request, response, maxBytes)) pieces.push(piece)
  return Buffer.concat(pieces)
}

/** A JSON object; an empty body is an empty one. @throws {InvalidInputError} for anything else. */
export async function readJsonObject(
  request: IncomingMessage,
  response: ServerResponse,
  maxBytes = MAX_JSON_BYTES,
): Promise<Readonly<Record<string, unknown>>> {
  const text = toUtf8(await readAll(request, response, maxBytes))
  if (text.trim() === '') return {}
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new InvalidInputError('malformed json request', { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new InvalidInputError('expected a JSON object')
  }
  if (isDeeper(value, MAX_JSON_DEPTH)) throw new LimitError('JSON nesting', MAX_JSON_DEPTH, 'levels')
  return value as Record<string, unknown>
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((member) => isDeeper(member, levels - 1))
}
