/**
 * Chunks on disk: payloads in a log of their own, index rows in the RowStore. Reads are synchronous; writes and
 * deletions pass one queue, so that a payload is durable before its row, and its row before the answer. What a crash
 * can leave is a payload without a row, above the last number that rows know: it is dropped at the next start.
 */
import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import { CorruptError } from '../errors.ts'
import { equalBytes, toHex, toLatin1 } from '../util/bytes.ts'
import { Mutex } from '../util/mutex.ts'
import { HOUR_MS, MIB, SECOND_MS, type AbortOptions } from '../util/units.ts'
import { ChunkIndex, type IndexTotals, type RowWithId } from './chunk-index.ts'
import type { ChunkRow } from './chunk-row.ts'
import type { Chunk, ChunkInfo, ChunkStore, ChunkTotals, KnownContent } from './chunk-store.ts'
import { DamagedChunks } from './damaged-chunks.ts'
import type { FreeSpace } from './free-space.ts'
import type { PayloadLog } from './payload-log.ts'
import { Reclaimer } from './reclaim.ts'
import type { RowStore } from './row-store.ts'

/** Payload bytes, and payloads, of one synced batch. */
const BATCH_BYTES = 8 * MIB
const BATCH_CHUNKS = 4096

const NOTHING: IndexTotals = { nextNumber: 0, chunks: 0, bytes: 0 }

/** A use is written down again after this long. */
const TOUCH_AFTER_S = HOUR_MS / SECOND_MS

export interface LevelChunkStoreDeps {
  readonly payloads: PayloadLog
  readonly rows: RowStore
  readonly space: FreeSpace
  /** Unix milliseconds. */
  readonly clock: () => number
}

/** A new chunk on its way to the disk; whoever writes the same one meanwhile waits for the same promise. */
interface Arrival {
  readonly key: string
  readonly chunk: Chunk
  readonly sha256: Uint8Array
  readonly done: Promise<void>
}

/** New chunks of one call that go to the disk together. */
interface Group {
  readonly arrivals: Arrival[]
  readonly bytes: number
  readonly settle: (error?: unknown) => void
}

interface Fresh {
  readonly key: string
  readonly chunk: Chunk
  readonly sha256: Uint8Array
}

export class LevelChunkStore implements ChunkStore, KnownContent {
  readonly #payloads: PayloadLog
  readonly #index: ChunkIndex
  readonly #damaged: DamagedChunks
  readonly #space: FreeSpace
  readonly #clock: () => number
  readonly #reclaimer: Reclaimer
  readonly #turn = new Mutex()
  readonly #arriving = new Map<string, Arrival>()
  /** Writes, uses and deletions that have not been answered. */
  readonly #underWay = new Set<Promise<void>>()
  #queue: Group[] = []
  #totals = NOTHING
  /** A write failed, and nobody knows how much of it is on the disk. */
  #isDoubtful = false

  private constructor({ payloads, rows, space, clock }: LevelChunkStoreDeps) {
    this.#payloads = payloads
    this.#index = new ChunkIndex(rows)
    this.#damaged = new DamagedChunks(rows)
    this.#space = space
    this.#clock = clock
    this.#reclaimer = new Reclaimer(payloads, this.#index)
  }

  /**
   * Opens the store and drops what a crash left.
   * @throws {CorruptError} when that is more than a crash leaves: the index is not the one of these payloads.
   */
  static async open(deps: LevelChunkStoreDeps): Promise<LevelChunkStore> {
    const store = new LevelChunkStore(deps)
    await store.#damaged.load()
    await store.#recover()
    return store
  }

