import { MalformedError, UnavailableError } from '../errors.ts'
import { decodeChunkMessage, encodeChunkMessage, MAX_GET_IDS, unpackBits } from '../format/chunk-message.ts'
import type { ChunkMessage } from '../format/chunk-message.ts'
import type { Channel } from '../net/peer-host.ts'
import type { Scheduler } from '../util/scheduler.ts'
import { SECOND_MS } from '../util/units.ts'
import type { FetchItem } from './fetch-item.ts'

/** A peer that owes an answer and sends nothing for so long is gone (replication.md, Settled points: deadlines). */
const SILENCE_MS = 30 * SECOND_MS

/** What comes back, item by item. */
export interface ChunkListener {
  held(items: readonly FetchItem[], answers: readonly boolean[]): void
  chunk(item: FetchItem, bytes: Uint8Array): void
  miss(item: FetchItem): void
}

interface Question {
  readonly type: 'have' | 'get'
  readonly items: readonly FetchItem[]
  /** Items that are still to come. */
  left: number
}

/** The asking end of a chunk channel. Items of one question are of one naming and length of id. */
export class ChunkChannel {
  readonly #channel: Channel
  readonly #scheduler: Scheduler
  readonly #questions = new Map<number, Question>()
  #next = 0
  #heardMs: number

  constructor(channel: Channel, scheduler: Scheduler) {
    this.#channel = channel
    this.#scheduler = scheduler
    this.#heardMs = scheduler.now()
  }

  ask(type: 'have' | 'get', items: readonly FetchItem[]): void {
    for (const same of alike(items)) {
      const step = type === 'get' ? MAX_GET_IDS : same.length
      for (let from = 0; from < same.length; from += step) this.#send(type, same.slice(from, from + step))
    }
  }

  /** Until the channel ends. @throws what broke it. */
  async listen(listener: ChunkListener): Promise<void> {
    const watching = new AbortController()
    const watch = this.#watch(watching.signal)
    try {
      for await (const bytes of this.#channel.messages()) {
        this.#heardMs = this.#scheduler.now()
        this.#take(decodeChunkMessage(bytes), listener)
      }
    } catch (error) {
      this.#channel.abort(error instanceof Error ? error : new Error('the channel broke', { cause: error }))
      throw error
    } finally {
      watching.abort()
      await watch
    }
  }

  async close(): Promise<void> {
    await this.#channel.close().catch(() => {})
  }

  #send(type: 'have' | 'get', items: readonly FetchItem[]): void {
    const number = this.#next++ % 2 ** 32
    if (this.#questions.size === 0) this.#heardMs = this.#scheduler.now()
    this.#questions.set(number, { type, items, left: items.length })
    const message = {
      type,
      number,
      naming: items[0]?.naming ?? 'chunk',
      ids: items.map(({ id }) => id),
    } as const
    // A send that fails ends `listen` too.
    this.#channel.send(encodeChunkMessage(message)).catch(() => {})
  }

  #take(message: ChunkMessage, listener: ChunkListener): void {
    const question = this.#questions.get(message.number)
    if (message.type === 'held' && question?.type === 'have') {
      this.#questions.delete(message.number)
      listener.held(question.items, unpackBits(message.bits, question.items.length))
      return
    }
    const item =
      message.type === 'chunk' && question?.type === 'get' ? question.items[message.index] : undefined
    if (message.type !== 'chunk' || question === undefined || item === undefined) {
      throw new MalformedError('chunk message', 'it is not the answer to what was asked')
    }
    if (--question.left === 0) this.#questions.delete(message.number)
    if (message.bytes === undefined) listener.miss(item)
    else listener.chunk(item, message.bytes)
  }

  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#scheduler.sleep(SILENCE_MS / 3, { signal }).catch(() => {})
      const isSilent = this.#scheduler.now() - this.#heardMs >= SILENCE_MS
      if (!signal.aborted && isSilent && this.#questions.size > 0) {
        this.#channel.abort(new UnavailableError('the peer does not answer'))
        return
      }
    }
  }
}

/** Groups whose items can stand in one question. */
function alike(items: readonly FetchItem[]): FetchItem[][] {
  const groups = new Map<string, FetchItem[]>()
  for (const item of items) {
    const group = `${item.naming} ${item.id.length}`
    const same = groups.get(group)
    if (same === undefined) groups.set(group, [item])
    else same.push(item)
  }
  return [...groups.values()]
}
