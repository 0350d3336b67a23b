import { compareBytes, EMPTY, fromUtf8 } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import { inStore, inStoreSync } from './level-errors.ts'
import { LevelWriter, type ByteDatabase } from './level-writer.ts'
import type { Row, RowChange, RowRange, RowStore, Space } from './row-store.ts'

/** Rows a range reads at a step. */
const ROWS_AT_ONCE = 512

/** Ends the name of a space; names hold no control characters. */
const SEPARATOR = 0

/** Waiting writes that share one sync. */
interface WriteGroup {
  readonly changes: RowChange[]
  readonly done: Promise<void>
}

/** Rows in one LevelDB: the key is the space, a zero byte, and the row's key. */
export class LevelRowStore implements RowStore {
  readonly #database: ByteDatabase
  readonly #writer: LevelWriter
  readonly #prefixes = new Map<Space, Uint8Array>()
  #running: Promise<void> = Promise.resolve()
  #next: WriteGroup | undefined

  constructor(database: ByteDatabase) {
    this.#database = database
    this.#writer = new LevelWriter(database)
  }

  get(space: Space, key: Uint8Array): Uint8Array | undefined {
    return inStoreSync(() => this.#database.getSync(this.#key(space, key)))
  }

  async getMany(
    space: Space,
    keys: readonly Uint8Array[],
    { signal }: AbortOptions = {},
  ): Promise<Array<Uint8Array | undefined>> {
    signal?.throwIfAborted()
    return inStore(() => this.#database.getMany(keys.map((key) => this.#key(space, key))))
  }

  async *rows(space: Space, range: RowRange = {}, { signal }: AbortOptions = {}): AsyncGenerator<Row> {
    signal?.throwIfAborted()
    const prefixLength = this.#prefix(space).length
    const iterator = inStoreSync(() => this.#database.iterator(this.#range(space, range)))
    try {
      for (;;) {
        const rows = await inStore(() => iterator.nextv(ROWS_AT_ONCE))
        if (rows.length === 0) return
        for (const [key, value] of rows) {
          signal?.throwIfAborted()
          yield [key.subarray(prefixLength), value]
        }
      }
    } finally {
      await iterator.close()
    }
  }

  write(changes: readonly RowChange[]): Promise<void> {
    if (changes.length === 0) return Promise.resolve()
    let group = this.#next
    if (group === undefined) {
      const gathered: RowChange[] = []
      group = { changes: gathered, done: this.#running.then(() => this.#flush(gathered)) }
      this.#next = group
      this.#running = group.done.catch(() => {})
    }
    for (const change of changes) group.changes.push(change)
    return group.done
  }

  #flush(changes: readonly RowChange[]): Promise<void> {
    this.#next = undefined
    return this.#writer.write((batch) => {
      for (const change of changes) {
        const key = this.#key(change.space, change.key)
        if (change.type === 'put') batch.put(key, change.value)
        else batch.del(key)
      }
    })
  }

  #prefix(space: Space): Uint8Array {
    let prefix = this.#prefixes.get(space)
    if (prefix === undefined) {
      prefix = Buffer.concat([fromUtf8(space), Uint8Array.of(SEPARATOR)])
      this.#prefixes.set(space, prefix)
    }
    return prefix
  }

  #key(space: Space, key: Uint8Array): Uint8Array {
    const prefix = this.#prefix(space)
    const full = Buffer.allocUnsafe(prefix.length + key.length) // of the pool: an array of its own costs LevelDB more
    full.set(prefix, 0)
    full.set(key, prefix.length)
    return full
  }

  /** LevelDB heeds one bound of each side: of two the narrower. */
  #range(space: Space, { gte = EMPTY, gt, lt, lte, reverse = false, limit = -1 }: RowRange) {
    const isAfter = gt !== undefined && compareBytes(gt, gte) >= 0
    const above = isAfter ? { gt: this.#key(space, gt) } : { gte: this.#key(space, gte) }
    const end = Uint8Array.from(this.#prefix(space)) // a copy: `slice` of a Buffer is none
    end[end.length - 1] = SEPARATOR + 1
    const isUpTo = lte !== undefined && (lt === undefined || compareBytes(lte, lt) < 0)
    const last = lt === undefined ? end : this.#key(space, lt)
    const below = isUpTo ? { lte: this.#key(space, lte) } : { lt: last }
    return { ...above, ...below, reverse, limit }
  }
}
