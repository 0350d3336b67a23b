import type { Row, RowChange, RowRange, RowStore, Space } from '../../src/store/row-store.ts'
import { compareBytes, fromHex, toHex } from '../../src/util/bytes.ts'

/** A `RowStore` over plain maps, for tests of what stands on one: rows can be looked at, spoiled and made to fail. */
export class MapRows implements RowStore {
  /** Hex of the key to value, by space. */
  readonly spaces = new Map<Space, Map<string, Uint8Array>>()
  /** The next writes fail with this; with `butKeep` they happen all the same, as a failed sync may. */
  failure: { error: Error; butKeep: boolean } | undefined
  writes = 0

  space(name: Space): Map<string, Uint8Array> {
    let space = this.spaces.get(name)
    if (space === undefined) this.spaces.set(name, (space = new Map()))
    return space
  }

  get(space: Space, key: Uint8Array): Uint8Array | undefined {
    const value = this.space(space).get(toHex(key))
    return value && Uint8Array.from(value)
  }

  getMany(space: Space, keys: readonly Uint8Array[]): Promise<Array<Uint8Array | undefined>> {
    return Promise.resolve(keys.map((key) => this.get(space, key)))
  }

  async *rows(space: Space, range: RowRange = {}): AsyncGenerator<Row> {
    const keys = [...this.space(space).keys()].sort()
    if (range.reverse === true) keys.reverse()
    const within = keys.flatMap((hex): Row[] => {
      const key = fromHex(hex) ?? new Uint8Array(0)
      return isWithin(key, range) ? [[key, this.get(space, key) ?? new Uint8Array(0)]] : []
    })
    yield* within.slice(0, range.limit)
  }

  async write(changes: readonly RowChange[]): Promise<void> {
    await Promise.resolve()
    if (this.failure !== undefined && !this.failure.butKeep) throw this.failure.error
    this.writes++
    for (const change of changes) {
      if (change.type === 'put')
        this.space(change.space).set(toHex(change.key), Uint8Array.from(change.value))
      else this.space(change.space).delete(toHex(change.key))
    }
    if (this.failure !== undefined) throw this.failure.error
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
