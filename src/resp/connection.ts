/**
 * One client: requests in, replies out in the same order, and never more memory than the limits say. A request whose
 * answer must be waited for (a write, a scan, a wrong password) holds up the ones behind it. After a number of
 * requests or bytes the loop gets its turn back, whatever the client still has in store.
 */
import type { Socket } from 'node:net'
import { HubError, isAbort } from '../errors.ts'
import { encodeError, RequestParser, type Request } from '../format/resp.ts'
import type { Logger } from '../util/logger.ts'
import { MIB } from '../util/units.ts'
import { findCommand, type TableEntry } from './command-table.ts'
import { errorReply } from './error-reply.ts'
import { Output } from './output.ts'
import { guessSource } from './password-gate.ts'
import { isAuthenticated, type Port, type Session } from './port.ts'
import { Bulk, type Answer, type Reply, type Replies } from './reply.ts'
import { AnswersUnderWay } from './under-way.ts'

export interface ConnectionLimits {
  /** Arguments of a request. */
  readonly maxArguments: number
  /** Bytes of a value. */
  readonly maxValueBytes: number
  /** Requests answered before others get their turn. */
  readonly maxPipeline: number
  /** No sign of life, or one request taking this long to arrive. */
  readonly idleMs: number
  /** Replies that the client has not taken; read at each step, because it may depend on how many clients there are. */
  maxOutputBytes(): number
}

/** Reply bytes of one turn: about 5 ms of reading chunks. */
const TURN_BYTES = 2 * MIB
/** Longest argument that a client who may not write needs: a key of 255 bytes, and one to see that it is longer. */
const READER_ARGUMENT_BYTES = 256
/** Wrong passwords before the connection is closed. */
const MAX_FAILURES = 3
/** How long a client may take to read our last words; closing at once would take them back with a reset. */
const LINGER_MS = 500

export class Connection {
  readonly #socket: Socket
  readonly #port: Port
  readonly #log: Logger
  readonly #limits: ConnectionLimits
  readonly #parser: RequestParser
  readonly #output = new Output()
  readonly #gone = new AbortController()
  readonly #session: Session

  /** The rest of an answer that is many replies. */
  #replies: Replies | undefined
  /** Parsed, but those under way must end first. */
  #held: { request: Request; command: TableEntry } | undefined
  readonly #underWay = new AnswersUnderWay()
  /** Waiting for the client to read, for our turn, or for what is under way: no new bytes, please. */
  #isBlocked = false
  #hasEnded = false
  #isClosing = false
  #requestSinceMs: number | undefined
  #activeAtMs: number

