import { setImmediate as breathe } from 'node:timers/promises'
import { decodeChunkListPage } from '../format/descriptor.ts'
import type { ChunkListRow } from '../format/descriptor.ts'
import type { FetchedFlists, FlistId, FlistStore, ServedFlists } from '../store/flist-store.ts'
import { BloomFilter } from '../util/bloom.ts'
import { equalBytes, toHex } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import type { FetchItem } from './fetch-item.ts'

export interface Missing {
  readonly chunks: number
  readonly bytes: number
}

export type KnownFlists = Pick<FlistStore, 'descriptor'> &
  Pick<FetchedFlists, 'partials' | 'names' | 'isComplete'> &
  Pick<ServedFlists, 'object'>

interface Partial {
  readonly id: FlistId
  missing: Missing
}

/** Partial flists asked in one step whether they name a chunk. */
const AT_ONCE = 200

/**
 * The flists here that are partial: how much each still lacks, kept as it changes, and which of them names a chunk. Rows
 * know it for good; in memory is a filter that knows at once when none does, as a writer asks for every new chunk.
 */
export class MissingChunks {
  readonly #flists: KnownFlists
  /** The one that a chunk was last asked of is the last. */
  readonly #partial = new Map<string, Partial>()
  readonly #filter = new BloomFilter()

  constructor(flists: KnownFlists) {
    this.#flists = flists
  }

  /** Reads what is partial from the rows, once. */
  async load({ signal }: AbortOptions = {}): Promise<void> {
    for await (const id of this.#flists.partials()) {
      if (signal?.aborted === true) return
      await this.add(id)
    }
  }

  /** It has come, or chunks of it have left. All of it counts as missing until `count` says more. */
  async add(id: FlistId): Promise<void> {
    const descriptor = this.#flists.descriptor(id)
    if (descriptor === undefined || this.#partial.has(toHex(id))) return
    this.#partial.set(toHex(id), { id, missing: { chunks: descriptor.nChunks, bytes: descriptor.bytes } })
    for await (const page of this.pages(id)) for (const [chunk] of page) this.#filter.add(chunk)
  }

  count(id: FlistId, missing: Missing): void {
    const partial = this.#partial.get(toHex(id))
    if (partial !== undefined) partial.missing = missing
  }

  arrived(id: FlistId, bytes: number): void {
    const partial = this.#partial.get(toHex(id))
    if (partial === undefined) return
    const { missing } = partial
    partial.missing = { chunks: Math.max(0, missing.chunks - 1), bytes: Math.max(0, missing.bytes - bytes) }
  }

  /** It is complete, or gone. */
  remove(id: FlistId): void {
    this.#partial.delete(toHex(id))
    if (this.#partial.size === 0) this.#filter.clear()
  }

  of(id: FlistId): Missing | undefined {
    return this.#partial.get(toHex(id))?.missing
  }

  /** The chunk as the list of a partial flist describes it; `undefined` when none names it. */
  async find(chunk: Uint8Array): Promise<(FetchItem & { readonly flist: FlistId }) | undefined> {
    if (!this.#filter.has(chunk)) return undefined
    let asked = 0
    for (const [key, { id }] of [...this.#partial].reverse()) {
      if (++asked % AT_ONCE === 0) await breathe()
      if (!this.#flists.names(id, chunk)) continue
      const item = await this.#itemOf(id, chunk)
      const partial = this.#partial.get(key)
      if (partial !== undefined) {
        this.#partial.delete(key)
        this.#partial.set(key, partial)
      }
      if (item !== undefined) return { ...item, flist: id }
    }
    return undefined
  }

  /** Of a flist's chunk list, as far as it is here. */
  async *pages(id: FlistId): AsyncGenerator<readonly ChunkListRow[]> {
    for (const page of this.#flists.descriptor(id)?.chunks ?? []) {
      const bytes = this.#flists.object(page)
      if (bytes === undefined) return // deleted meanwhile
      yield decodeChunkListPage(bytes)
      await breathe()
    }
  }

  async #itemOf(id: FlistId, chunk: Uint8Array): Promise<FetchItem | undefined> {
    for await (const page of this.pages(id)) {
      const row = page.find(([one]) => equalBytes(one, chunk))
      if (row !== undefined) return itemOf(row)
    }
    return undefined
  }
}

export function itemOf([id, lengthBytes, sha256]: ChunkListRow): FetchItem {
  return { naming: 'chunk', id, lengthBytes, sha256 }
}
