/** What happens at the same time: writes, uses, deletions and failures of one store, against a model in memory. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { DiskFullError } from '../../src/errors.ts'
import { checkStore } from '../../src/store/fsck.ts'
import { toHex } from '../../src/util/bytes.ts'
import { failNextBatch } from '../doubles/failing-batches.ts'
import { chunkOf, idsOf } from '../suites/chunk-store.ts'
import { openStore, type OpenStore } from './open-store.ts'

const DAY_MS = 86_400_000
const RUNS = Number(process.env['ZHUB_FUZZ_RUNS'] ?? 25)

async function problemsOf(store: OpenStore): Promise<string[]> {
  const problems: string[] = []
  await checkStore(store, ({ kind, detail }) => problems.push(`${kind}: ${detail}`))
  return problems
}

type Step =
  | {
      readonly do: 'write' | 'delete' | 'touch'
      readonly numbers: readonly number[]
      readonly isOurs: boolean
    }
  | { readonly do: 'fail'; readonly database: 'index' | 'payloads'; readonly when: 'early' | 'late' }
  | { readonly do: 'wait' | 'reopen' | 'day' }

const numbers = fc.uniqueArray(fc.nat(7), { minLength: 1, maxLength: 4 })
const steps: fc.Arbitrary<Step> = fc.oneof(
  fc.record({ do: fc.constantFrom('write', 'delete', 'touch'), numbers, isOurs: fc.boolean() }),
  fc.record({
    do: fc.constant('fail' as const),
    database: fc.constantFrom('index', 'payloads'),
    when: fc.constantFrom('early', 'late'),
  }),
  fc.record({ do: fc.constantFrom('wait', 'reopen', 'day') }),
)

/** What each chunk must be: here, gone, or either, when the last change of it failed or was beside another. */
class Expectation {
  readonly #states = new Map<number, 'here' | 'gone' | 'either'>()
  #changes = new Map<number, number>()

  begin(numbers: readonly number[]): void {
    for (const number of numbers) {
      this.#states.set(number, 'either')
      this.#changes.set(number, (this.#changes.get(number) ?? 0) + 1)
    }
  }

