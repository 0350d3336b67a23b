/**
 * Frees what nothing holds: flists that no operation names, then chunks that no flist references, nobody holds and
 * nobody used within the grace. Invariant I8, a referenced chunk is never deleted: references are written while a
 * lease holds the chunk, a watch remembers every hold since the run began, and the last look and the store's own
 * "it is gone" happen in one turn of the event loop.
 */
import { toHex, toLatin1 } from '../util/bytes.ts'
import { SECOND_MS, type AbortOptions } from '../util/units.ts'
import type { ChunkInfo, ChunkStore } from './chunk-store.ts'
import type { FlistId } from './flist-store.ts'
import type { LeaseWatch, RowLeases } from './leases.ts'
import { parseReferences, type References } from './references.ts'
import type { RowFlistStore } from './row-flist-store.ts'
import type { Row, RowChange, RowStore } from './row-store.ts'
import { SPACES } from './spaces.ts'

export interface CollectorDeps {
  readonly rows: RowStore
  readonly chunks: ChunkStore
  readonly flists: RowFlistStore
  readonly leases: RowLeases
  /** Flists that operations still name, by whatever retention the caller keeps; asked once a run. */
  readonly liveFlists: () => AsyncIterable<FlistId>
  /** Unix milliseconds. */
  readonly clock: () => number
  /** Told after chunks are gone: caches forget them. */
  readonly onDeleted?: (ids: readonly Uint8Array[]) => void
}

export interface CollectOptions extends AbortOptions {
  /** Seconds an unreferenced chunk stays after its last use. */
  readonly graceS: number
  /** Counts, deletes nothing. */
  readonly dryRun?: boolean
  readonly onProgress?: (done: number, total: number) => void
}

/** What a run freed, or would. */
export interface Collected {
  readonly flists: number
  readonly chunks: number
  readonly bytes: number
}

/** Chunks deleted by one batch: the last look at them and the deletion are one step of less than 10 ms. */
const SLICE = 512

/** Stale references dropped by one batch. */
const STALE_SLICE = 2000

const LAST_BYTE = 0xff

export async function collect(deps: CollectorDeps, options: CollectOptions): Promise<Collected> {
  const watch = deps.leases.watch()
  try {
    const { freed, numbers } = await collectFlists(deps, options, watch)
    const run = new ChunkRun(deps, options, watch, numbers)
    await run.pass()
    if (options.dryRun !== true) {
      if (freed > 0) await deps.flists.sweep(options)
      await deps.leases.expire(options)
    }
    return { flists: freed, chunks: run.chunks, bytes: run.bytes }
  } finally {
    watch.close()
  }
}

/** Numbers of the flists that stay, or came meanwhile. */
async function collectFlists(
  { flists, liveFlists }: CollectorDeps,
  { dryRun, signal }: CollectOptions,
  watch: LeaseWatch,
): Promise<{ freed: number; numbers: Numbers }> {
  const census = await flists.census()
  const live = new Set<string>()
  for await (const id of liveFlists()) live.add(toHex(id))
  let freed = 0
  const numbers = new Numbers(census.last)
  for (const [id, { number }] of census.flists) {
    signal?.throwIfAborted()
    if (live.has(toHex(id)) || watch.sawFlist(id)) {
      numbers.add(number)
      continue
    }
    freed++
    if (dryRun !== true) await flists.delete(id, () => !watch.sawFlist(id))
    if (watch.sawFlist(id)) numbers.add(number)
  }
  return { freed, numbers }
}

/** Numbers under which references count. */
class Numbers {
  readonly #kept = new Set<number>()
  readonly #highest: number

  constructor(highest: number) {
    this.#highest = highest
  }

  add(number: number): void {
    this.#kept.add(number)
  }

  /** Kept, or given out since the run began. */
  counts(number: number): boolean {
    return number > this.#highest || this.#kept.has(number)
  }
}

class ChunkRun {
  chunks = 0
  bytes = 0
  readonly #deps: CollectorDeps
  readonly #options: CollectOptions
  readonly #watch: LeaseWatch
  readonly #numbers: Numbers
  readonly #total: number
  #done = 0
  #doomed: Uint8Array[] = []

