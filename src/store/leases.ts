import { fromUtf8, toLatin1, toUtf8 } from '../util/bytes.ts'
import { Mutex } from '../util/mutex.ts'
import { SECOND_MS, type AbortOptions } from '../util/units.ts'
import type { FlistId, Lease, Leases } from './flist-store.ts'
import type { RowStore } from './row-store.ts'
import { SPACES } from './spaces.ts'

/** Rows of one batch. */
const SLICE = 2000

/** What was held at any time since the watch began: the collector looks once more just before it deletes. */
export interface LeaseWatch {
  sawChunk(id: Uint8Array): boolean
  sawFlist(id: FlistId): boolean
  close(): void
}

/** Ids that somebody holds, counted: two uploads may hold the same chunk. */
class Holds {
  readonly #counts = new Map<string, number>()

  add(key: string): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1)
  }

  remove(key: string): void {
    const count = (this.#counts.get(key) ?? 0) - 1
    if (count > 0) this.#counts.set(key, count)
    else this.#counts.delete(key)
  }

  has(key: string): boolean {
    return this.#counts.has(key)
  }

  keys(): Iterable<string> {
    return this.#counts.keys()
  }
}

/** Holds of uploads in progress, in memory, and holds until a time, as rows. */
export class RowLeases implements Leases {
  readonly #rows: RowStore
  readonly #clock: () => number
  readonly #chunks = new Holds()
  readonly #flists = new Holds()
  readonly #turn = new Mutex()
  readonly #watches = new Set<{ chunks: Set<string>; flists: Set<string> }>()

  constructor(rows: RowStore, clock: () => number) {
    this.#rows = rows
    this.#clock = clock
  }

  open(): Lease {
    const chunks = new Set<string>()
    const flists = new Set<string>()
    return {
      holdChunks: (ids) => {
        for (const id of ids) this.#hold(this.#chunks, chunks, toLatin1(id), 'chunks')
      },
      holdFlist: (id) => this.#hold(this.#flists, flists, toLatin1(id), 'flists'),
      release: () => {
        for (const key of chunks) this.#chunks.remove(key)
        for (const key of flists) this.#flists.remove(key)
        chunks.clear()
        flists.clear()
      },
    }
  }

  /** Held from the call on. */
  async holdUntil(ids: readonly Uint8Array[], untilS: number): Promise<void> {
    const lease = this.open() // until the rows say so
    lease.holdChunks(ids)
    try {
      await this.#turn.run(() => {
        const value = fromUtf8(String(untilS))
        const longer = ids.filter((id) => untilS > this.#heldUntilS(id))
        return this.#rows.write(longer.map((key) => ({ type: 'put', space: SPACES.holds, key, value })))
      })
    } finally {
      lease.release()
    }
  }

  holdsChunk(id: Uint8Array): boolean {
    return this.#chunks.has(toLatin1(id)) || this.#isHeldUntil(id)
  }

  holdsFlist(id: FlistId): boolean {
    return this.#flists.has(toLatin1(id))
  }

  /** From now on until `close`: also what is released in between counts as seen. */
  watch(): LeaseWatch {
    const seen = { chunks: new Set(this.#chunks.keys()), flists: new Set(this.#flists.keys()) }
    this.#watches.add(seen)
    return {
      sawChunk: (id) => seen.chunks.has(toLatin1(id)) || this.#isHeldUntil(id),
      sawFlist: (id) => seen.flists.has(toLatin1(id)),
      close: () => void this.#watches.delete(seen),
    }
  }

  /** Drops the rows of holds that are over. */
  async expire(options?: AbortOptions): Promise<void> {
    let over: Uint8Array[] = []
    for await (const [id] of this.#rows.rows(SPACES.holds, {}, options)) {
      if (!this.#isHeldUntil(id)) over.push(id)
      if (over.length < SLICE) continue
      await this.#forget(over)
      over = []
    }
    await this.#forget(over)
  }

  /** What was renewed in the meantime stays. */
  #forget(over: readonly Uint8Array[]): Promise<void> {
    return this.#turn.run(() => {
      const still = over.filter((id) => !this.#isHeldUntil(id))
      return this.#rows.write(still.map((key) => ({ type: 'delete', space: SPACES.holds, key })))
    })
  }

  #hold(holds: Holds, own: Set<string>, key: string, kind: 'chunks' | 'flists'): void {
    if (own.has(key)) return
    own.add(key)
    holds.add(key)
    for (const watch of this.#watches) watch[kind].add(key)
  }

  #isHeldUntil(id: Uint8Array): boolean {
    return this.#heldUntilS(id) * SECOND_MS > this.#clock()
  }

  /** Unix seconds; 0 when it is not. */
  #heldUntilS(id: Uint8Array): number {
    const until = this.#rows.get(SPACES.holds, id)
    return until === undefined ? 0 : Number(toUtf8(until))
  }
}