  constructor(socket: Socket, port: Port, log: Logger, limits: ConnectionLimits) {
    this.#socket = socket
    this.#port = port
    this.#log = log
    this.#limits = limits
    this.#parser = new RequestParser({
      maxArguments: limits.maxArguments,
      maxArgumentBytes: limits.maxValueBytes,
    })
    this.#parser.keepBytes = READER_ARGUMENT_BYTES
    this.#activeAtMs = port.clock()
    this.#session = {
      guessSource: guessSource(socket.remoteAddress ?? ''),
      isAdmin: false,
      hasSelectedForWriting: false,
      failures: 0,
      signal: this.#gone.signal,
    }
    this.#listen()
  }

  #listen(): void {
    const socket = this.#socket
    socket.setNoDelay(true)
    socket.setTimeout(this.#limits.idleMs)
    socket.on('timeout', () => this.#idle())
    socket.on('data', (piece) => this.#receive(piece))
    socket.on('drain', () => this.#unblock())
    socket.on('end', () => {
      this.#hasEnded = true
      this.#run()
    })
    socket.on('error', (error) => this.#log.debug('chunk port: connection broke', { error: error.message }))
    socket.on('close', () => {
      this.#isClosing = true
      this.#output.clear()
      this.#gone.abort(new Error('the client has left'))
    })
  }

  /** Bytes kept for this client, in and out. */
  get bufferedBytes(): number {
    const { readableLength, writableLength } = this.#socket
    return this.#parser.bufferedBytes + readableLength + this.#output.bytes + writableLength
  }

  /** When the client last sent something; never for one that is waiting for us. */
  get idleSinceMs(): number {
    return this.#underWay.count > 0 ? Infinity : this.#activeAtMs
  }

  /** Answers writes under way, then closes. */
  shutDown(): void {
    this.#close()
  }

  destroy(): void {
    this.#socket.destroy()
  }

  #receive(piece: Uint8Array): void {
    this.#port.counters.bytesIn += piece.length
    this.#activeAtMs = this.#port.clock()
    if (this.#isClosing) return
    this.#parser.push(piece)
    if (this.#isBlocked) this.#socket.pause()
    else this.#run()
  }

  #idle(): void {
    if (this.#underWay.count > 0) this.#socket.setTimeout(this.#limits.idleMs)
    else this.#socket.destroy()
  }

  #unblock(): void {
    if (!this.#isBlocked) return
    this.#isBlocked = false
    this.#run()
  }

  /** Answers requests until there are none, or somebody must be waited for; then writes what it has. */
  #run(): void {
    if (this.#isClosing || this.#isBlocked) return
    try {
      this.#isBlocked = this.#answerMany()
    } catch (error) {
      return this.#drop(error instanceof HubError ? error.message : 'Internal Error', error)
    }
    this.#flush()
    if (this.#isBlocked || this.#isClosing) return
    if (this.#hasEnded && this.#underWay.count === 0) {
      this.#close()
      return
    }
    this.#watchSlowRequest()
    if (this.#socket.isPaused()) this.#socket.resume()
  }

  /** True when it stopped before the requests at hand were all answered. */
  #answerMany(): boolean {
    const maxOutputBytes = this.#limits.maxOutputBytes()
    for (let answered = 0; ; answered++) {
      if (this.#session.failures >= MAX_FAILURES && this.#underWay.count === 0) return this.#close()
      if (this.#socket.writableLength + this.#output.bytes >= maxOutputBytes) return this.#waitForReader()
      if (answered >= this.#limits.maxPipeline || this.#output.bytes >= TURN_BYTES) return this.#waitForTurn()
      if (!this.#answerOne()) return this.#isWaiting()
    }
  }

  #waitForReader(): true {
    this.#flush()
    if (!this.#socket.writableNeedDrain) return this.#waitForTurn()
    return true
  }

  #waitForTurn(): true {
    setImmediate(() => this.#unblock())
    return true
  }

  /** Whether what is under way keeps the next request from being looked at. */
  #isWaiting(): boolean {
    return this.#held !== undefined || this.#underWay.isExclusive
  }

  /** False when nothing more can be answered now. */
  #answerOne(): boolean {
    if (this.#replies !== undefined) {
      if (this.#underWay.count > 0) return false
      const next = this.#replies.next()
      if (next.done === true) this.#replies = undefined
      else this.#take(next.value)
      return true
    }
    const next = this.#nextRequest()
    if (next === undefined) return false
    const { request, command } = next
    if (!this.#underWay.mayStart(command.isWrite)) {
      this.#held = next
      return false
    }
    this.#held = undefined
    this.#execute(request, command)
    return true
  }

  #nextRequest(): { request: Request; command: TableEntry } | undefined {
    if (this.#isWaiting()) return this.#held
    const request = this.#parser.next()
    if (request === undefined) return undefined
    this.#requestSinceMs = undefined
    return { request, command: findCommand(request[0] ?? new Uint8Array(0)) }
  }

  #execute(request: Request, command: TableEntry): void {
    const { commands } = this.#port.counters
    commands.set(command.name, (commands.get(command.name) ?? 0) + 1)
    let answer: Answer
    try {
      answer = command.run(request, this.#session, this.#port)
    } catch (error) {
      answer = this.#failed(error, command.name)
    }
    this.#take(answer, command, request[2]?.length)
    const mayWrite = isAuthenticated(this.#session) && !this.#port.isReadonly
    this.#parser.keepBytes = mayWrite ? this.#limits.maxValueBytes : READER_ARGUMENT_BYTES
  }

  /** `command` is missing for the parts of an answer that is many replies. */
  #take(answer: Answer, command?: TableEntry, valueBytes = 0): void {
    const isReply = answer instanceof Uint8Array || answer instanceof Bulk
    if (isReply && this.#underWay.count === 0) return this.#add(answer)
    if (!isReply && !(answer instanceof Promise)) {
      this.#replies = answer
      return
    }
    const isWrite = command?.isWrite ?? false
    const settled = Promise.resolve(answer).catch((error: unknown) => this.#failed(error, command?.name))
    this.#underWay.add(settled, isWrite, isWrite ? valueBytes : 0, (reply) => {
      this.#add(reply)
      this.#isBlocked = false
      this.#run()
    })
  }

  #failed(error: unknown, command: string | undefined): Uint8Array {
    if (error instanceof HubError) this.#log.warn('chunk port: command failed', { command }, error)
    else if (!isAbort(error, this.#gone.signal)) {
      this.#log.error('chunk port: command failed', { command }, error)
    }
    return errorReply(error)
  }

  #add(reply: Reply): void {
    if (this.#socket.destroyed) return
    if (reply instanceof Uint8Array && reply[0] === 0x2d) this.#port.counters.errors++
    this.#output.add(reply)
  }

  #flush(): void {
    if (this.#socket.writable) this.#port.counters.bytesOut += this.#output.flush(this.#socket)
  }

  #watchSlowRequest(): void {
    if (!this.#parser.isInRequest) return
    const now = this.#port.clock()
    this.#requestSinceMs ??= now
    if (now - this.#requestSinceMs > this.#limits.idleMs) this.#drop('Request too slow')
  }

  /** Says why, and closes. */
  #drop(message: string, cause?: unknown): void {
    const { counters } = this.#port
    counters.connectionsDropped++
    counters.errors++
    if (cause !== undefined && !(cause instanceof HubError)) {
      this.#log.error('chunk port: connection failed', {}, cause)
    }
    this.#close(encodeError(message))
  }

  /** No more requests; once writes under way are answered, the last words, and the end. */
  #close(lastWords?: Uint8Array): true {
    if (this.#isClosing) return true
    this.#isClosing = true
    void this.#underWay.writesAnswered().then(() => {
      if (lastWords !== undefined) this.#output.add(lastWords)
      this.#flush()
      this.#socket.end()
      this.#socket.resume() // what still comes is thrown away
      setTimeout(() => this.#socket.destroy(), LINGER_MS).unref()
    })
    return true
  }
}
