/**
 * Bytes in a LevelDB of their own, keyed by insertion order: input that comes sorted is never merged again (300 MB/s
 * at twofold write amplification, where hash keys reach 67 at sevenfold).
 */
import { readU64be, u64be } from '../util/bytes.ts'
import { Mutex } from '../util/mutex.ts'
import { inStore, storeError } from './level-errors.ts'
import { writeBatch, type ByteDatabase } from './level-batch.ts'

export class PayloadLog {
  readonly #database: ByteDatabase
  readonly #compaction = new Mutex()
  #isClosing = false

  constructor(database: ByteDatabase) {
    this.#database = database
  }

  get(number: number): Uint8Array | undefined {
    try {
      return this.#database.getSync(u64be(number))
    } catch (cause) {
      throw storeError(cause)
    }
  }

  /** Durable when it resolves. Bytes may be a view of shared memory: they are copied before this returns. */
  put(first: number, payloads: readonly Uint8Array[]): Promise<void> {
    return writeBatch(this.#database, (batch) => {
      for (const [at, payload] of payloads.entries()) batch.put(u64be(first + at), payload)
    })
  }

  /** Drops payloads, and frees their space in the background. */
  async delete(numbers: readonly number[]): Promise<void> {
    if (numbers.length === 0) return
    await writeBatch(this.#database, (batch) => {
      for (const number of numbers) batch.del(u64be(number))
    })
    this.#compact(...rangeOf(numbers))
  }

  /** Numbers that are there, in order. */
  async *numbers(from = 0): AsyncGenerator<number> {
    const iterator = this.#database.keys({ gte: u64be(from) })
    try {
      for (;;) {
        const keys = await inStore(() => iterator.nextv(1024))
        if (keys.length === 0) return
        for (const key of keys) yield readU64be(key)
      }
    } finally {
      await iterator.close()
    }
  }

  /** Waits for the compaction under way. */
  async close(): Promise<void> {
    this.#isClosing = true
    await this.#compaction.run(async () => {})
  }

  #compact(first: number, last: number): void {
    void this.#compaction
      .run(async () => {
        if (!this.#isClosing) await this.#database.compactRange(u64be(first), u64be(last + 1))
      })
      .catch(() => {}) // space is freed at the next one, or by LevelDB itself
  }
}

/** Least and most: spreading a million arguments would overflow the stack. */
function rangeOf(numbers: readonly number[]): [number, number] {
  let [least, most] = [Infinity, -Infinity]
  for (const number of numbers) {
    if (number < least) least = number
    if (number > most) most = number
  }
  return [least, most]
}
