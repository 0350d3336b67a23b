import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { encodeRequest } from '../../src/format/resp.ts'

/** A client that answers with the raw bytes of each reply, so a test compares what is really on the wire. */
export class RespClient {
  readonly socket: Socket
  #buffer: Buffer = Buffer.alloc(1024)
  #from = 0
  #to = 0
  #isClosed = false
  #wake: () => void = () => {}

  private constructor(socket: Socket) {
    this.socket = socket
    socket.on('data', (piece: Buffer) => {
      this.#append(piece)
      this.#wake()
    })
    socket.on('error', () => {})
    socket.on('close', () => {
      this.#isClosed = true
      this.#wake()
    })
  }

  static async connect(port: number, options: { allowHalfOpen?: boolean } = {}): Promise<RespClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, ...options })
    const client = new RespClient(socket)
    await once(socket, 'connect')
    return client
  }

  #append(piece: Buffer): void {
    if (this.#to + piece.length > this.#buffer.length) {
      const unread = this.#buffer.subarray(this.#from, this.#to)
      const grown = Buffer.alloc(2 * (unread.length + piece.length))
      grown.set(unread)
      this.#buffer = grown
      this.#to = unread.length
      this.#from = 0
    }
    this.#buffer.set(piece, this.#to)
    this.#to += piece.length
  }

  send(...args: ReadonlyArray<Uint8Array | string>): void {
    this.socket.write(encodeRequest(args))
  }

  /** The next reply, CRLF included; `undefined` when the server closed before a whole one came. */
  async reply(): Promise<Buffer | undefined> {
    for (;;) {
      const end = replyEnd(this.#buffer.subarray(0, this.#to), this.#from)
      if (end !== undefined) {
        const reply = Buffer.from(this.#buffer.subarray(this.#from, end))
        this.#from = end
        return reply
      }
      if (this.#isClosed) return undefined
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  async ask(...args: ReadonlyArray<Uint8Array | string>): Promise<Buffer | undefined> {
    this.send(...args)
    return this.reply()
  }

  /** As `ask`, one character a byte. */
  async askText(...args: ReadonlyArray<Uint8Array | string>): Promise<string | undefined> {
    return (await this.ask(...args))?.toString('latin1')
  }

  async replyText(): Promise<string | undefined> {
    return (await this.reply())?.toString('latin1')
  }

  /** Resolves when the server has closed too. */
  async closed(): Promise<void> {
    while (!this.#isClosed) await new Promise<void>((resolve) => (this.#wake = resolve))
  }

  destroy(): void {
    this.socket.destroy()
  }
}

/** Where the reply that starts at `at` ends, or `undefined` when it is not all there. */
export function replyEnd(bytes: Buffer, at: number): number | undefined {
  const lineEnd = bytes.indexOf('\r\n', at)
  if (lineEnd < 0) return undefined
  const after = lineEnd + 2
  const kind = String.fromCharCode(bytes[at] ?? 0)
  if (kind === '+' || kind === '-' || kind === ':') return after
  const count = Number(bytes.toString('latin1', at + 1, lineEnd))
  if (kind === '$') {
    const end = count < 0 ? after : after + count + 2
    return end <= bytes.length ? end : undefined
  }
  if (kind !== '*') throw new Error(`not a reply: ${JSON.stringify(bytes.toString('latin1', at, at + 40))}`)
  let end: number | undefined = after
  for (let item = 0; item < count && end !== undefined; item++) end = replyEnd(bytes, end)
  return end
}
