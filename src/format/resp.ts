/**
 * RESP2 as 0-db speaks it: requests are arrays of bulk strings, replies are encoded here and nowhere else.
 * The parser is a byte-wise state machine, so a request may arrive cut anywhere; it holds at most what the limits
 * allow, and an argument that lies in one piece of the stream is a view of that piece, not a copy.
 * Not for inline commands, RESP3, or reading replies: a chunk port needs none of them.
 * Source: flist-v1.md §11; error texts are 0-db's own (`zdbd/redis.c`).
 */
import { MalformedError } from '../errors.ts'
import { asBuffer, EMPTY } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'

export interface RequestLimits {
  /** Arguments of one request, the command's name included. */
  readonly maxArguments: number
  /** Bytes of one argument; more is an error before anything is kept. */
  readonly maxArgumentBytes: number
}

/** Arguments in order, the command's name first. Views of the stream: copy what outlives the request. */
export type Request = readonly Uint8Array[]

/** What one request may keep beside its largest argument: enough for MGET of 1,024 keys of 32 bytes. */
const SMALL_ARGUMENTS_BYTES = 64 * KIB

/** Digits of a length; with eight, no number leaves the safe range. */
const MAX_LENGTH_DIGITS = 8

/** First allocation for an argument that comes in pieces; it doubles as bytes really arrive. */
const FIRST_PIECE_BYTES = 4 * KIB

const NO_ARRAY = 'Malformed request, array expected'
const NO_STRING = 'Malformed query string'

const CR = 0x0d
const LF = 0x0a
const ZERO = 0x30
const NINE = 0x39
const ARRAY = 0x2a // *
const BULK = 0x24 // $

type State =
  'array' | 'arguments' | 'array-lf' | 'bulk' | 'length' | 'bulk-lf' | 'body' | 'body-cr' | 'body-lf'

/** Requests out of a stream of pieces. After it threw, the stream has lost its framing: close the connection. */
export class RequestParser {
  /**
   * An argument longer than this is delivered cut to this length, its other bytes are skipped as they come.
   * Lets a port refuse an upload politely without ever holding it.
   */
  keepBytes: number
  readonly #limits: RequestLimits
  readonly #pieces: Uint8Array[] = []
  #piece: Uint8Array = EMPTY
  #at = 0

  #state: State = 'array'
  #number = 0
  #digits = 0
  #arguments: Uint8Array[] = []
  /** How many of `#arguments` are already copies of their own. */
  #owned = 0
  #expected = 0
  #keptBytes = 0

  /** The argument being read: its length, the bytes already seen, and those kept when it came in pieces. */
  #length = 0
  #seen = 0
  #partial: Buffer | undefined

  constructor(limits: RequestLimits) {
    this.#limits = limits
    this.keepBytes = limits.maxArgumentBytes
  }

  /** Hands over the next bytes of the stream; `piece` must not change until its requests were answered. */
  push(piece: Uint8Array): void {
    this.#pieces.push(piece)
  }

  /** True between the first byte of a request and its last. */
  get isInRequest(): boolean {
    return this.#state !== 'array'
  }