  /** Calls act in their order, so the last one decides. */
  end(numbers: readonly number[], state: 'here' | 'gone', changes: ReadonlyMap<number, number>): void {
    for (const number of numbers)
      if (this.#changes.get(number) === changes.get(number)) this.#states.set(number, state)
  }

  count(): ReadonlyMap<number, number> {
    return new Map(this.#changes)
  }

  of(number: number): 'here' | 'gone' | 'either' {
    return this.#states.get(number) ?? 'gone'
  }
}

describe('a store to which much happens at once', () => {
  it('has what it acknowledged and not what it deleted, and nothing is wrong with it', async (t) => {
    await fc.assert(
      fc.asyncProperty(fc.array(steps, { minLength: 1, maxLength: 25 }), async (script) => {
        let nowMs = 1_700_000_000_000
        let store = await openStore(t, { clock: () => nowMs })
        const expected = new Expectation()
        let running: Array<Promise<void>> = []

        const change = (step: Extract<Step, { numbers: readonly number[] }>) => {
          const chunks = step.numbers.map((number) => {
            const { id, bytes, plainKey } = chunkOf(number)
            return step.isOurs ? { id, bytes, plainKey } : { id, bytes }
          })
          const ids = chunks.map(({ id }) => id)
          if (step.do === 'touch') return void running.push(store.chunks.touch(ids).catch(expectFull))
          // What is only on its way here cannot be deleted: it comes.
          const isHere = (number: number) => store.chunks.info(chunkOf(number).id) !== undefined
          const changed = step.do === 'write' ? step.numbers : step.numbers.filter(isHere)
          expected.begin(changed)
          const begun = expected.count()
          const [done, state] =
            step.do === 'write'
              ? ([store.chunks.write(chunks), 'here'] as const)
              : ([store.chunks.delete(ids), 'gone'] as const)
          running.push(done.then(() => expected.end(changed, state, begun), expectFull))
        }
        for (const step of script) {
          if (step.do === 'fail') failNextBatch(store.levels[step.database], step.when)
          else if (step.do === 'day') nowMs += DAY_MS
          else if ('numbers' in step) change(step)
          else {
            await Promise.all(running)
            running = []
            if (step.do === 'reopen') store = await store.reopen()
          }
          await settled()
        }
        await Promise.all(running)
        for (let look = 0; look < 2; look++) {
          const held = await idsOf(store.chunks)
          for (let number = 0; number < 8; number++) {
            const { id, bytes } = chunkOf(number)
            const state = expected.of(number)
            if (state !== 'either')
              assert.equal(held.includes(toHex(id)), state === 'here', `chunk ${number}`)
            const read = store.chunks.read(id)
            if (read !== undefined) assert.deepEqual(Buffer.from(read), bytes)
          }
          store = await store.reopen()
          assert.deepEqual(await problemsOf(store), [])
        }
        await store.close()
      }),
      { numRuns: RUNS },
    )
  })

  it('keeps a chunk that is written again while its deletion waits behind other writes', async (t) => {
    const { chunks } = await openStore(t)
    await chunks.write([chunkOf(1)])
    const others = [chunks.write([chunkOf(50, 500_000)])]
    await settled()
    others.push(chunks.write([chunkOf(2)]))
    await settled()
    const deleting = chunks.delete([chunkOf(1).id])
    const again = chunks.write([chunkOf(1)])
    await Promise.all([...others, deleting, again])
    assert.deepEqual(Buffer.from(chunks.read(chunkOf(1).id) ?? []), chunkOf(1).bytes)
  })

  it('shows a use from the call on, so that the collector’s last look sees it', async (t) => {
    let nowMs = 1_700_000_000_000
    const { chunks } = await openStore(t, { clock: () => nowMs })
    await chunks.write([chunkOf(1)])
    nowMs += DAY_MS
    const touching = chunks.touch([chunkOf(1).id])
    assert.equal(chunks.info(chunkOf(1).id)?.usedAtS, nowMs / 1000)
    await touching
    assert.equal(chunks.info(chunkOf(1).id)?.usedAtS, nowMs / 1000)
  })

  it('keeps the plain content that a chunk came to be known for beside a use of it', async (t) => {
    let nowMs = 1_700_000_000_000
    const store = await openStore(t, { clock: () => nowMs })
    const { id, bytes, plainKey } = chunkOf(1)
    await store.chunks.write([{ id, bytes }])
    nowMs += DAY_MS
    const writing = store.chunks.write([{ id, bytes, plainKey }])
    await settled()
    await Promise.all([writing, store.chunks.touch([id])])
    assert.equal(toHex(store.chunks.known([plainKey])[0] ?? new Uint8Array()), toHex(id))
    assert.deepEqual(await problemsOf(store), [])
  })

  it('gives the caller its memory back only when nothing reads it any more', async (t) => {
    const store = await openStore(t)
    const memory = Buffer.concat(Array.from({ length: 40 }, (_, number) => chunkOf(number, 500_000).bytes))
    const chunks = Array.from({ length: 40 }, (_, number) => ({
      id: chunkOf(number, 500_000).id,
      bytes: memory.subarray(number * 500_000, (number + 1) * 500_000),
    }))
    failNextBatch(store.levels.payloads) // the first of three
    await assert.rejects(store.chunks.write(chunks), DiskFullError)
    memory.fill(0)
    const others = chunks.flatMap(({ id }) => store.chunks.read(id) ?? [])
    assert.ok(others.length > 0, 'the other batches were kept')
    for (const bytes of others) assert.ok(bytes.some((byte) => byte !== 0))
    assert.deepEqual(await problemsOf(store), [])
  })

  for (const when of ['early', 'late'] as const) {
    it(`goes on from what is on the disk after rows of which nobody knows (${when})`, async (t) => {
      const store = await openStore(t)
      await store.chunks.write([chunkOf(1)])
      const hasFailed = failNextBatch(store.levels.index, when)
      await assert.rejects(store.chunks.write([chunkOf(2), chunkOf(3)]), DiskFullError)
      assert.ok(hasFailed())
      await store.chunks.write([chunkOf(4)])
      await store.chunks.delete([chunkOf(1).id])
      assert.deepEqual(await problemsOf(store), [])
      const kept = when === 'late' ? 3 : 1
      assert.deepEqual(store.chunks.totals(), { chunks: kept, bytes: kept * 100 })
      for await (const [id] of store.chunks.entries()) assert.equal(store.chunks.read(id)?.length, 100)
    })
  }

  it('counts a chunk once that is named twice in a deletion', async (t) => {
    const { chunks } = await openStore(t)
    await chunks.write([chunkOf(1), chunkOf(2)])
    await chunks.delete([chunkOf(1).id, chunkOf(1).id])
    assert.deepEqual(chunks.totals(), { chunks: 1, bytes: 100 })
  })
})

/** Everything that needs no disk has happened. */
function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function expectFull(error: unknown): void {
  assert.ok(error instanceof DiskFullError, String(error))
}
