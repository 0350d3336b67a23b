import { ConflictError, CorruptError } from '../errors.ts'
import { decodeChunkListPage, decodeDescriptor, FLIST_PART_BYTES } from '../format/descriptor.ts'
import type { ChunkListRow, Descriptor } from '../format/descriptor.ts'
import type { ChunkStore } from '../store/chunk-store.ts'
import type { FlistId, FlistStore, Leases } from '../store/flist-store.ts'
import { concat, equalBytes, toHex } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import type { ChunkFetcher } from './chunk-fetcher.ts'
import { keyOf } from './fetch-item.ts'
import type { FetchItem } from './fetch-item.ts'

export interface FlistFetcherDeps {
  readonly chunks: Pick<ChunkStore, 'info'>
  readonly flists: Pick<FlistStore, 'descriptor' | 'put'>
  readonly leases: Pick<Leases, 'open'>
  readonly fetcher: Pick<ChunkFetcher, 'fetch'>
  /** Must a flist not exist? It is not asked for. */
  readonly isPurged?: (id: FlistId) => boolean
  /** An object by SHA-256, of some peer. @throws {UnavailableError} when nobody has it. */
  readonly object: (id: Uint8Array, options: AbortOptions) => Promise<Uint8Array>
}

/**
 * Brings a flist here with all that it needs: descriptor, chunk list, chunks, file (replication design 2.11). What came
 * stays when it breaks off, so the next attempt asks for the rest only.
 */
export class FlistFetcher {
  readonly #deps: FlistFetcherDeps

  constructor(deps: FlistFetcherDeps) {
    this.#deps = deps
  }

  /**
   * Resolves when the flist is held, whole and durable.
   * @throws {UnavailableError} when no peer has its descriptor or a page of its chunk list; the signal's reason.
   * @throws {ConflictError} for one that was purged.
   * @throws {CorruptError} for a descriptor that its own flist does not fit: whoever signed it made it so.
   */
  async fetch(id: FlistId, options: AbortOptions = {}): Promise<void> {
    const { flists, leases, fetcher, object, isPurged } = this.#deps
    if (flists.descriptor(id) !== undefined) return
    if (isPurged?.(id) === true) throw new ConflictError('this flist was purged from the realm')
    const descriptor = decodeDescriptor(await object(id, options))
    const lease = leases.open()
    try {
      const rows = await this.#rows(descriptor, options)
      const chunkIds = rows.map(([chunk]) => chunk)
      lease.holdChunks(chunkIds)
      await fetcher.fetch(this.#missing(rows), options)
      const bytes = await this.#file(descriptor, options)
      const { fmt: format, files } = descriptor
      const kept = await flists.put({ format, bytes, chunkIds, files }, lease)
      if (!equalBytes(kept, id))
        throw new CorruptError(toHex(id), `the descriptor ${toHex(id)} does not fit its flist`)
    } finally {
      lease.release()
    }
  }

  async #rows({ chunks }: Descriptor, options: AbortOptions): Promise<ChunkListRow[]> {
    const rows: ChunkListRow[] = []
    for (const page of chunks) {
      for (const row of decodeChunkListPage(await this.#deps.object(page, options))) rows.push(row)
    }
    return rows
  }

  #missing(rows: readonly ChunkListRow[]): FetchItem[] {
    return rows.flatMap(([id, lengthBytes, sha256]): FetchItem[] => {
      const info = this.#deps.chunks.info(id)
      if (info !== undefined && info.isDamaged !== true) return []
      return [{ naming: 'chunk', id, lengthBytes, sha256 }]
    })
  }

  async #file({ parts, size }: Descriptor, options: AbortOptions): Promise<Uint8Array> {
    const items = parts.map((sha256, at): FetchItem => {
      const lengthBytes = Math.min(FLIST_PART_BYTES, size - at * FLIST_PART_BYTES)
      return { naming: 'part', id: sha256, lengthBytes, sha256 }
    })
    const arrived = new Map<string, Uint8Array>()
    const onArrived = (item: FetchItem, bytes: Uint8Array) => void arrived.set(keyOf(item), bytes)
    await this.#deps.fetcher.fetch(items, { ...options, onArrived })
    return concat(items.map((item) => arrived.get(keyOf(item)) ?? new Uint8Array(0)))
  }
}
