import { UnavailableError } from '../errors.ts'
import { CHUNK_ID_BYTES } from '../format/chunk.ts'
import { Semaphore } from '../util/semaphore.ts'
import { SECOND_MS } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'
import type { FlistCounts, FlistEntry } from './entry.ts'
import { decodeEntries } from './entry-codec.ts'
import type { Answers, ChunkToVerify, Question, SurveyAnswer } from './inspector-protocol.ts'
import { InspectorThread } from './inspector-thread.ts'
import type { AskOptions } from './inspector-thread.ts'
import { FLIST_LIMITS } from './limits.ts'
import type { FlistLimits } from './limits.ts'
import { formatBackend, parseBackend } from './metadata.ts'
import type { ChunkAddress } from './metadata.ts'
import type { FlistProblem } from './problems.ts'
import type { SurveyOptions } from './survey.ts'

export interface FlistInspectorOptions {
  /** An existing folder; each thread keeps one of its own in it while it runs. */
  readonly temporaryDirectory: string
  /** Threads, each started when it is first needed: about 60 ms and 15 MiB. */
  readonly threads?: number
  readonly timeLimitMs?: number
  readonly heapLimitMib?: number
  readonly limits?: FlistLimits
}

export interface FlistSummary {
  readonly counts: FlistCounts
  /** In key order; what is no UTF-8 as U+FFFD. */
  readonly metadata: ReadonlyArray<readonly [key: string, text: string]>
  /** Each once, in order of first use. */
  readonly chunkIds: readonly Uint8Array[]
  readonly problems: readonly FlistProblem[]
}

const TIME_LIMIT_MS = 30 * SECOND_MS // security.md row 5
const HEAP_LIMIT_MIB = 512

/**
 * Reads flists of anybody, out of this thread: a hostile one costs a worker thread its life, and its reader an error.
 * Questions wait in order for a free thread. Every method may throw {MalformedError} and {LimitError} about the
 * bytes, {UnavailableError} while it stops, and the reason of its signal, which ends work under way.
 */
export class FlistInspector {
  readonly #idle: InspectorThread[]
  readonly #all: readonly InspectorThread[]
  readonly #turns: Semaphore
  #isStopped = false

