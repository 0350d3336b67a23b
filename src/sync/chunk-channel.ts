import { MalformedError, UnavailableError } from '../errors.ts'
import { decodeChunkMessage, encodeChunkMessage, MAX_GET_IDS, unpackBits } from '../format/chunk-message.ts'
import type { ChunkMessage } from '../format/chunk-message.ts'
import type { Channel } from '../net/peer-host.ts'
import type { Scheduler } from '../util/scheduler.ts'
import { ANSWER_MS } from './deadlines.ts'
import type { FetchItem } from './fetch-item.ts'

/** What comes back, item by item. */
export interface ChunkListener {
  held(items: readonly FetchItem[], answers: readonly boolean[]): void
  chunk(item: FetchItem, bytes: Uint8Array): void
  miss(item: FetchItem): void
  /** Another was promised it, and is to be asked. */
  elsewhere(item: FetchItem): void
  /** None of these comes: not again before that time. */
  busy(items: readonly FetchItem[], retryMs: number): void
}

interface Question {
  readonly type: 'have' | 'get'
  readonly items: readonly FetchItem[]
  /** Places of items that are still to come. */
  readonly open: Set<number>
}

type GetAnswer = Extract<ChunkMessage, { type: 'chunk' | 'elsewhere' | 'busy' }>

/** The asking end of a chunk channel. Items of one question are of one naming and length of id. */
export class ChunkChannel {
  readonly #channel: Channel
  readonly #scheduler: Scheduler
  readonly #questions = new Map<number, Question>()
  #next = 0
  /** When the oldest question was last answered in part: who answers others only, to seem alive, is gone, too. */
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
    this.#questions.set(number, { type, items, open: new Set(items.keys()) })
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
    const { number } = message
    const question = this.#questions.get(number)
    const [oldest] = this.#questions.keys()
    if (number === oldest) this.#heardMs = this.#scheduler.now()
    if (question?.type === 'have' && message.type === 'held') {
      this.#questions.delete(number)
      listener.held(question.items, unpackBits(message.bits, question.items.length))
    } else if (question?.type === 'get' && isGetAnswer(message)) {
      this.#answered(question, message, listener)
    } else throw unasked()
  }

  /** Each item once; all of them or none when the peer is busy. */
  #answered({ items, open }: Question, message: GetAnswer, listener: ChunkListener): void {
    if (message.type === 'busy') {
      if (open.size < items.length) throw unasked()
      this.#questions.delete(message.number)
      listener.busy(items, message.retryMs)
      return
    }
    const item = items[message.index]
    if (item === undefined || !open.delete(message.index)) throw unasked()
    if (open.size === 0) this.#questions.delete(message.number)
    if (message.type === 'elsewhere') listener.elsewhere(item)
    else if (message.bytes === undefined) listener.miss(item)
    else listener.chunk(item, message.bytes)
  }

  async #watch(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#scheduler.sleep(ANSWER_MS / 3, { signal }).catch(() => {})
      const isSilent = this.#scheduler.now() - this.#heardMs >= ANSWER_MS
      if (!signal.aborted && isSilent && this.#questions.size > 0) {
        this.#channel.abort(new UnavailableError('the peer does not answer'))
        return
      }
    }
  }
}

function isGetAnswer(message: ChunkMessage): message is GetAnswer {
  return message.type === 'chunk' || message.type === 'elsewhere' || message.type === 'busy'
}

function unasked(): MalformedError {
  return new MalformedError('chunk message', 'it is not the answer to what was asked')
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
