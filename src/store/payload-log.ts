/**
 * Bytes in a LevelDB of their own, keyed by insertion order: input that comes sorted is never merged again (300 MB/s
 * at twofold write amplification, where hash keys reach 67 at sevenfold).
 */
import { readU64be, u64be } from '../util/bytes.ts'
import { inStore, inStoreSync } from './level-errors.ts'
import { LevelWriter, type ByteDatabase } from './level-writer.ts'

/** Numbers from `from` up to, not including, `to`. */
export interface NumberRange {
  readonly from: number
  readonly to: number
}

export class PayloadLog {
  readonly #database: ByteDatabase
  readonly #writer: LevelWriter

  constructor(database: ByteDatabase) {
    this.#database = database
    this.#writer = new LevelWriter(database)
  }

  get(number: number): Uint8Array | undefined {
    return inStoreSync(() => this.#database.getSync(u64be(number)))
  }

  /** Durable when it resolves. Bytes may be a view of shared memory: they are copied before it resolves. */
  put(first: number, payloads: readonly Uint8Array[]): Promise<void> {
    return this.#writer.write((batch) => {
      for (const [at, payload] of payloads.entries()) batch.put(u64be(first + at), payload)
    })
  }

  /** Drops payloads; their space is freed by `compact`, or by LevelDB in its time. */
  async delete(numbers: readonly number[]): Promise<void> {
    if (numbers.length === 0) return
    await this.#writer.write((batch) => {
      for (const number of numbers) batch.del(u64be(number))
    })
  }

  /** Numbers that are there, in order. */
  async *numbers(
    { from, to }: NumberRange = { from: 0, to: Number.MAX_SAFE_INTEGER },
  ): AsyncGenerator<number> {
    const iterator = inStoreSync(() => this.#database.keys({ gte: u64be(from), lt: u64be(to) }))
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

  /** Bytes that a range takes on the disk, deleted ones included; what came last may be missing. */
  diskBytes({ from, to }: NumberRange): Promise<number> {
    return inStore(() => this.#database.approximateSize(u64be(from), u64be(to)))
  }

  /**
   * Puts what came last into a file. What is deleted before that goes into the file with its deletion, which no later
   * `compact` takes out again (LevelDB, `DBImpl::CompactRange`): whoever must see bytes gone calls this first.
   */
  flush(): Promise<void> {
    const end = u64be(Number.MAX_SAFE_INTEGER)
    return inStore(() => this.#database.compactRange(end, end)) // no key, but the log is flushed
  }

  /** Writes the files that hold a range anew, without what was deleted. */
  compact({ from, to }: NumberRange): Promise<void> {
    return inStore(() => this.#database.compactRange(u64be(from), u64be(to)))
  }
}
