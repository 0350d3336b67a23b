import { UnavailableError } from '../errors.ts'
import { listChunks } from '../store/chunk-list.ts'
import type { ChunkStore, KnownContent } from '../store/chunk-store.ts'
import type { Lease, NewFlist } from '../store/flist-store.ts'
import type { RowStore } from '../store/row-store.ts'
import { Semaphore } from '../util/semaphore.ts'
import { SECOND_MS, type AbortOptions } from '../util/units.ts'
import type { Archives } from './archive-intake.ts'
import type { FlistCounts } from './entry.ts'
import { IngestLane } from './ingest-lane.ts'
import { INGEST_LIMITS } from './ingest-limits.ts'
import type { IngestLimits } from './ingest-limits.ts'
import { clearRuns, RunRows } from './run-rows.ts'
import { SlabStore } from './slab-store.ts'
import { Upload } from './upload.ts'
import type { UploadedFlist } from './upload.ts'

export interface IngestParts {
  readonly chunks: ChunkStore
  readonly known: KnownContent
  readonly rows: RowStore
}

export interface IngestOptions {
  readonly limits?: Partial<IngestLimits>
  /** Archives taken in at once; more wait for their turn. */
  readonly maxAtOnce?: number
  /** How long threads stay after a large archive. */
  readonly restMs?: number
}

export interface ArchiveOptions extends AbortOptions {
  /** Holds the chunks until the flist is kept; the caller's to release. */
  readonly lease: Lease
  /** Rows of the flist's metadata table, asked for once the archive has ended. */
  readonly metadata?: () => ReadonlyMap<string, string>
}

export interface IngestedFlist {
  readonly flist: NewFlist
  readonly counts: FlistCounts
}

interface Source {
  readonly archives: Archives
  readonly isLayered: boolean
}

const DEFAULT_AT_ONCE = 2
/** After an archive of more files a thread holds 100 MiB: for a while, because its code is fast by then. */
const LARGE_FILES = 10_000
const REST_MS = 60 * SECOND_MS

/**
 * Takes archives in: a stream of bytes becomes chunks, durable in the store, and a flist, in memory. Equal archives
 * give equal flists. Inflating, parsing and hashing is the work of one thread, encoding that of another; this one
 * only stores. Threads are kept from upload to upload.
 */
export class Ingest {
  readonly #parts: IngestParts
  readonly #limits: IngestLimits
  readonly #turns: Semaphore
  readonly #idle: IngestLane[] = []
  readonly #running = new Set<Promise<unknown>>()
  readonly #stopping = new AbortController()
  readonly #restMs: number

  constructor(
    parts: IngestParts,
    { limits = {}, maxAtOnce = DEFAULT_AT_ONCE, restMs = REST_MS }: IngestOptions = {},
  ) {
    this.#restMs = restMs
    this.#parts = parts
    this.#limits = { ...INGEST_LIMITS, ...limits }
    this.#turns = new Semaphore(maxAtOnce)
  }

  /** Removes what a crash has left, and starts the first threads; before the first `run`. */
  async start(): Promise<void> {
    await clearRuns(this.#parts.rows)
    this.#idle.push(new IngestLane())
  }

  /** Gives up what is under way, and ends the threads. */
  async stop(): Promise<void> {
    this.#stopping.abort(new UnavailableError('the node is stopping'))
    await Promise.allSettled(this.#running)
    await Promise.all(this.#idle.splice(0).map((lane) => lane.close()))
  }

  /**
   * Chunks are durable when this resolves; when it rejects, all that is left is chunks that nothing names.
   * @throws {MalformedError} naming what is wrong with the archive; {LimitError}; {DiskFullError}; and the reason of
   * an aborted signal as it is.
   */
  run(archive: AsyncIterable<Uint8Array>, options: ArchiveOptions): Promise<IngestedFlist> {
    return this.#inTurn({ archives: only(archive), isLayered: false }, options)
  }

  /**
   * The same of layers, the lowest first: one tree, in which whiteouts and opaque directories of a layer hide what
   * the layers below it hold. Limits are those of one archive, for all of them together.
   */
  runLayers(layers: Archives, options: ArchiveOptions): Promise<IngestedFlist> {
    return this.#inTurn({ archives: layers, isLayered: true }, options)
  }

  async #inTurn(source: Source, options: ArchiveOptions): Promise<IngestedFlist> {
    const signals = [this.#stopping.signal, ...(options.signal === undefined ? [] : [options.signal])]
    const signal = AbortSignal.any(signals)
    const run = this.#turns.run(() => this.#take(source, { ...options, signal }), { signal })
    this.#running.add(run)
    try {
      return await run
    } finally {
      this.#running.delete(run)
    }
  }

  async #take(source: Source, options: ArchiveOptions & { signal: AbortSignal }): Promise<IngestedFlist> {
    const runs = new RunRows(this.#parts.rows)
    try {
      return asFlist(await this.#upload(source, options, runs))
    } finally {
      await runs.clear()
    }
  }

  async #upload(
    { archives, isLayered }: Source,
    { lease, metadata = () => new Map(), signal }: ArchiveOptions & { signal: AbortSignal },
    runs: RunRows,
  ): Promise<UploadedFlist> {
    signal.throwIfAborted()
    const lane = this.#lane()
    const limits = this.#limits
    const { chunks, known } = this.#parts
    const slabs = new SlabStore({ lane, chunks, known, lease })
    const port = lane.begin({ limits, isLayered })
    const list = (ids: Uint8Array) => listChunks(chunks, ids, lease)
    const upload = new Upload({ port, slabs, runs, list, limits, metadata })
    // Taken off again: a lane outlives its uploads by far, and must not keep them.
    const giveUp = ({ target }: Event) => upload.fail((target as AbortSignal).reason)
    for (const end of [signal, lane.broken]) end.addEventListener('abort', giveUp, { once: true })
    let isLarge = false
    try {
      const made = await upload.run(archives)
      isLarge = made.counts.regular > LARGE_FILES
      return made
    } finally {
      for (const end of [signal, lane.broken]) end.removeEventListener('abort', giveUp)
      await this.#leave(lane, upload.isWorkerIdle, isLarge)
    }
  }

  /** Keeps a lane for the next upload, or one in its place. */
  async #leave(lane: IngestLane, isReusable: boolean, isLarge: boolean): Promise<void> {
    if (!isReusable || this.#stopping.signal.aborted) return await this.#replace(lane)
    this.#idle.push(lane)
    if (!isLarge) return
    const rest = () => {
      const at = this.#idle.indexOf(lane)
      if (at < 0) return // at work again
      this.#idle.splice(at, 1)
      const ending = this.#replace(lane)
      this.#running.add(ending)
      void ending.finally(() => this.#running.delete(ending))
    }
    setTimeout(rest, this.#restMs).unref()
  }

  async #replace(lane: IngestLane): Promise<void> {
    await lane.close()
    if (this.#idle.length === 0 && !this.#stopping.signal.aborted) this.#idle.push(new IngestLane())
  }

  /** One whose threads live: an idle one may have lost a thread unseen. */
  #lane(): IngestLane {
    for (let lane = this.#idle.pop(); lane !== undefined; lane = this.#idle.pop()) {
      if (!lane.broken.aborted) return lane
      void lane.close()
    }
    return new IngestLane()
  }
}

async function* only<T>(value: T): AsyncGenerator<T> {
  yield value
}

function asFlist({ bytes, list, counts }: UploadedFlist): IngestedFlist {
  return { flist: { format: 'zflist', bytes, list, files: counts.regular }, counts }
}
