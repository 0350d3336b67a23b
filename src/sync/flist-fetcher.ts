import { setImmediate as breathe } from 'node:timers/promises'
import { ConflictError, LimitError, UnavailableError } from '../errors.ts'
import { decodeDescriptor, FLIST_PART_BYTES } from '../format/descriptor.ts'
import type { ChunkListRow, Descriptor } from '../format/descriptor.ts'
import type { ChunkStore } from '../store/chunk-store.ts'
import type { FetchedFlists, FlistId, FlistStore, Lease, Leases } from '../store/flist-store.ts'
import { concat, EMPTY } from '../util/bytes.ts'
import { MIB } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'
import type { ChunkFetcher } from './chunk-fetcher.ts'
import { keyOf } from './fetch-item.ts'
import type { FetchItem } from './fetch-item.ts'
import type { ProgressOptions } from './flist-queue.ts'
import { itemOf } from './missing-chunks.ts'
import type { MissingChunks } from './missing-chunks.ts'

export interface FlistFetcherDeps {
  readonly chunks: Pick<ChunkStore, 'info'>
  readonly flists: Pick<FlistStore, 'descriptor'> &
    Pick<FetchedFlists, 'putPartial' | 'complete' | 'isComplete'>
  readonly leases: Pick<Leases, 'open'>
  readonly fetcher: Pick<ChunkFetcher, 'fetch'>
  /** Must a flist not exist? It is not asked for. */
  readonly isPurged?: (id: FlistId) => boolean
  readonly missing: MissingChunks
  /** An object by SHA-256, of some peer. @throws {UnavailableError} when nobody has it. */
  readonly object: (id: Uint8Array, options: AbortOptions) => Promise<Uint8Array>
}

/** Both are in memory for a moment. Ours: eight times the largest flist that the API takes unless it is told otherwise. */
const MAX_FILE_BYTES = 2048 * MIB
/** Of a chunk list: four million chunks. */
const MAX_PAGES = 512
/** Chunks looked up in one step: less than 10 ms. */
const ROWS_AT_ONCE = 1000

/**
 * Brings a flist here (replication design 2.11): first descriptor, chunk list and file, with which it is partial and may
 * be shown, then its chunks. Each is durable before the next; what came stays when it breaks off, and what is missing
 * is read off what is here, so the next attempt asks for the rest only.
 */
export class FlistFetcher {
  readonly #deps: FlistFetcherDeps

  constructor(deps: FlistFetcherDeps) {
    this.#deps = deps
  }

  /**
   * Resolves when its file and chunk list are held.
   * @throws {UnavailableError} when no peer has its descriptor or a page of its chunk list; the signal's reason.
   * @throws {ConflictError} for one that was purged.
   * @throws {CorruptError | LimitError} for a descriptor that its own flist does not fit: whoever signed it made it so.
   */
  async fetchPartial(id: FlistId, options: ProgressOptions = {}): Promise<void> {
    const { flists, leases, object, missing, isPurged } = this.#deps
    if (flists.descriptor(id) !== undefined) return
    if (isPurged?.(id) === true) throw new ConflictError('this flist was purged from the realm')
    const bytes = await object(id, options)
    const descriptor = decodeDescriptor(bytes)
    if (descriptor.size > MAX_FILE_BYTES) throw new LimitError('flist of a peer', MAX_FILE_BYTES, 'bytes')
    if (descriptor.chunks.length > MAX_PAGES) throw new LimitError('chunk list of a peer', MAX_PAGES, 'pages')
    const lease = leases.open()
    try {
      const pages = await Promise.all(descriptor.chunks.map((page) => object(page, options)))
      const file = await this.#file(descriptor, options)
      await flists.putPartial({ id, descriptor: bytes, pages, bytes: file }, lease)
      await missing.add(id)
    } finally {
      lease.release()
    }
  }

  /**
   * Resolves when all chunks of a flist that is partial are held too.
   * @throws {UnavailableError} when some have left meanwhile; the signal's reason.
   */
  async complete(id: FlistId, options: ProgressOptions = {}): Promise<void> {
    const { flists, leases, missing } = this.#deps
    if (flists.isComplete(id)) return
    const lease = leases.open()
    try {
      const pages = await this.#count(id, lease, options)
      let at = 0
      for await (const page of missing.pages(id)) {
        if (pages[at++] === true) await this.#chunks(id, page, options)
      }
      if (!(await flists.complete(id)))
        throw new UnavailableError('chunks of a flist have left while others came')
      missing.remove(id)
    } finally {
      lease.release()
    }
  }

  /** Holds its chunks, and tells of each page whether some of it are missing. */
  async #count(id: FlistId, lease: Lease, { signal }: AbortOptions): Promise<boolean[]> {
    const pages: boolean[] = []
    const lacking = { chunks: 0, bytes: 0 }
    for await (const page of this.#deps.missing.pages(id)) {
      signal?.throwIfAborted()
      lease.holdChunks(page.map(([chunk]) => chunk))
      const items = await this.#missing(page)
      pages.push(items.length > 0)
      lacking.chunks += items.length
      for (const { lengthBytes } of items) lacking.bytes += lengthBytes
    }
    this.#deps.missing.count(id, lacking)
    return pages
  }

  async #chunks(id: FlistId, page: readonly ChunkListRow[], options: ProgressOptions): Promise<void> {
    const { fetcher, missing } = this.#deps
    const onArrived = (_: FetchItem, bytes: Uint8Array) => {
      missing.arrived(id, bytes.length)
      options.onProgress?.()
    }
    await fetcher.fetch(await this.#missing(page), { ...options, onArrived })
  }

  async #missing(rows: readonly ChunkListRow[]): Promise<FetchItem[]> {
    const items: FetchItem[] = []
    for (const [at, row] of rows.entries()) {
      if (at % ROWS_AT_ONCE === ROWS_AT_ONCE - 1) await breathe()
      const info = this.#deps.chunks.info(row[0])
      if (info === undefined || info.isDamaged === true) items.push(itemOf(row))
    }
    return items
  }

  async #file({ parts, size }: Descriptor, options: ProgressOptions): Promise<Uint8Array> {
    const items = parts.map((sha256, at): FetchItem => {
      const lengthBytes = Math.min(FLIST_PART_BYTES, size - at * FLIST_PART_BYTES)
      return { naming: 'part', id: sha256, lengthBytes, sha256 }
    })
    const arrived = new Map<string, Uint8Array>()
    const onArrived = (item: FetchItem, bytes: Uint8Array) => {
      arrived.set(keyOf(item), bytes)
      options.onProgress?.()
    }
    await this.#deps.fetcher.fetch(items, { ...options, isUrgent: true, onArrived })
    return concat(items.map((item) => arrived.get(keyOf(item)) ?? EMPTY))
  }
}
