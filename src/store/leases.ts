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

/** Ids that one lease holds, one character a byte. */
interface Held {
  readonly chunks: Set<string>
  readonly flists: Set<string>
}

/** Holds of uploads in progress, in memory, and holds until a time, as rows. */
export class RowLeases implements Leases {
  readonly #rows: RowStore
  readonly #clock: () => number
  /** Those that hold something: a few, of which some hold hundreds of thousands: counting holders for each id took as much again. */
  readonly #open = new Set<Held>()
  readonly #turn = new Mutex()
  readonly #watches = new Set<Held>()

  constructor(rows: RowStore, clock: () => number) {
    this.#rows = rows
    this.#clock = clock
  }

  open(): Lease {
    const held: Held = { chunks: new Set(), flists: new Set() }
    return {
      holdChunks: (ids) => {
        for (const id of ids) this.#hold(held, 'chunks', id)
      },
      holdFlist: (id) => this.#hold(held, 'flists', id),
      release: () => {
        this.#open.delete(held)
        held.chunks.clear()
        held.flists.clear()
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
    return this.#isHeld('chunks', id) || this.#isHeldUntil(id)
  }

  holdsFlist(id: FlistId): boolean {
    return this.#isHeld('flists', id)
  }

  /** From now on until `close`: also what is released in between counts as seen. */
  watch(): LeaseWatch {
    const seen: Held = { chunks: this.#all('chunks'), flists: this.#all('flists') }
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

  #hold(held: Held, kind: keyof Held, id: Uint8Array): void {
    const key = toLatin1(id)
    held[kind].add(key)
    this.#open.add(held)
    for (const watch of this.#watches) watch[kind].add(key)
  }

  #isHeld(kind: keyof Held, id: Uint8Array): boolean {
    const key = toLatin1(id)
    for (const held of this.#open) if (held[kind].has(key)) return true
    return false
  }

  #all(kind: keyof Held): Set<string> {
    const all = new Set<string>()
    for (const held of this.#open) for (const key of held[kind]) all.add(key)
    return all
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
