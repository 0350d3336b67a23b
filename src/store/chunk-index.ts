/**
 * The rows that say what chunks there are. Answers as if every change that was asked for had happened: a row on its
 * way to the disk is seen, a chunk whose deletion has begun is not. The collector's last look depends on it.
 */
import { CorruptError } from '../errors.ts'
import { equalBytes, fromUtf8, readU64be, toHex, toLatin1, u64be } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import { decodeChunkRow, encodeChunkRow, isChunkRow, type ChunkRow } from './chunk-row.ts'
import type { ChunkTotals } from './chunk-store.ts'
import { decodeNumber } from './number-row.ts'
import type { RowChange, RowStore } from './row-store.ts'
import { SPACES } from './spaces.ts'

const TOTALS = fromUtf8('totals')

export type RowWithId = readonly [id: Uint8Array, row: ChunkRow]

/** What stands in one row, in the batch that makes it true. */
export interface IndexTotals extends ChunkTotals {
  /** Number of the next payload: no row knows this one, nor a higher one. */
  readonly nextNumber: number
}

export class ChunkIndex {
  readonly #rows: RowStore
  /** Changed rows that are not durable yet. */
  readonly #changing = new Map<string, ChunkRow>()
  /** Chunks whose deletion has begun. */
  readonly #leaving = new Set<string>()
  /** Notes of payloads that are gone, to be dropped with the next batch. */
  #droppable: number[] = []
  /** Resolves when no change is under way. */
  #changed: Promise<unknown> = Promise.resolve()

  constructor(rows: RowStore) {
    this.#rows = rows
  }

  /** @throws {CorruptError} when its row is damaged. */
  get(id: Uint8Array): ChunkRow | undefined {
    if (this.#leaving.size > 0 || this.#changing.size > 0) {
      const key = toLatin1(id)
      if (this.#leaving.has(key)) return undefined
      const changing = this.#changing.get(key)
      if (changing !== undefined) return changing
    }
    const row = this.#rows.get(SPACES.chunks, id)
    return row === undefined ? undefined : readRow(id, row)
  }

  /** The chunk that our encoder made of this content. */
  idOf(plainKey: Uint8Array): Uint8Array | undefined {
    const id = this.#rows.get(SPACES.plain, plainKey)
    return id !== undefined && this.#holds(id) ? id : undefined
  }

  /** As `get`, without reading the row: hundreds are asked for in one turn, and decoding is a fifth of it. */
  #holds(id: Uint8Array): boolean {
    return !this.isLeaving(id) && this.#rows.get(SPACES.chunks, id) !== undefined
  }

  isLeaving(id: Uint8Array): boolean {
    return this.#leaving.size > 0 && this.#leaving.has(toLatin1(id))
  }

  /** In id order, as of the first step. A damaged row is passed over: its chunk cannot be read, and fsck names it. */
  async *entries(after?: Uint8Array, options?: AbortOptions): AsyncGenerator<RowWithId> {
    const range = after === undefined ? {} : { gt: after }
    for await (const [id, row] of this.#rows.rows(SPACES.chunks, range, options)) {
      if (isChunkRow(row) && !this.isLeaving(id)) yield [id, decodeChunkRow(row)]
    }
  }

