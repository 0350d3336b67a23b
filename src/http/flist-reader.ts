/** From the id of a flist to its bytes, wherever in the realm they are: here, or on a peer (replication design 2.12). */
import { isAbort, NotFoundError, UnavailableError } from '../errors.ts'
import type { Descriptor } from '../format/descriptor.ts'
import type { ChunkSource, ChunkStore } from '../store/chunk-store.ts'
import type { FlistId, FlistStore } from '../store/flist-store.ts'
import type { Replicated } from '../sync/replicated.ts'
import type { Purges } from './deps.ts'
import { SECOND_MS, type AbortOptions } from '../util/units.ts'

/** What a client waits at most until a flist or a chunk has come (replication.md, Settled points: deadlines). */
const FETCH_MS = 30 * SECOND_MS

export interface FlistReaderDeps {
  readonly flists: Pick<FlistStore, 'read' | 'descriptor'>
  readonly replicated: Pick<Replicated, 'isShared' | 'fetchFlist'>
  readonly purges: Pick<Purges, 'isPurged'>
}

/** The one way from names to what they lead to: nothing else reads flists for clients. */
export class FlistReader {
  readonly #deps: FlistReaderDeps
  readonly #fetchMs: number

  constructor(deps: FlistReaderDeps, fetchMs = FETCH_MS) {
    this.#deps = deps
    this.#fetchMs = fetchMs
  }

  /**
   * The canonical bytes, brought here first where they are not.
   * @throws {NotFoundError} when no node can have it; {UnavailableError} when no peer has sent it in time.
   */
  async read(id: FlistId, options: AbortOptions = {}): Promise<Uint8Array> {
    await this.require(id, options)
    const bytes = await this.#deps.flists.read(id, options)
    if (bytes === undefined) throw new NotFoundError('source not found') // the collector was faster
    return bytes
  }

  /** Sees to it that the flist is here. @throws as `read`. */
  async require(id: FlistId, options: AbortOptions = {}): Promise<Descriptor> {
    const { flists } = this.#deps
    this.refusePurged(id)
    const held = flists.descriptor(id)
    if (held !== undefined) return held
    await this.#fetch(id, options)
    const fetched = flists.descriptor(id)
    if (fetched !== undefined) return fetched
    throw new NotFoundError('source not found')
  }

  /** For what was read before, and kept. @throws {NotFoundError} for a flist that must not exist. */
  refusePurged(id: FlistId): void {
    if (this.#deps.purges.isPurged(id)) throw new NotFoundError('this version was purged')
  }

  /** A node alone has nobody to ask. */
  async #fetch(id: FlistId, options: AbortOptions): Promise<void> {
    const { isShared, fetchFlist } = this.#deps.replicated
    if (!isShared) return
    await inTime(this.#fetchMs, 'this flist', options, (signal) =>
      fetchFlist.call(this.#deps.replicated, id, { signal }),
    )
  }
}

/** Chunks of this node, then of its peers; what comes is kept. */
export function readThroughChunks(
  chunks: Pick<ChunkStore, 'read'>,
  { isShared, chunks: remote }: Pick<Replicated, 'isShared' | 'chunks'>,
  fetchMs = FETCH_MS,
): ChunkSource {
  return {
    get: async (id, options = {}) => {
      const held = chunks.read(id)
      if (held !== undefined || !isShared) return held
      return await inTime(fetchMs, 'a chunk of it', options, (signal) => remote.get(id, { signal }))
    },
  }
}

/** @throws {UnavailableError} when the time is over; the caller's reason as it is. */
async function inTime<T>(
  withinMs: number,
  what: string,
  { signal }: AbortOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const late = AbortSignal.timeout(withinMs)
  try {
    return await work(signal === undefined ? late : AbortSignal.any([late, signal]))
  } catch (cause) {
    signal?.throwIfAborted()
    if (!isAbort(cause)) throw cause // a deadline: ours, or that of the fetch which others began before
    throw new UnavailableError(
      `${what} is on other nodes, and none of them has sent it in ${withinMs / SECOND_MS} s: try again later`,
      { cause },
    )
  }
}
