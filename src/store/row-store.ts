import type { AbortOptions } from '../util/units.ts'

/** A named key space of a `RowStore`: short lower-case text, one owner each (see store/FORMAT.md). */
export type Space = string

export type Row = readonly [key: Uint8Array, value: Uint8Array]

export type RowChange =
  | { readonly type: 'put'; readonly space: Space; readonly key: Uint8Array; readonly value: Uint8Array }
  | { readonly type: 'delete'; readonly space: Space; readonly key: Uint8Array }

/** Bounds of a range of keys, byte-wise order; missing bounds are open, and all that are given hold. */
export interface RowRange {
  readonly gte?: Uint8Array
  readonly gt?: Uint8Array
  readonly lt?: Uint8Array
  readonly lte?: Uint8Array
  readonly reverse?: boolean
  readonly limit?: number
}

/**
 * Small values in ordered key spaces, with atomic batches across spaces: what everything but chunk payloads is
 * kept in. Keys at most 1 KiB, values at most 1 MiB. Returned buffers belong to the caller.
 */
export interface RowStore {
  /** Synchronous: a few microseconds. `undefined` when there is no such row. */
  get(space: Space, key: Uint8Array): Uint8Array | undefined

  /** As many answers as keys, in their order. */
  getMany(
    space: Space,
    keys: readonly Uint8Array[],
    options?: AbortOptions,
  ): Promise<Array<Uint8Array | undefined>>

  /** Rows in key order, of the state at the first step; later writes do not show. Closing early frees the snapshot. */
  rows(space: Space, range?: RowRange, options?: AbortOptions): AsyncIterable<Row>

  /**
   * All changes or none, and durable (synced) when this resolves. Later writes wait for earlier ones, so two
   * writes never land in the other order. Writers that come while a sync runs share the next one.
   */
  write(changes: readonly RowChange[]): Promise<void>
}
