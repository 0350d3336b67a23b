import type { ChunkStore } from '../store/chunk-store.ts'
import { toLatin1 } from '../util/bytes.ts'
import type { Logger } from '../util/logger.ts'
import { HOUR_MS, SECOND_MS } from '../util/units.ts'

/** A use waits at most this long for others to share its write. */
const FLUSH_AFTER_MS = SECOND_MS
/** … or until this many wait. */
const FLUSH_AT = 1000
/** Chunks remembered as counted within the hour; beyond, a chunk may be counted again sooner. */
const MAX_REMEMBERED = 65_536

export interface UseLogDeps {
  readonly chunks: Pick<ChunkStore, 'touch'>
  readonly log: Logger
  /** Unix milliseconds. */
  readonly clock: () => number
}

/**
 * Chunks that an uploader has seen here and so will not send: their use counts from now, or the collector could take
 * them before the flist that needs them is published. In batches, and at most hourly for a chunk.
 */
export class UseLog {
  readonly #deps: UseLogDeps
  #waiting: Uint8Array[] = []
  #remembered = new Set<string>()
  #rememberedSinceMs: number
  #timer: NodeJS.Timeout | undefined
  #flushing: Promise<void> = Promise.resolve()

  constructor(deps: UseLogDeps) {
    this.#deps = deps
    this.#rememberedSinceMs = deps.clock()
  }

  note(id: Uint8Array): void {
    this.#forgetOld()
    const key = toLatin1(id)
    if (this.#remembered.has(key)) return
    this.#remembered.add(key)
    this.#waiting.push(Uint8Array.from(id))
    if (this.#waiting.length >= FLUSH_AT) this.#flush()
    else this.#timer ??= setTimeout(() => this.#flush(), FLUSH_AFTER_MS).unref()
  }

  /** Resolves when every use noted so far is kept, or its failure logged. */
  async settle(): Promise<void> {
    this.#flush()
    await this.#flushing
  }

  #forgetOld(): void {
    const now = this.#deps.clock()
    if (now - this.#rememberedSinceMs < HOUR_MS && this.#remembered.size < MAX_REMEMBERED) return
    this.#remembered = new Set()
    this.#rememberedSinceMs = now
  }

  #flush(): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const ids = this.#waiting
    if (ids.length === 0) return
    this.#waiting = []
    this.#flushing = this.#flushing.then(() => this.#touch(ids))
  }

  async #touch(ids: readonly Uint8Array[]): Promise<void> {
    try {
      await this.#deps.chunks.touch(ids)
    } catch (error) {
      for (const id of ids) this.#remembered.delete(toLatin1(id))
      this.#deps.log.warn('uses of chunks not counted', { chunks: ids.length }, error)
    }
  }
}
