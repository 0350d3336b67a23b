import { setImmediate as breathe } from 'node:timers/promises'
import type { Stream } from '@libp2p/interface'
import { LimitError, UnavailableError } from '../errors.ts'
import { frameHeader, FrameReader } from '../format/frames.ts'
import { concat } from '../util/bytes.ts'
import { DAY_MS, MIB } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'
import type { Channel } from './peer-host.ts'

/** Unread messages beyond which the sender is stopped, and below which it goes on. */
const STOP_BYTES = 2 * MIB
const GO_BYTES = MIB / 2
/** Beyond it the peer sends though it was stopped: a window of the muxer may still be on its way then, and a message. */
const MAX_UNREAD_BYTES = 8 * MIB
/** What an unread message takes besides its bytes: millions of one byte must count, too. */
const MESSAGE_BYTES = 256
/** Messages that are read without a breath: who sends many small ones does not hold up everybody else. */
const BREATH = 32

/**
 * The two that stop the sender, which libp2p's interface of a stream leaves out. Its own `pause` stops us as well: what
 * is on its way then is kept in pieces as small as the sender likes, at a hundred bytes each.
 */
type MuxedStream = Stream & { sendPause(): void; sendResume(): void }

/** Told of each message, by its length. */
export interface Meter {
  sent(bytes: number): void
  received(bytes: number): void
}

/** A channel over a libp2p stream. libp2p's own iterator of a stream never stops the sender; this one does. */
export class StreamChannel implements Channel {
  readonly peer: Uint8Array
  readonly #stream: MuxedStream
  readonly #maxMessageBytes: number
  readonly #reader: FrameReader
  readonly #meter: Meter
  #inbox: Uint8Array[] = []
  #unreadBytes = 0
  #isPaused = false
  #end: Error | 'closed' | undefined
  #wake: () => void = () => {}

  constructor(stream: Stream, peer: Uint8Array, maxMessageBytes: number, meter: Meter) {
    this.#meter = meter
    this.#stream = stream as MuxedStream
    this.peer = peer
    this.#maxMessageBytes = maxMessageBytes
    this.#reader = new FrameReader(maxMessageBytes)
    stream.inactivityTimeout = DAY_MS
    stream.maxReadBufferLength = MAX_UNREAD_BYTES
    stream.addEventListener('message', ({ data }) => this.#take(data.subarray()))
    stream.addEventListener('remoteCloseWrite', () => this.#finish('closed'))
    stream.addEventListener('close', ({ error }) => this.#finish(error ?? 'closed'))
  }

  async send(message: Uint8Array | readonly Uint8Array[], { signal }: AbortOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    const pieces = message instanceof Uint8Array ? [message] : message
    const length = pieces.reduce((sum, piece) => sum + piece.length, 0)
    if (length > this.#maxMessageBytes)
      throw new RangeError(`a message of ${length} bytes is too long to send`)
    try {
      while (this.#stream.writableNeedsDrain && this.#end === undefined) await this.#drained(signal)
      this.#stream.send(concat([frameHeader(length), ...pieces]))
      this.#meter.sent(length)
    } catch (cause) {
      signal?.throwIfAborted()
      throw new UnavailableError('the channel is over', { cause })
    }
  }

  async *messages(): AsyncGenerator<Uint8Array> {
    for (let count = 1; ; count++) {
      if (count % BREATH === 0) await breathe()
      const message = this.#inbox.shift()
      if (message !== undefined) {
        this.#read(message.length + MESSAGE_BYTES)
        yield message
      } else if (this.#end === 'closed') return
      else if (this.#end !== undefined) throw this.#end
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  async close(): Promise<void> {
    this.#finish('closed')
    await this.#stream.close().catch(() => {})
  }

  abort(reason: Error): void {
    this.#finish(reason)
    this.#inbox = []
    this.#stream.abort(reason)
  }

  /** Until the stream has room or is over. Its own `onDrain` answers from a promise of an earlier time. */
  #drained(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const done = () => {
        this.#stream.removeEventListener('drain', done)
        this.#stream.removeEventListener('close', done)
        signal?.removeEventListener('abort', done)
        if (signal?.aborted === true) reject(signal.reason as Error)
        else resolve()
      }
      this.#stream.addEventListener('drain', done)
      this.#stream.addEventListener('close', done)
      signal?.addEventListener('abort', done)
    })
  }

  #take(bytes: Uint8Array): void {
    try {
      for (const message of this.#reader.push(bytes)) {
        this.#inbox.push(message)
        this.#unreadBytes += message.length + MESSAGE_BYTES
        this.#meter.received(message.length)
      }
      if (this.#unreadBytes > MAX_UNREAD_BYTES) throw new LimitError('unread', MAX_UNREAD_BYTES, 'bytes')
    } catch (error) {
      this.abort(error as Error)
      return
    }
    if (this.#unreadBytes > STOP_BYTES && !this.#isPaused) {
      this.#isPaused = true
      this.#stream.sendPause()
    }
    this.#wake()
  }

  #read(bytes: number): void {
    this.#unreadBytes -= bytes
    if (this.#isPaused && this.#unreadBytes < GO_BYTES && this.#end === undefined) {
      this.#isPaused = false
      this.#stream.sendResume()
    }
  }

  #finish(end: Error | 'closed'): void {
    const isCut = end === 'closed' && !this.#reader.isWhole
    this.#end ??= isCut ? new UnavailableError('the channel was cut within a message') : end
    this.#wake()
  }
}
