import type { Descriptor } from '../format/descriptor.ts'
import { toHex } from '../util/bytes.ts'
import type { Mutex } from '../util/mutex.ts'
import type { AbortOptions } from '../util/units.ts'
import type { FlistId } from './flist-store.ts'
import type { RowStore } from './row-store.ts'
import { SPACES } from './spaces.ts'

/** Rows of one batch: more would hold the event loop for longer than 10 ms. */
const SLICE_ROWS = 2000

/** Drops objects and part rows that no flist names any more. Flists come and go meanwhile, in `turn`. */
export class ObjectSweeper {
  readonly #rows: RowStore
  readonly #turn: Mutex
  /** `undefined` for a flist that cannot tell. */
  readonly #descriptor: (id: FlistId) => Descriptor | undefined
  /** Objects and parts that flists have come to name since each sweep under way began. */
  readonly #sweeps = new Set<Set<string>>()

  constructor(rows: RowStore, turn: Mutex, descriptor: (id: FlistId) => Descriptor | undefined) {
    this.#rows = rows
    this.#turn = turn
    this.#descriptor = descriptor
  }

  /** A flist that is being put names these. */
  name(objects: readonly Uint8Array[]): void {
    for (const sweep of this.#sweeps) for (const object of objects) sweep.add(toHex(object))
  }

  /** Drops none while a descriptor is damaged. */
  async run(options?: AbortOptions): Promise<void> {
    const since = new Set<string>()
    await this.#turn.run(async () => void this.#sweeps.add(since)) // when none is half put
    try {
      const named = await this.#namedObjects(options)
      if (named === undefined) return
      for (const space of [SPACES.objects, SPACES.parts]) {
        let unnamed: Uint8Array[] = []
        for await (const [key] of this.#rows.rows(space, {}, options)) {
          if (!named.has(toHex(key))) unnamed.push(key)
          if (unnamed.length < SLICE_ROWS) continue
          await this.#drop(space, unnamed, since)
          unnamed = []
        }
        await this.#drop(space, unnamed, since)
      }
    } finally {
      this.#sweeps.delete(since)
    }
  }

  /** `undefined` when a flist cannot tell. */
  async #namedObjects(options?: AbortOptions): Promise<Set<string> | undefined> {
    const named = new Set<string>()
    for await (const [id] of this.#rows.rows(SPACES.flists, {}, options)) {
      const descriptor = this.#descriptor(id)
      if (descriptor === undefined) {
        if (this.#rows.get(SPACES.flists, id) !== undefined) return undefined
        continue // deleted meanwhile
      }
      for (const object of [id, ...descriptor.chunks, ...descriptor.parts]) named.add(toHex(object))
    }
    return named
  }

  #drop(space: string, unnamed: readonly Uint8Array[], since: ReadonlySet<string>): Promise<void> {
    return this.#turn.run(() => {
      const still = unnamed.filter((key) => !since.has(toHex(key)))
      return this.#rows.write(still.map((key) => ({ type: 'delete', space, key })))
    })
  }
}
