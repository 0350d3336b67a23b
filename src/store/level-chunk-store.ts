/**
 * Chunks on disk: payloads in a log of their own, index rows in the RowStore. Reads are synchronous; writes and
 * deletions pass one queue, so that a payload is durable before its row, and its row before the answer. What a crash
 * can leave is a payload without a row, above the last number that rows know: it is dropped at the next start.
 */
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { CorruptError } from '../errors.ts'
import { equalBytes, fromUtf8, readU64be, toHex, toLatin1, u64be } from '../util/bytes.ts'
import { Mutex } from '../util/mutex.ts'
import { HOUR_MS, MIB, SECOND_MS, type AbortOptions } from '../util/units.ts'
import { decodeChunkRow, encodeChunkRow, type ChunkRow } from './chunk-row.ts'
import type { Chunk, ChunkInfo, ChunkStore, ChunkTotals, KnownContent } from './chunk-store.ts'
import type { FreeSpace } from './free-space.ts'
import type { PayloadLog } from './payload-log.ts'
import type { RowChange, RowStore } from './row-store.ts'
import { SPACES } from './spaces.ts'

/** Payload bytes of one synced batch. */
const BATCH_BYTES = 8 * MIB

/** A use is written down again after this long. */
const TOUCH_AFTER_S = HOUR_MS / SECOND_MS

const TOTALS = fromUtf8('totals')

export interface LevelChunkStoreDeps {
  readonly payloads: PayloadLog
  readonly rows: RowStore
  readonly space: FreeSpace
  /** Unix milliseconds. */
  readonly clock: () => number
}

/** A new chunk on its way to the disk; whoever writes the same one meanwhile waits for the same promise. */
interface Arrival {
  readonly chunk: Chunk
  readonly sha256: Uint8Array
  readonly done: Promise<void>
  readonly settle: (error?: unknown) => void
}

export class LevelChunkStore implements ChunkStore, KnownContent {
  readonly #payloads: PayloadLog
  readonly #rows: RowStore
  readonly #space: FreeSpace
  readonly #clock: () => number
  readonly #turn = new Mutex()
  readonly #arriving = new Map<string, Arrival>()
  readonly #queue: Arrival[] = []
  /** Ids whose deletion has begun: they are no longer here for anybody. */
  readonly #leaving = new Set<string>()
  #nextNumber = 0
  #totals: ChunkTotals = { chunks: 0, bytes: 0 }

  private constructor({ payloads, rows, space, clock }: LevelChunkStoreDeps) {
    this.#payloads = payloads
    this.#rows = rows
    this.#space = space
    this.#clock = clock
  }

  /** Opens the store and drops what a crash left. */
  static async open(deps: LevelChunkStoreDeps): Promise<LevelChunkStore> {
    const store = new LevelChunkStore(deps)
    await store.#recover()
    return store
  }

  read(id: Uint8Array): Uint8Array | undefined {
    const row = this.#row(id)
    if (row === undefined) return undefined
    const bytes = this.#payloads.get(row.number)
    if (bytes === undefined) throw new CorruptError(toHex(id), `chunk ${toHex(id)} has lost its payload`)
    if (bytes.length !== row.lengthBytes || crc32(bytes) !== row.crc32) {
      throw new CorruptError(toHex(id), `chunk ${toHex(id)} is damaged on this disk`)
    }
    return bytes
  }

  info(id: Uint8Array): ChunkInfo | undefined {
    return this.#row(id)
  }

  known(plainKeys: readonly Uint8Array[]): Array<Uint8Array | undefined> {
    return plainKeys.map((key) => {
      const id = this.#rows.get(SPACES.plain, key)
      return id !== undefined && this.#row(id) !== undefined ? id : undefined
    })
  }

