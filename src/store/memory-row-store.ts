import { compareBytes, toLatin1 } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import type { Row, RowChange, RowRange, RowStore, Space } from './row-store.ts'

/** Rows in memory, for tests. Copies by `Uint8Array.from`: `slice` of a Buffer copies nothing. */
export class MemoryRowStore implements RowStore {
  readonly #spaces = new Map<Space, Map<string, Row>>()

  /** Another store with the same rows, as a backup has them. */
  copy(): MemoryRowStore {
    const other = new MemoryRowStore()
    for (const [space, rows] of this.#spaces) other.#spaces.set(space, new Map(rows))
    return other
  }

  /** Those in which something was ever written. */
  spaces(): Space[] {
    return [...this.#spaces.keys()].sort()
  }

  get(space: Space, key: Uint8Array): Uint8Array | undefined {
    const row = this.#spaces.get(space)?.get(toLatin1(key))
    return row && Uint8Array.from(row[1])
  }

  async getMany(
    space: Space,
    keys: readonly Uint8Array[],
    { signal }: AbortOptions = {},
  ): Promise<Array<Uint8Array | undefined>> {
    signal?.throwIfAborted()
    return keys.map((key) => this.get(space, key))
  }

  async *rows(space: Space, range: RowRange = {}, { signal }: AbortOptions = {}): AsyncGenerator<Row> {
    signal?.throwIfAborted()
    const found = [...(this.#spaces.get(space)?.values() ?? [])].filter(([key]) => isWithin(key, range))
    found.sort(([a], [b]) => compareBytes(a, b) * (range.reverse === true ? -1 : 1))
    const limit = range.limit === undefined || range.limit < 0 ? found.length : range.limit
    for (const [key, value] of found.slice(0, limit)) {
      signal?.throwIfAborted()
      yield [Uint8Array.from(key), Uint8Array.from(value)]
    }
  }

  async write(changes: readonly RowChange[]): Promise<void> {
    for (const change of changes) {
      let rows = this.#spaces.get(change.space)
      if (rows === undefined) this.#spaces.set(change.space, (rows = new Map()))
      if (change.type === 'delete') rows.delete(toLatin1(change.key))
      else rows.set(toLatin1(change.key), [Uint8Array.from(change.key), Uint8Array.from(change.value)])
    }
  }
}

function isWithin(key: Uint8Array, { gte, gt, lt, lte }: RowRange): boolean {
  return (
    (gte === undefined || compareBytes(key, gte) >= 0) &&
    (gt === undefined || compareBytes(key, gt) > 0) &&
    (lt === undefined || compareBytes(key, lt) < 0) &&
    (lte === undefined || compareBytes(key, lte) <= 0)
  )
}