  constructor(deps: CollectorDeps, options: CollectOptions, watch: LeaseWatch, numbers: Numbers) {
    this.#deps = deps
    this.#options = options
    this.#watch = watch
    this.#numbers = numbers
    this.#total = deps.chunks.totals().chunks
  }

  /** Walks chunks and references side by side: both are in the order of the first byte. */
  async pass(): Promise<void> {
    const { rows, chunks } = this.#deps
    const { signal, onProgress } = this.#options
    const all = rows.rows(SPACES.references, {}, { signal })
    const references = new ReferenceWalk(all[Symbol.asyncIterator](), this.#numbers)
    try {
      for await (const [id, info] of chunks.entries(undefined, { signal })) {
        if (!(await references.names(id))) await this.#consider(id, info)
        if (references.stale.length >= STALE_SLICE) await this.#forget(references)
        this.#done++
        onProgress?.(this.#done, this.#total)
      }
      await this.#flush()
      await references.walkTo(LAST_BYTE)
      await this.#forget(references)
    } finally {
      await references.close()
    }
  }

  async #consider(id: Uint8Array, info: ChunkInfo): Promise<void> {
    const ageS = this.#deps.clock() / SECOND_MS - info.usedAtS
    if (ageS < this.#options.graceS || this.#watch.sawChunk(id)) return
    this.chunks++
    this.bytes += info.lengthBytes
    if (this.#options.dryRun === true) return
    this.#doomed.push(id)
    if (this.#doomed.length >= SLICE) await this.#flush()
  }

  /** The last look and the deletion are one turn: nobody can take a hold in between. */
  async #flush(): Promise<void> {
    const doomed = this.#doomed.filter((id) => !this.#watch.sawChunk(id) && this.#isStillOld(id))
    this.#doomed = []
    if (doomed.length === 0) return
    await this.#deps.chunks.delete(doomed)
    this.#deps.onDeleted?.(doomed)
  }

  /** References that count no more. */
  async #forget(references: ReferenceWalk): Promise<void> {
    const stale = references.stale
      .splice(0)
      .map((key): RowChange => ({ type: 'delete', space: SPACES.references, key }))
    if (this.#options.dryRun !== true) await this.#deps.rows.write(stale)
  }

  #isStillOld(id: Uint8Array): boolean {
    const info = this.#deps.chunks.info(id)
    return info !== undefined && this.#deps.clock() / SECOND_MS - info.usedAtS >= this.#options.graceS
  }
}

interface KeyedReferences {
  readonly key: Uint8Array
  readonly references: References
}

/** Reference rows, read along with the chunks: in memory are the ids that begin with one byte. */
class ReferenceWalk {
  readonly #rows: AsyncIterator<Row>
  readonly #numbers: Numbers
  readonly #named = new Set<string>()
  #firstByte = -1
  #next: KeyedReferences | undefined
  #isEnd = false
  /** Keys of rows of flists that are gone, or that a crash kept from coming. */
  readonly stale: Uint8Array[] = []

  constructor(rows: AsyncIterator<Row>, numbers: Numbers) {
    this.#rows = rows
    this.#numbers = numbers
  }

  /** Does a counting flist reference `id`? Ids are asked for in rising order. */
  async names(id: Uint8Array): Promise<boolean> {
    const [firstByte = 0] = id
    if (firstByte !== this.#firstByte) await this.walkTo(firstByte)
    return this.#named.has(toLatin1(id))
  }

  async walkTo(firstByte: number): Promise<void> {
    this.#named.clear()
    this.#firstByte = firstByte
    for (;;) {
      const next = await this.#peek()
      if (next === undefined || next.references.firstByte > firstByte) return
      if (!this.#numbers.counts(next.references.number)) this.stale.push(next.key)
      else if (next.references.firstByte === firstByte)
        for (const chunk of next.references.chunks) this.#named.add(toLatin1(chunk))
      this.#next = undefined
    }
  }

  async close(): Promise<void> {
    await this.#rows.return?.()
  }

  async #peek(): Promise<KeyedReferences | undefined> {
    if (this.#next !== undefined || this.#isEnd) return this.#next
    const step = await this.#rows.next()
    if (step.done === true) this.#isEnd = true
    else {
      const [key, value] = step.value
      this.#next = { key, references: parseReferences(key, value) }
    }
    return this.#next
  }
}