  /** Changes rows of chunks that are here; seen from the call on, durable when it resolves. */
  async change(changed: readonly RowWithId[]): Promise<void> {
    if (changed.length === 0) return
    for (const [id, row] of changed) this.#changing.set(toLatin1(id), row)
    const done = this.#rows.write(changed.flatMap(([id, row]) => chunkChanges(id, row)))
    this.#changed = Promise.allSettled([this.#changed, done]).then(() => undefined)
    try {
      await done
    } finally {
      for (const [id, row] of changed) {
        const key = toLatin1(id)
        if (this.#changing.get(key) === row) this.#changing.delete(key)
      }
    }
  }

  /** Rows of chunks whose payloads are durable, and payloads that they had before. */
  add(
    added: readonly RowWithId[],
    totals: IndexTotals,
    freed: readonly number[] = [],
    also: readonly RowChange[] = [],
  ): Promise<void> {
    return this.#rows.write([
      ...this.#takeDroppable(),
      ...freed.map(freedNote),
      ...also,
      ...added.flatMap(([id, row]) => chunkChanges(id, row)),
      { type: 'put', space: SPACES.own, key: TOTALS, value: encodeTotals(totals) },
    ])
  }

  /** Chunks that are here and leave from now on; to be ended by `left`. */
  leave(ids: readonly Uint8Array[]): Uint8Array[] {
    const leaving: Uint8Array[] = []
    for (const id of ids) {
      if (this.get(id) === undefined) continue
      leaving.push(id)
      this.#leaving.add(toLatin1(id))
    }
    return leaving
  }

  left(ids: readonly Uint8Array[]): void {
    for (const id of ids) this.#leaving.delete(toLatin1(id))
  }

  /** The rows of chunks that leave, once no change of them is under way. */
  async rowsOf(leaving: readonly Uint8Array[]): Promise<RowWithId[]> {
    await this.#changed
    return leaving.flatMap((id): RowWithId[] => {
      const row = this.#rows.get(SPACES.chunks, id)
      return row === undefined ? [] : [[id, readRow(id, row)]]
    })
  }

  /** Drops rows, and notes their payloads so that a crash leaves none behind for ever. */
  drop(dropped: readonly RowWithId[], totals: IndexTotals, also: readonly RowChange[] = []): Promise<void> {
    const changes: RowChange[] = [...this.#takeDroppable(), ...also]
    for (const [id, row] of dropped) {
      changes.push({ type: 'delete', space: SPACES.chunks, key: id })
      changes.push(freedNote(row.number))
      const { plainKey } = row
      const named = plainKey && this.#rows.get(SPACES.plain, plainKey)
      if (plainKey !== undefined && named !== undefined && equalBytes(named, id))
        changes.push({ type: 'delete', space: SPACES.plain, key: plainKey })
    }
    const value = encodeTotals(totals)
    return this.#rows.write([...changes, { type: 'put', space: SPACES.own, key: TOTALS, value }])
  }

  /** Payloads that were noted to be dropped. */
  async freed(): Promise<number[]> {
    const numbers: number[] = []
    for await (const [number] of this.#rows.rows(SPACES.freed)) numbers.push(readU64be(number))
    return numbers
  }

  /** Their payloads are gone. The notes go with the next batch: until then they do no harm, not even to a start. */
  forgetFreed(numbers: readonly number[]): void {
    for (const number of numbers) this.#droppable.push(number)
  }

  #takeDroppable(): RowChange[] {
    const numbers = this.#droppable
    this.#droppable = []
    return numbers.map((number) => ({ type: 'delete', space: SPACES.freed, key: u64be(number) }))
  }

  /** `undefined` before the first chunk. @throws {CorruptError} when they cannot be read. */
  totals(): IndexTotals | undefined {
    const row = this.#rows.get(SPACES.own, TOTALS)
    return row && decodeTotals(row)
  }

  async isEmpty(): Promise<boolean> {
    for await (const _ of this.#rows.rows(SPACES.chunks, { limit: 1 })) return false
    return true
  }

  /** Resolves once the rows take writes, and whatever an earlier one left open is decided. */
  async settle(): Promise<void> {
    await this.#rows.write([
      ...this.#takeDroppable(),
      { type: 'delete', space: SPACES.own, key: fromUtf8('none') },
    ])
  }
}

function readRow(id: Uint8Array, row: Uint8Array): ChunkRow {
  if (isChunkRow(row)) return decodeChunkRow(row)
  throw new CorruptError(toHex(id), `the index row of chunk ${toHex(id)} is damaged on this disk`)
}

function freedNote(number: number): RowChange {
  return { type: 'put', space: SPACES.freed, key: u64be(number), value: new Uint8Array() }
}

function chunkChanges(id: Uint8Array, row: ChunkRow): RowChange[] {
  const changes: RowChange[] = [{ type: 'put', space: SPACES.chunks, key: id, value: encodeChunkRow(row) }]
  if (row.plainKey !== undefined) {
    changes.push({ type: 'put', space: SPACES.plain, key: row.plainKey, value: id })
  }
  return changes
}

function decodeTotals(row: Uint8Array): IndexTotals {
  return {
    nextNumber: decodeNumber(row.subarray(0, 8), 'the number of the next payload'),
    chunks: decodeNumber(row.subarray(8, 16), 'the count of chunks'),
    bytes: decodeNumber(row.subarray(16), 'the count of bytes'),
  }
}

function encodeTotals({ nextNumber, chunks, bytes }: IndexTotals): Uint8Array {
  return Buffer.concat([u64be(nextNumber), u64be(chunks), u64be(bytes)])
}