  /** Bytes held for a request that is not complete, and those not yet looked at. */
  get bufferedBytes(): number {
    let bytes = this.#piece.length - this.#at + (this.#partial?.length ?? 0)
    for (const piece of this.#pieces) bytes += piece.length
    for (const argument of this.#arguments) bytes += argument.length
    return bytes
  }

  /**
   * The next complete request, or `undefined` until more bytes come.
   * @throws {MalformedError} when the bytes are no array of bulk strings, or over a limit. The message is 0-db's.
   */
  next(): Request | undefined {
    for (;;) {
      if (this.#at === this.#piece.length) {
        if (!this.#nextPiece()) return undefined
      } else if (this.#state === 'body') this.#body()
      else if (this.#header(this.#piece[this.#at++] ?? 0)) return this.#finish()
    }
  }

  #nextPiece(): boolean {
    const next = this.#pieces.shift()
    if (next === undefined) {
      this.#piece = EMPTY
      this.#at = 0
      this.#ownArguments()
      return false
    }
    this.#piece = next
    this.#at = 0
    return true
  }

  /** An incomplete request must not keep whole pieces of the stream alive for a few bytes of each. */
  #ownArguments(): void {
    for (; this.#owned < this.#arguments.length; this.#owned++) {
      this.#arguments[this.#owned] = Buffer.from(this.#arguments[this.#owned] ?? EMPTY)
    }
  }

  #finish(): Request {
    const request = this.#arguments
    this.#arguments = []
    this.#owned = 0
    this.#keptBytes = 0
    this.#state = 'array'
    return request
  }

  /** One byte outside of a body; true when it was the last of a request. */
  #header(byte: number): boolean {
    switch (this.#state) {
      case 'array':
        expect(byte, ARRAY, NO_ARRAY)
        this.#startNumber('arguments')
        return false
      case 'arguments':
        if (this.#numberEnds(byte, NO_ARRAY)) this.#state = 'array-lf'
        return false
      case 'array-lf':
        expect(byte, LF, NO_ARRAY)
        this.#startArguments(this.#number)
        return false
      case 'bulk':
        expect(byte, BULK, NO_STRING)
        this.#startNumber('length')
        return false
      case 'length':
        if (this.#numberEnds(byte, NO_STRING)) this.#state = 'bulk-lf'
        return false
      case 'bulk-lf':
        expect(byte, LF, NO_STRING)
        this.#startBody(this.#number)
        return false
      case 'body':
      case 'body-cr':
        expect(byte, CR, NO_STRING)
        this.#state = 'body-lf'
        return false
      case 'body-lf':
        expect(byte, LF, NO_STRING)
        this.#state = 'bulk'
        return this.#arguments.length === this.#expected
    }
  }

  #startNumber(state: State): void {
    this.#number = 0
    this.#digits = 0
    this.#state = state
  }

  #numberEnds(byte: number, complaint: string): boolean {
    if (byte === CR && this.#digits > 0) return true
    if (byte < ZERO || byte > NINE || ++this.#digits > MAX_LENGTH_DIGITS) throw malformed(complaint)
    this.#number = this.#number * 10 + byte - ZERO
    return false
  }

  #startArguments(count: number): void {
    if (count === 0) throw malformed('Missing arguments')
    if (count > this.#limits.maxArguments) throw malformed('Too many arguments')
    this.#expected = count
    this.#state = 'bulk'
  }

  #startBody(length: number): void {
    this.#keptBytes += Math.min(length, this.keepBytes)
    const isOver = length > this.#limits.maxArgumentBytes
    if (isOver || this.#keptBytes > this.keepBytes + SMALL_ARGUMENTS_BYTES) throw malformed('Payload too big')
    this.#length = length
    this.#seen = 0
    this.#state = length === 0 ? 'body-cr' : 'body'
    if (length === 0) this.#arguments.push(EMPTY)
  }

  #body(): void {
    const taken = Math.min(this.#length - this.#seen, this.#piece.length - this.#at)
    const kept = Math.max(0, Math.min(taken, this.keepBytes - this.#seen))
    const view = this.#piece.subarray(this.#at, this.#at + kept)
    const isWhole = taken === this.#length
    if (!isWhole) this.#keep(view)
    this.#at += taken
    this.#seen += taken
    if (this.#seen < this.#length) return
    if (this.#partial === undefined) this.#arguments.push(isWhole ? view : EMPTY)
    else this.#arguments.push(this.#partial.subarray(0, Math.min(this.#length, this.keepBytes)))
    this.#partial = undefined
    this.#state = 'body-cr'
  }

  #keep(view: Uint8Array): void {
    if (view.length === 0) return
    const wanted = Math.min(this.#length, this.keepBytes)
    const needed = this.#seen + view.length
    if (this.#partial === undefined || this.#partial.length < needed) {
      const size = Math.min(wanted, Math.max(needed, 2 * (this.#partial?.length ?? FIRST_PIECE_BYTES)))
      const grown = Buffer.allocUnsafe(size)
      if (this.#partial !== undefined) grown.set(this.#partial.subarray(0, this.#seen))
      this.#partial = grown
    }
    this.#partial.set(view, this.#seen)
  }
}

function expect(byte: number, wanted: number, complaint: string): void {
  if (byte !== wanted) throw malformed(complaint)
}

function malformed(message: string): MalformedError {
  return new MalformedError('resp', message)
}

export const NIL: Uint8Array = Buffer.from('$-1\r\n')
export const CRLF: Uint8Array = Buffer.from('\r\n')

/** `text` must have no line break; see `encodeError` for words that come from elsewhere. */
export function encodeSimple(text: string): Uint8Array {
  return Buffer.from(`+${text}\r\n`)
}

/** Line breaks become spaces, and a long message is cut: one error is one line. */
export function encodeError(message: string): Uint8Array {
  return Buffer.from(`-${message.replace(/[\r\n]+/g, ' ').slice(0, 512)}\r\n`)
}

export function encodeInteger(value: number): Uint8Array {
  return Buffer.from(`:${value}\r\n`)
}

/** Announces `count` replies that follow. */
export function encodeArrayHeader(count: number): Uint8Array {
  return Buffer.from(`*${count}\r\n`)
}

/** Announces `length` bytes and a CRLF that follow. */
export function encodeBulkHeader(length: number): Uint8Array {
  return Buffer.from(`$${length}\r\n`)
}

/** A whole bulk string; copies `bytes`, so large ones are better sent as header, bytes, CRLF. */
export function encodeBulk(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([encodeBulkHeader(bytes.length), asBuffer(bytes), CRLF])
}

/** A request as a client sends it. */
export function encodeRequest(args: ReadonlyArray<Uint8Array | string>): Uint8Array {
  const parts = [encodeArrayHeader(args.length)]
  for (const arg of args) parts.push(encodeBulk(typeof arg === 'string' ? Buffer.from(arg) : arg))
  return Buffer.concat(parts)
}
