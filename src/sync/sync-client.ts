import { MalformedError, UnavailableError } from '../errors.ts'
import { decodeSyncMessage, encodeHint, encodeRequest } from '../format/sync-message.ts'
import type { SyncCall, SyncMessage, SyncRequest, SyncResponse } from '../format/sync-message.ts'
import type { Channel } from '../net/peer-host.ts'
import type { Scheduler } from '../util/scheduler.ts'
import { Semaphore } from '../util/semaphore.ts'
import type { AbortOptions } from '../util/units.ts'
import { ANSWER_MS } from './deadlines.ts'

/** Requests under way at once on one channel (replication.md 2.8). */
const MAX_OUTSTANDING = 8
/** Requests that nobody waits for any more and that may still be answered; with more of them the peer is gone. Ours. */
const MAX_ABANDONED = 256

interface Pending {
  readonly call: SyncCall
  readonly resolve: (body: SyncResponse) => void
  readonly reject: (error: unknown) => void
}

/** The asking end of a sync channel: one for each peer, for as long as both are there. */
export class SyncClient {
  readonly #channel: Channel
  readonly #scheduler: Scheduler
  readonly #room = new Semaphore(MAX_OUTSTANDING)
  readonly #pending = new Map<number, Pending>()
  /** Their answers may come late, once each. */
  readonly #abandoned = new Set<number>()
  readonly #ended: Promise<void>
  #failure: Error | undefined
  #next = 0

  constructor(channel: Channel, scheduler: Scheduler) {
    this.#channel = channel
    this.#scheduler = scheduler
    this.#ended = this.#read()
  }

  /** Public key of who answers. */
  get peer(): Uint8Array {
    return this.#channel.peer
  }

  /** Resolves when the channel is over, however it ended. */
  get ended(): Promise<void> {
    return this.#ended
  }

  /**
   * @throws {UnavailableError} when the peer refuses, does not answer within 30 s, or is gone.
   * @throws {MalformedError | LimitError} when what it says is no answer; the channel is over then.
   */
  call<C extends SyncCall>(
    call: C,
    body: SyncRequest<C>,
    { signal }: AbortOptions = {},
  ): Promise<SyncResponse<C>> {
    return this.#room.run(() => this.#ask(call, body, signal), { ...(signal && { signal }) })
  }

  /** Tells the peer that something has changed here. */
  async hint(): Promise<void> {
    await this.#channel.send(encodeHint())
  }

  async close(): Promise<void> {
    await this.#channel.close().catch(() => {})
    this.#end(new UnavailableError('the channel was closed'))
  }

  async #ask<C extends SyncCall>(
    call: C,
    body: SyncRequest<C>,
    signal: AbortSignal | undefined,
  ): Promise<SyncResponse<C>> {
    signal?.throwIfAborted()
    if (this.#failure !== undefined) throw this.#failure
    const number = this.#next++ % 2 ** 32
    const deadline = new AbortController()
    const stop = () => deadline.abort(signal?.reason)
    signal?.addEventListener('abort', stop, { once: true })
    try {
      return await new Promise<SyncResponse<C>>((resolve, reject) => {
        this.#pending.set(number, { call, reject, resolve: (answer) => resolve(answer as SyncResponse<C>) })
        this.#scheduler.sleep(ANSWER_MS, { signal: deadline.signal }).then(
          () => reject(new UnavailableError(`the peer did not answer ${call} in time`)),
          (error: unknown) => reject(error),
        )
        this.#channel.send(encodeRequest(call, number, body)).catch(reject)
      })
    } finally {
      if (this.#pending.delete(number)) this.#abandon(number)
      signal?.removeEventListener('abort', stop)
      deadline.abort()
    }
  }

  async #read(): Promise<void> {
    try {
      for await (const bytes of this.#channel.messages()) this.#take(decodeSyncMessage(bytes))
      this.#end(new UnavailableError('the peer closed the channel'))
    } catch (error) {
      const failure =
        error instanceof Error ? error : new UnavailableError('the channel broke', { cause: error })
      this.#channel.abort(failure)
      this.#end(failure)
    }
  }

  #take(message: SyncMessage): void {
    const number = 'number' in message ? message.number : -1
    if (this.#abandoned.delete(number)) return
    const pending = this.#pending.get(number)
    if (pending !== undefined && message.type === 'error') {
      this.#pending.delete(number)
      pending.reject(new UnavailableError(`the peer refused ${pending.call}: ${message.code}`))
    } else if (message.type === 'response' && message.call === pending?.call) {
      this.#pending.delete(number)
      pending.resolve(message.body)
    } else throw new MalformedError('sync message', 'it is not the answer to what was asked')
  }

  /** Nobody waits for its answer any more. */
  #abandon(number: number): void {
    this.#abandoned.add(number)
    if (this.#abandoned.size <= MAX_ABANDONED) return
    const failure = new UnavailableError('the peer does not answer')
    this.#channel.abort(failure)
    this.#end(failure)
  }

  #end(error: Error): void {
    this.#failure ??= error
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
  }
}