  constructor(options: FlistInspectorOptions) {
    const { threads = 1, timeLimitMs = TIME_LIMIT_MS, heapLimitMib = HEAP_LIMIT_MIB } = options
    const { temporaryDirectory, limits = FLIST_LIMITS } = options
    this.#all = Array.from({ length: threads }, () => {
      return new InspectorThread({ temporaryDirectory, limits, timeLimitMs, heapLimitMib })
    })
    this.#idle = [...this.#all]
    this.#turns = new Semaphore(threads)
  }

  /** Ends every thread; questions under way and waiting fail. */
  async stop(): Promise<void> {
    this.#isStopped = true
    await Promise.all(this.#all.map((thread) => thread.stop()))
  }

  async summary(bytes: Uint8Array, options?: AbortOptions): Promise<FlistSummary> {
    const { counts, metadata, chunkIds, problems } = await this.survey(bytes, {}, options)
    return { counts, metadata, chunkIds: splitIds(chunkIds), problems }
  }

  /** The text of `GET /api/flist/<repo>/<name>`: hub-api.md §4.4, style A, ASCII, without the newline. */
  async dump(bytes: Uint8Array, options?: AbortOptions): Promise<Uint8Array> {
    const { dump } = await this.survey(bytes, { dump: true }, options)
    return dump ?? new Uint8Array()
  }

  /** Everything one walk tells, as asked for. */
  survey(bytes: Uint8Array, wanted: SurveyOptions, options?: AbortOptions): Promise<SurveyAnswer> {
    return this.#ask({ kind: 'survey', bytes: ownCopy(bytes), options: wanted }, options)
  }

  /** The metadata rows alone, in key order: the tree is not walked. */
  metadata(bytes: Uint8Array, options?: AbortOptions): Promise<Array<[key: string, text: string]>> {
    return this.#ask({ kind: 'metadata', bytes: ownCopy(bytes) }, options)
  }

  /** The entry at a path (relative, no slash at either end; empty for the root). */
  async find(bytes: Uint8Array, path: Uint8Array, options?: AbortOptions): Promise<FlistEntry | undefined> {
    const found = await this.#ask({ kind: 'find', bytes: ownCopy(bytes), path: ownCopy(path) }, options)
    return found === undefined ? undefined : decodeEntries(found)[0]
  }

  /**
   * The root and everything below it, depth first, in stored order, in batches of a thousand. A slow reader keeps no
   * thread busy: up to about 200,000 entries wait here, and the thread is asked for more when they are taken.
   */
  async *entries(bytes: Uint8Array, { signal }: AbortOptions = {}): AsyncGenerator<FlistEntry[]> {
    for (let from: number | undefined = 0; from !== undefined;)
      from = yield* this.#window(bytes, from, signal)
  }

  /** As many entries as wait here at once; answers where the next window starts. */
  async *#window(
    bytes: Uint8Array,
    from: number,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<FlistEntry[], number | undefined> {
    const leaving = new AbortController()
    const batches = new BatchQueue()
    const ended = this.#ask(
      { kind: 'entries', bytes: ownCopy(bytes), from },
      {
        signal: signal === undefined ? leaving.signal : AbortSignal.any([leaving.signal, signal]),
        onBatch: (batch) => batches.put(batch),
      },
    ).finally(() => batches.end())
    ended.catch(() => {}) // a failure while the reader does something else: it is told when it comes back
    try {
      for (let batch = await batches.take(); batch !== undefined; batch = await batches.take()) {
        signal?.throwIfAborted()
        yield decodeEntries(batch)
      }
      return await ended
    } finally {
      leaving.abort(new UnavailableError('the reader of a flist left'))
      await ended.catch(() => {})
    }
  }

  /**
   * The flist with this `backend` row, or none, in place of its own. Every other row stays as it is, and equal input
   * gives equal bytes.
   */
  render(
    bytes: Uint8Array,
    { backend }: { readonly backend: ChunkAddress | null },
    options?: AbortOptions,
  ): Promise<Uint8Array> {
    const row = backend === null ? null : formatBackend(backend)
    return this.#ask({ kind: 'render', bytes: ownCopy(bytes), backend: row }, options)
  }

  /**
   * The bytes to store of a flist of others: `bytes` themselves, but without a `backend` row that names a member of
   * the realm (hub-departures, Backend).
   */
  async canonical(
    bytes: Uint8Array,
    isMember: (address: ChunkAddress) => boolean,
    options?: AbortOptions,
  ): Promise<Uint8Array> {
    const rows = await this.metadata(bytes, options)
    const text = rows.find(([key]) => key === 'backend')?.[1]
    const address = text === undefined ? undefined : parseBackend(text)
    if (address === undefined || !isMember(address)) return bytes
    return this.render(bytes, { backend: null }, options)
  }

  /** Decodes chunks, whose memory is given away. Answers a reason for each that is not what it should be. */
  verify(chunks: readonly ChunkToVerify[], options?: AbortOptions): Promise<Answers['verify']> {
    return this.#ask({ kind: 'verify', chunks }, options)
  }

  #ask<K extends Question['kind']>(
    question: Extract<Question, { kind: K }>,
    options: AskOptions = {},
  ): Promise<Answers[K]> {
    return this.#turns.run(
      async () => {
        const thread = this.#isStopped ? undefined : this.#idle.pop()
        if (thread === undefined) throw new UnavailableError('this node is stopping')
        try {
          return await thread.ask<K>(question, buffersOf(question), options)
        } finally {
          this.#idle.push(thread)
        }
      },
      { signal: options.signal },
    )
  }
}

/** Batches on their way from a thread to whoever reads them. */
class BatchQueue {
  readonly #batches: Uint8Array[] = []
  #wake = () => {}
  #isEnded = false

  put(batch: Uint8Array): void {
    this.#batches.push(batch)
    this.#wake()
  }

  end(): void {
    this.#isEnded = true
    this.#wake()
  }

  /** The next batch, or `undefined` after the last one. */
  async take(): Promise<Uint8Array | undefined> {
    while (this.#batches.length === 0 && !this.#isEnded) {
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    return this.#batches.shift()
  }
}

/** A copy with memory of its own, to be given to a thread: the caller keeps its bytes. */
function ownCopy(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(bytes)
}

function buffersOf(question: Question): ArrayBuffer[] {
  const arrays =
    question.kind === 'verify'
      ? question.chunks.map(({ stored }) => stored)
      : 'bytes' in question
        ? [question.bytes]
        : []
  return [...new Set(arrays.map(({ buffer }) => buffer).filter((buffer) => buffer instanceof ArrayBuffer))]
}

function splitIds(ids: Uint8Array): Uint8Array[] {
  return Array.from({ length: ids.length / CHUNK_ID_BYTES }, (_, index) => {
    return ids.subarray(index * CHUNK_ID_BYTES, (index + 1) * CHUNK_ID_BYTES)
  })
}