  async write(chunks: readonly Chunk[]): Promise<void> {
    await this.#space.require(chunks.reduce((sum, { bytes }) => sum + bytes.length, 0))
    const { fresh, changes, waits } = this.#sort(chunks)
    for (const [key, { chunk, sha256 }] of fresh) {
      const arrival = newArrival(chunk, sha256)
      this.#arriving.set(key, arrival)
      this.#queue.push(arrival)
      waits.add(arrival.done)
    }
    if (fresh.size > 0) void this.#turn.run(() => this.#store())
    await Promise.all([this.#rows.write(changes), ...waits])
  }

  async touch(ids: readonly Uint8Array[]): Promise<void> {
    const changes: RowChange[] = []
    for (const id of ids) {
      const row = this.#row(id)
      if (row !== undefined) changes.push(...this.#refresh(id, row))
    }
    await this.#rows.write(changes)
  }

  async delete(ids: readonly Uint8Array[]): Promise<void> {
    const found = ids.filter((id) => this.#row(id) !== undefined)
    for (const id of found) this.#leaving.add(toLatin1(id))
    await this.#turn.run(async () => {
      try {
        await this.#drop(found)
      } finally {
        for (const id of found) this.#leaving.delete(toLatin1(id))
      }
    })
  }

  async *entries(
    after?: Uint8Array,
    options?: AbortOptions,
  ): AsyncGenerator<readonly [id: Uint8Array, info: ChunkInfo]> {
    const range = after === undefined ? {} : { gt: after }
    for await (const [id, row] of this.#rows.rows(SPACES.chunks, range, options)) {
      if (!this.#leaving.has(toLatin1(id))) yield [id, decodeChunkRow(row)]
    }
  }

  totals(): ChunkTotals {
    return this.#totals
  }

  /** Payloads from this number on have not been acknowledged yet. */
  get nextNumber(): number {
    return this.#nextNumber
  }

  #row(id: Uint8Array): ChunkRow | undefined {
    if (this.#leaving.size > 0 && this.#leaving.has(toLatin1(id))) return undefined
    const row = this.#rows.get(SPACES.chunks, id)
    return row === undefined ? undefined : decodeChunkRow(row)
  }

  /** New, held, or on its way? @throws {CorruptError} on a collision, before anything has changed. */
  #sort(chunks: readonly Chunk[]) {
    const fresh = new Map<string, { chunk: Chunk; sha256: Uint8Array }>()
    const changes: RowChange[] = []
    const waits = new Set<Promise<void>>()
    for (const chunk of chunks) {
      const key = toLatin1(chunk.id)
      const sha256 = chunk.sha256 ?? createHash('sha256').update(chunk.bytes).digest()
      const before = this.#arriving.get(key) ?? fresh.get(key)
      const row = before === undefined ? this.#row(chunk.id) : undefined
      const known = before ?? row
      if (known !== undefined && !equalBytes(known.sha256, sha256)) {
        throw new CorruptError(toHex(chunk.id), `two different chunks have the id ${toHex(chunk.id)}`)
      }
      if (known === undefined) fresh.set(key, { chunk, sha256: Uint8Array.from(sha256) })
      else if (row !== undefined) changes.push(...this.#refresh(chunk.id, row, chunk.plainKey))
      else if (before !== undefined && 'done' in before) waits.add(before.done)
    }
    return { fresh, changes, waits }
  }

  /** The use of a held chunk, and the plain content that it turned out to be. */
  #refresh(id: Uint8Array, row: ChunkRow, plainKey?: Uint8Array): RowChange[] {
    const nowS = this.#nowS()
    const isNewContent = plainKey !== undefined && row.plainKey === undefined
    if (!isNewContent && nowS - row.usedAtS < TOUCH_AFTER_S) return []
    const fresh = { ...row, usedAtS: nowS, plainKey: row.plainKey ?? plainKey }
    return chunkChanges(id, fresh)
  }

  /** One batch of the queue: payloads, then rows. */
  async #store(): Promise<void> {
    const batch: Arrival[] = []
    for (let bytes = 0; bytes < BATCH_BYTES;) {
      const arrival = this.#queue.shift()
      if (arrival === undefined) break
      batch.push(arrival)
      bytes += arrival.chunk.bytes.length
    }
    if (batch.length === 0) return
    if (this.#queue.length > 0) void this.#turn.run(() => this.#store())
    let failure: unknown
    try {
      await this.#keep(batch)
    } catch (error) {
      failure = error
    }
    for (const { chunk, settle } of batch) {
      this.#arriving.delete(toLatin1(chunk.id))
      settle(failure)
    }
  }

  async #keep(batch: readonly Arrival[]): Promise<void> {
    const first = this.#nextNumber
    const usedAtS = this.#nowS()
    const payloads = batch.map(({ chunk }) => chunk.bytes)
    const changes = batch.flatMap(({ chunk, sha256 }, at) =>
      chunkChanges(chunk.id, {
        number: first + at,
        lengthBytes: chunk.bytes.length,
        crc32: crc32(chunk.bytes),
        sha256,
        usedAtS,
        plainKey: chunk.plainKey,
      }),
    )
    const totals = {
      chunks: this.#totals.chunks + batch.length,
      bytes: this.#totals.bytes + payloads.reduce((sum, { length }) => sum + length, 0),
    }
    await this.#payloads.put(first, payloads)
    await this.#rows.write([...changes, totalsChange(first + batch.length, totals)])
    this.#nextNumber = first + batch.length
    this.#totals = totals
  }

  /** Rows first, with a note of the payloads to drop, so that a crash in between leaves nothing behind for ever. */
  async #drop(ids: readonly Uint8Array[]): Promise<void> {
    const numbers: number[] = []
    const changes: RowChange[] = []
    let bytes = 0
    for (const id of ids) {
      const raw = this.#rows.get(SPACES.chunks, id)
      if (raw === undefined) continue
      const row = decodeChunkRow(raw)
      numbers.push(row.number)
      bytes += row.lengthBytes
      changes.push({ type: 'delete', space: SPACES.chunks, key: id })
      changes.push({ type: 'put', space: SPACES.freed, key: u64be(row.number), value: new Uint8Array() })
      if (this.#isPlainOf(row, id)) changes.push({ type: 'delete', space: SPACES.plain, key: row.plainKey })
    }
    const totals = { chunks: this.#totals.chunks - numbers.length, bytes: this.#totals.bytes - bytes }
    await this.#rows.write([...changes, totalsChange(this.#nextNumber, totals)])
    this.#totals = totals
    await this.#free(numbers)
  }

  #isPlainOf(row: ChunkRow, id: Uint8Array): row is ChunkRow & { plainKey: Uint8Array } {
    const holder = row.plainKey === undefined ? undefined : this.#rows.get(SPACES.plain, row.plainKey)
    return holder !== undefined && equalBytes(holder, id)
  }

  async #free(numbers: readonly number[]): Promise<void> {
    await this.#payloads.delete(numbers)
    await this.#rows.write(
      numbers.map((number) => ({ type: 'delete', space: SPACES.freed, key: u64be(number) })),
    )
  }

  async #recover(): Promise<void> {
    const row = this.#rows.get(SPACES.own, TOTALS)
    if (row !== undefined) {
      this.#nextNumber = readU64be(row, 0)
      this.#totals = { chunks: readU64be(row, 8), bytes: readU64be(row, 16) }
    }
    const dropped: number[] = []
    for await (const [number] of this.#rows.rows(SPACES.freed)) dropped.push(readU64be(number))
    await this.#free(dropped)
    const unknown: number[] = []
    for await (const number of this.#payloads.numbers(this.#nextNumber)) unknown.push(number)
    await this.#payloads.delete(unknown)
  }

  #nowS(): number {
    return Math.floor(this.#clock() / SECOND_MS)
  }
}

function newArrival(chunk: Chunk, sha256: Uint8Array): Arrival {
  let settle: (error?: unknown) => void = () => {}
  const done = new Promise<void>((resolve, reject) => {
    settle = (error) => (error === undefined ? resolve() : reject(error as Error))
  })
  done.catch(() => {}) // every writer that waits reports it
  return { chunk, sha256, done, settle }
}

function chunkChanges(id: Uint8Array, row: ChunkRow): RowChange[] {
  const changes: RowChange[] = [{ type: 'put', space: SPACES.chunks, key: id, value: encodeChunkRow(row) }]
  if (row.plainKey !== undefined) {
    changes.push({ type: 'put', space: SPACES.plain, key: row.plainKey, value: id })
  }
  return changes
}

/** Next payload number, chunks, bytes: u64 each. In the batch that makes them true. */
function totalsChange(nextNumber: number, { chunks, bytes }: ChunkTotals): RowChange {
  const value = Buffer.concat([u64be(nextNumber), u64be(chunks), u64be(bytes)])
  return { type: 'put', space: SPACES.own, key: TOTALS, value }
}
