import type { ChunkStore } from '../store/chunk-store.ts'
import { toLatin1 } from '../util/bytes.ts'
import { LruCache } from '../util/lru.ts'

/** What an entry costs beside its bytes, about. */
const ENTRY_BYTES = 256

/**
 * The chunks that many nodes ask for at once, in memory. A chunk never changes under its id, so an entry is only ever
 * wrong by still being here: whoever deletes calls `forget` afterwards, and uploaders are not answered from here.
 */
export class HotChunks {
  readonly #chunks: Pick<ChunkStore, 'read'>
  readonly #cache: LruCache<Uint8Array>

  /** @param maxBytes 0 = nothing is kept. */
  constructor(chunks: Pick<ChunkStore, 'read'>, maxBytes: number) {
    this.#chunks = chunks
    this.#cache = new LruCache(maxBytes)
  }

  get bytes(): number {
    return this.#cache.bytes
  }

  /** @throws {CorruptError} as the store does. */
  read(id: Uint8Array): Uint8Array | undefined {
    const key = toLatin1(id)
    const kept = this.#cache.get(key)
    if (kept !== undefined) return kept
    const bytes = this.#chunks.read(id)
    if (bytes !== undefined) this.#cache.set(key, bytes, bytes.length + ENTRY_BYTES)
    return bytes
  }

  forget(ids: readonly Uint8Array[]): void {
    for (const id of ids) this.#cache.delete(toLatin1(id))
  }
}