  /** Waits for what is under way, all that was asked for before it. */
  async close(): Promise<void> {
    await this.#reclaimer.close()
    await Promise.allSettled(this.#underWay)
  }

  read(id: Uint8Array): Uint8Array | undefined {
    const row = this.#index.get(id)
    if (row === undefined) return undefined
    try {
      const bytes = this.#payloads.get(row.number)
      if (bytes === undefined) throw new CorruptError(toHex(id), `chunk ${toHex(id)} has lost its payload`)
      if (bytes.length === row.lengthBytes && crc32(bytes) === row.crc32) return bytes
      throw new CorruptError(toHex(id), `chunk ${toHex(id)} is damaged on this disk`)
    } catch (error) {
      if (error instanceof CorruptError) this.markDamaged(id)
      throw error
    }
  }

  /** Somebody found the payload of a chunk to be lost, or other bytes than were stored: it is to be stored anew. */
  markDamaged(id: Uint8Array): void {
    // Who found it tells of it; a mark that cannot be written still counts until the end of the process.
    void this.#track(this.#damaged.add(id)).catch(() => {})
  }

  info(id: Uint8Array): ChunkInfo | undefined {
    const row = this.#index.get(id)
    return row !== undefined && this.#damaged.has(id) ? { ...row, isDamaged: true } : row
  }

  known(plainKeys: readonly Uint8Array[]): Array<Uint8Array | undefined> {
    return plainKeys.map((key) => {
      const id = this.#index.idOf(key)
      return id !== undefined && this.#damaged.has(id) ? undefined : id
    })
  }

  write(chunks: readonly Chunk[]): Promise<void> {
    return this.#track(this.#write(chunks))
  }

  async #write(chunks: readonly Chunk[]): Promise<void> {
    await this.#space.require(chunks.reduce((sum, { bytes }) => sum + bytes.length, 0))
    const { fresh, used, waits } = this.#sort(chunks)
    for (const part of inBatches([...fresh.values()])) {
      const group = newGroup(part)
      for (const arrival of group.arrivals) this.#arriving.set(arrival.key, arrival)
      this.#queue.push(group)
      waits.add(group.done)
    }
    if (fresh.size > 0) void this.#turn.run(() => this.#store())
    // All, also when one fails: until then the bytes are read, and afterwards they are the caller's again.
    const results = await Promise.allSettled([this.#index.change(used), ...waits])
    for (const result of results) if (result.status === 'rejected') throw result.reason
  }

  async touch(ids: readonly Uint8Array[]): Promise<void> {
    const used: RowWithId[] = []
    for (const id of ids) {
      const row = this.#index.get(id)
      if (row !== undefined && !this.#damaged.has(id)) used.push(...this.#used(id, row))
    }
    await this.#track(this.#index.change(used))
  }

  async delete(ids: readonly Uint8Array[]): Promise<void> {
    const leaving = this.#index.leave(ids)
    const dropping = this.#turn.run(async () => {
      try {
        await this.#decided(() => this.#drop(leaving))
      } finally {
        this.#index.left(leaving)
      }
    })
    await this.#track(dropping)
  }

  /**
   * Deletes those that are still unwanted when it comes to it, and answers which; resolves when their bytes are off the
   * disk, for the files that held them are written anew.
   */
  async erase(ids: readonly Uint8Array[], isUnwanted: (id: Uint8Array) => boolean): Promise<Uint8Array[]> {
    if (!ids.some((id) => this.#index.get(id) !== undefined)) return []
    await this.#track(this.#payloads.flush())
    const doomed = ids.filter((id) => this.#index.get(id) !== undefined && isUnwanted(id))
    const numbers = doomed.flatMap((id) => this.#index.get(id)?.number ?? [])
    await this.delete(doomed) // begun in the turn of the last look
    await this.#track(this.#reclaimer.rewrite(numbers))
    return doomed
  }

  entries(after?: Uint8Array, options?: AbortOptions): AsyncGenerator<readonly [Uint8Array, ChunkInfo]> {
    return this.#index.entries(after, options)
  }

  totals(): ChunkTotals {
    const { chunks, bytes } = this.#totals
    return { chunks, bytes }
  }

  /** Resolves when the space that deletions freed has gone back to the disk, as far as it was worth it. */
  settled(): Promise<void> {
    return this.#reclaimer.settled()
  }

  /** As they stand on the disk; payloads from `nextNumber` on have not been acknowledged. */
  durableTotals(): IndexTotals {
    return this.#index.totals() ?? NOTHING
  }

  /** Its deletion has begun. */
  isLeaving(id: Uint8Array): boolean {
    return this.#index.isLeaving(id)
  }

  /** New, held, or on its way? @throws {CorruptError} on a collision, before anything has changed. */
  #sort(chunks: readonly Chunk[]) {
    const fresh = new Map<string, Fresh>()
    const used: RowWithId[] = []
    const waits = new Set<Promise<void>>()
    for (const chunk of chunks) {
      const key = toLatin1(chunk.id)
      const sha256 = chunk.sha256 ?? createHash('sha256').update(chunk.bytes).digest()
      const arriving = this.#arriving.get(key)
      const before = arriving ?? fresh.get(key)
      const row = before === undefined ? this.#index.get(chunk.id) : undefined
      const known = before ?? row
      if (known !== undefined && !equalBytes(known.sha256, sha256)) throw collision(chunk.id)
      if (known === undefined || this.#isHealed(row, chunk)) fresh.set(key, { key, chunk, sha256 })
      else if (row !== undefined) used.push(...this.#used(chunk.id, row, chunk.plainKey))
      else if (arriving !== undefined) waits.add(arriving.done)
    }
    return { fresh, used, waits }
  }

  /** Its bytes take the place of those that were found damaged. */
  #isHealed(row: ChunkRow | undefined, { id }: Chunk): boolean {
    return row !== undefined && this.#damaged.has(id)
  }

  /** The use of a held chunk, and the plain content that it turned out to be. */
  #used(id: Uint8Array, row: ChunkRow, plainKey?: Uint8Array): RowWithId[] {
    const nowS = this.#nowS()
    const isNewContent = plainKey !== undefined && row.plainKey === undefined
    if (!isNewContent && nowS - row.usedAtS < TOUCH_AFTER_S) return []
    return [[id, { ...row, usedAtS: nowS, plainKey: row.plainKey ?? plainKey }]]
  }

  /** One batch of the queue: payloads, then rows. */
  async #store(): Promise<void> {
    const groups = this.#takeBatch()
    if (groups.length === 0) return
    if (this.#queue.length > 0) void this.#turn.run(() => this.#store())
    let failure: unknown
    try {
      await this.#decided(() => this.#keep(groups.flatMap(({ arrivals }) => arrivals)))
    } catch (error) {
      failure = error
    }
    for (const { arrivals, settle } of groups) {
      for (const { key } of arrivals) this.#arriving.delete(key)
      settle(failure)
    }
  }

  /** What comes back while its deletion waits in the queue has its own turn behind it. */
  #takeBatch(): Group[] {
    const batch: Group[] = []
    const later: Group[] = []
    let [bytes, chunks] = [0, 0]
    for (const group of this.#queue) {
      const isFull = bytes >= BATCH_BYTES || (chunks > 0 && chunks + group.arrivals.length > BATCH_CHUNKS)
      if (isFull || group.arrivals.some(({ chunk }) => this.#index.isLeaving(chunk.id))) {
        later.push(group)
        continue
      }
      batch.push(group)
      bytes += group.bytes
      chunks += group.arrivals.length
    }
    this.#queue = later
    return batch
  }

  /** Runs a change of totals. After one that failed the next begins as a start does, with what is on the disk. */
  async #decided(work: () => Promise<void>): Promise<void> {
    if (this.#isDoubtful) {
      await this.#index.settle()
      await this.#recover()
      this.#isDoubtful = false
    }
    try {
      await work()
    } catch (error) {
      this.#isDoubtful = true
      throw error
    }
  }

  async #keep(batch: readonly Arrival[]): Promise<void> {
    const { nextNumber: first, chunks, bytes } = this.#totals
    const usedAtS = this.#nowS()
    const healed = await this.#heldDamaged(batch)
    const payloads = batch.map(({ chunk }) => chunk.bytes)
    const added = batch.map(({ chunk, sha256 }, at): RowWithId => {
      const { id, bytes, plainKey } = chunk
      const row = {
        number: first + at,
        lengthBytes: bytes.length,
        crc32: crc32(bytes),
        sha256,
        usedAtS,
        plainKey: plainKey ?? healed.get(id)?.plainKey,
      }
      return [id, row]
    })
    const totals = {
      nextNumber: first + batch.length,
      chunks: chunks + batch.length - healed.size,
      bytes: bytes + sumOf(added) - sumOf([...healed]),
    }
    const [ids, freed] = [[...healed.keys()], [...healed.values()].map(({ number }) => number)]
    await this.#payloads.put(first, payloads)
    await this.#index.add(added, totals, freed, this.#damaged.removal(ids))
    this.#totals = totals
    this.#damaged.forget(ids)
    if (freed.length > 0) await this.#free(freed)
  }

  /** Those of a batch that are held already, but damaged: their rows, which no use changes any more. */
  async #heldDamaged(batch: readonly Arrival[]): Promise<Map<Uint8Array, ChunkRow>> {
    const ids = batch.map(({ chunk }) => chunk.id).filter((id) => this.#damaged.has(id))
    const rows = ids.length === 0 ? [] : await this.#index.rowsOf(ids)
    return new Map(rows)
  }

  /** Rows first: a payload without a row is found again, a row without a payload would be damage. */
  async #drop(leaving: readonly Uint8Array[]): Promise<void> {
    const dropped = await this.#index.rowsOf(leaving)
    if (dropped.length === 0) return
    const { nextNumber, chunks, bytes } = this.#totals
    const freedBytes = sumOf(dropped)
    const totals = { nextNumber, chunks: chunks - dropped.length, bytes: bytes - freedBytes }
    const damaged = leaving.filter((id) => this.#damaged.has(id))
    await this.#index.drop(dropped, totals, this.#damaged.removal(damaged))
    this.#totals = totals
    this.#damaged.forget(damaged)
    await this.#free(dropped.map(([, { number }]) => number))
    this.#reclaimer.freed(freedBytes, totals.bytes)
  }

  async #free(numbers: readonly number[]): Promise<void> {
    await this.#payloads.delete(numbers)
    this.#index.forgetFreed(numbers)
  }

  /** A crash leaves at most one batch of payloads that no row knows. */
  async #recover(): Promise<void> {
    const totals = this.#index.totals()
    if ((totals ?? NOTHING).chunks === 0 && !(await this.#index.isEmpty()))
      throw strangers('the index has lost its totals')
    this.#totals = totals ?? NOTHING
    const freed = await this.#index.freed()
    if (freed.length > 0) {
      await this.#free(freed)
      await this.#index.settle()
    }
    const unknown: number[] = []
    const from = this.#totals.nextNumber
    for await (const number of this.#payloads.numbers({ from, to: Number.MAX_SAFE_INTEGER })) {
      unknown.push(number)
      if (unknown.length > BATCH_CHUNKS) throw strangers('there are payloads that the index does not know')
    }
    await this.#payloads.delete(unknown)
  }

  #track(work: Promise<void>): Promise<void> {
    this.#underWay.add(work)
    const forget = () => void this.#underWay.delete(work)
    work.then(forget, forget)
    return work
  }

  #nowS(): number {
    return Math.floor(this.#clock() / SECOND_MS)
  }
}

function sumOf(rows: readonly RowWithId[]): number {
  return rows.reduce((sum, [, { lengthBytes }]) => sum + lengthBytes, 0)
}

function collision(id: Uint8Array): CorruptError {
  return new CorruptError(toHex(id), `two different chunks have the id ${toHex(id)}`)
}

function strangers(why: string): CorruptError {
  return new CorruptError(
    'chunks',
    `chunks/ and index/ do not belong together: ${why}. Restore both from one backup`,
  )
}

/** Cut where a batch would be full. */
function* inBatches(fresh: readonly Fresh[]): Generator<Fresh[]> {
  let part: Fresh[] = []
  let bytes = 0
  for (const one of fresh) {
    part.push(one)
    bytes += one.chunk.bytes.length
    if (bytes < BATCH_BYTES && part.length < BATCH_CHUNKS) continue
    yield part
    part = []
    bytes = 0
  }
  if (part.length > 0) yield part
}

function newGroup(fresh: readonly Fresh[]): Group & { done: Promise<void> } {
  let settle: (error?: unknown) => void = () => {}
  const done = new Promise<void>((resolve, reject) => {
    settle = (error) => (error === undefined ? resolve() : reject(error as Error))
  })
  done.catch(() => {}) // every writer that waits reports it
  const bytes = fresh.reduce((sum, { chunk }) => sum + chunk.bytes.length, 0)
  return { arrivals: fresh.map((one) => ({ ...one, done })), bytes, settle, done }
}
