/** I8 over all orders that a scheduler finds: collector, uploads, imports and deletions side by side, without a grace. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { collect } from '../../src/store/collector.ts'
import { RowLeases } from '../../src/store/leases.ts'
import { MemoryChunkStore } from '../../src/store/memory-chunk-store.ts'
import { MemoryRowStore } from '../../src/store/memory-row-store.ts'
import { RowFlistStore } from '../../src/store/row-flist-store.ts'
import type { Row, RowChange, RowRange, Space } from '../../src/store/row-store.ts'
import type { Chunk } from '../../src/store/chunk-store.ts'
import type { AbortOptions } from '../../src/util/units.ts'
import { equalBytes, toHex } from '../../src/util/bytes.ts'
import { chunkOf } from '../suites/chunk-store.ts'

const RUNS = Math.ceil(Number(process.env['ZHUB_SIMULATIONS'] ?? 2000) / 20)

/** When the scheduler likes: it decides who goes on next. */
type Wait = (what: string) => Promise<void>

/** Rows that land when the scheduler likes, in the order of their writes, and are read step by step. */
class ScheduledRows extends MemoryRowStore {
  readonly #wait: Wait
  #last: Promise<void> = Promise.resolve()

  constructor(wait: Wait) {
    super()
    this.#wait = wait
  }

  override write(changes: readonly RowChange[]): Promise<void> {
    const landed = this.#last.then(() => this.#wait('rows')).then(() => super.write(changes))
    this.#last = landed
    return landed
  }

  override async *rows(space: Space, range?: RowRange, options?: AbortOptions): AsyncGenerator<Row> {
    for await (const row of super.rows(space, range, options)) {
      await this.#wait('row')
      yield row
    }
  }
}

/** Chunks that are there and gone from the call on, as their port has it, and durable when the scheduler likes. */
class ScheduledChunks extends MemoryChunkStore {
  readonly #wait: Wait

  constructor(wait: Wait) {
    super(() => 1_700_000_000_000)
    this.#wait = wait
  }

  override async write(chunks: readonly Chunk[]): Promise<void> {
    await super.write(chunks)
    await this.#wait('chunks')
  }

  override async delete(ids: readonly Uint8Array[]): Promise<void> {
    await super.delete(ids)
    await this.#wait('deleted')
  }
}

type Act =
  | { readonly do: 'upload' | 'assert' | 'import'; readonly chunks: readonly number[] }
  | { readonly do: 'delete'; readonly chunks: readonly number[] }

const act: fc.Arbitrary<Act> = fc.record({
  do: fc.constantFrom('upload', 'assert', 'import', 'delete'),
  chunks: fc.uniqueArray(fc.nat(4), { minLength: 1, maxLength: 3 }),
})

class World {
  readonly rows: ScheduledRows
  readonly chunks: ScheduledChunks
  readonly flists: RowFlistStore
  readonly leases: RowLeases
  /** Named, by id in hex, with their chunks. */
  readonly live = new Map<string, { readonly id: Uint8Array; readonly numbers: readonly number[] }>()
  readonly #wait: Wait

  constructor(wait: Wait) {
    this.#wait = wait
    this.rows = new ScheduledRows(wait)
    this.chunks = new ScheduledChunks(wait)
    this.flists = new RowFlistStore(this.rows, this.chunks)
    this.leases = new RowLeases(this.rows, () => 1_700_000_000_000)
  }

  async run({ do: what, chunks: numbers }: Act): Promise<void> {
    await this.#wait(what)
    if (what === 'delete') {
      for (const [key, { numbers: of }] of this.live)
        if (of.some((one) => numbers.includes(one))) this.live.delete(key)
      return
    }
    const chunks = numbers.map((number) => chunkOf(number))
    const ids = chunks.map(({ id }) => id)
    const lease = this.leases.open()
    try {
      lease.holdChunks(ids)
      await this.#wait('held')
      const missing = chunks.filter(({ id }) => this.chunks.info(id) === undefined)
      // A client that says the chunks are here brings none.
      if (what === 'assert' && missing.length > 0) return
      if (what === 'upload') for (const chunk of missing) await this.chunks.write([chunk])
      if (what === 'import') await this.chunks.write(missing)
      const bytes = Buffer.from(`flist ${numbers.join(' ')}`)
      const id = await this.flists.put({ format: 'zflist', bytes, chunkIds: ids, files: 1 }, lease)
      await this.#wait('put')
      this.live.set(toHex(id), { id, numbers })
    } finally {
      lease.release()
    }
  }

  async collect(): Promise<void> {
    const { rows, chunks, flists, leases, live } = this
    const liveFlists = async function* () {
      for (const { id } of [...live.values()]) yield id
    }
    await collect({ rows, chunks, flists, leases, liveFlists, clock: () => 1_700_000_000_000 }, { graceS: 0 })
  }

  async check(): Promise<void> {
    for (const { id, numbers } of this.live.values()) {
      assert.equal(String(Buffer.from((await this.flists.read(id)) ?? [])), `flist ${numbers.join(' ')}`)
      for (const number of numbers) {
        const { id: chunk, bytes } = chunkOf(number)
        assert.ok(equalBytes(this.chunks.read(chunk) ?? Buffer.of(), bytes), `chunk ${number} is gone`)
      }
    }
  }
}

describe('I8: a chunk that something refers to is never deleted', () => {
  it('whatever uploads, imports, deletions and collections do side by side', async () => {
    const acts = fc.array(act, { minLength: 1, maxLength: 6 })
    await fc.assert(
      fc.asyncProperty(
        fc.scheduler(),
        acts,
        fc.integer({ min: 1, max: 3 }),
        async (scheduler, script, runs) => {
          let isSearching = true
          const wait: Wait = (what) =>
            isSearching ? scheduler.schedule(Promise.resolve(), what) : Promise.resolve()
          const world = new World(wait)
          const collecting = async () => {
            for (let run = 0; run < runs; run++) {
              await wait('collect')
              await world.collect()
            }
          }
          await scheduler.waitFor(Promise.all([...script.map((one) => world.run(one)), collecting()]))
          isSearching = false
          await world.check()
          await world.collect()
          await world.check()
        },
      ),
      { numRuns: RUNS },
    )
  })
})
