import { createHash } from 'node:crypto'
import { CorruptError } from '../errors.ts'
import { compareBytes, equalBytes, toHex, toLatin1 } from '../util/bytes.ts'
import { SECOND_MS, type AbortOptions } from '../util/units.ts'
import type { Chunk, ChunkInfo, ChunkStore, ChunkTotals, KnownContent } from './chunk-store.ts'

interface Held extends ChunkInfo {
  readonly id: Uint8Array
  readonly bytes: Uint8Array
  readonly plainKey: string | undefined
}

/** Chunks in memory, for tests. */
export class MemoryChunkStore implements ChunkStore, KnownContent {
  readonly #clock: () => number
  readonly #held = new Map<string, Held>()
  readonly #plain = new Map<string, Uint8Array>()

  constructor(clock: () => number = Date.now) {
    this.#clock = clock
  }

  read(id: Uint8Array): Uint8Array | undefined {
    const held = this.#held.get(toLatin1(id))
    return held && Uint8Array.from(held.bytes)
  }

  info(id: Uint8Array): ChunkInfo | undefined {
    return this.#held.get(toLatin1(id))
  }

  known(plainKeys: readonly Uint8Array[]): Array<Uint8Array | undefined> {
    return plainKeys.map((key) => this.#plain.get(toLatin1(key)))
  }

  async write(chunks: readonly Chunk[]): Promise<void> {
    const arrived = new Map<string, Held>()
    for (const chunk of chunks) {
      const key = toLatin1(chunk.id)
      arrived.set(key, this.#arrive(chunk, arrived.get(key) ?? this.#held.get(key)))
    }
    for (const [key, held] of arrived) {
      this.#held.set(key, held)
      if (held.plainKey !== undefined) this.#plain.set(held.plainKey, held.id)
    }
  }

  #arrive({ id, bytes, sha256: given, plainKey }: Chunk, before: Held | undefined): Held {
    const sha256 = given ?? createHash('sha256').update(bytes).digest()
    if (before !== undefined && !equalBytes(before.sha256, sha256)) {
      throw new CorruptError(toHex(id), `two different chunks have the id ${toHex(id)}`)
    }
    return {
      id: Uint8Array.from(id),
      bytes: before?.bytes ?? Uint8Array.from(bytes),
      lengthBytes: bytes.length,
      sha256: Uint8Array.from(sha256),
      usedAtS: this.#nowS(),
      plainKey: before?.plainKey ?? (plainKey && toLatin1(plainKey)),
    }
  }

  async touch(ids: readonly Uint8Array[]): Promise<void> {
    for (const id of ids) {
      const held = this.#held.get(toLatin1(id))
      if (held !== undefined) this.#held.set(toLatin1(id), { ...held, usedAtS: this.#nowS() })
    }
  }

  async delete(ids: readonly Uint8Array[]): Promise<void> {
    for (const id of ids) {
      const held = this.#held.get(toLatin1(id))
      this.#held.delete(toLatin1(id))
      if (held?.plainKey !== undefined) this.#plain.delete(held.plainKey)
    }
  }

  async *entries(
    after?: Uint8Array,
    { signal }: AbortOptions = {},
  ): AsyncGenerator<readonly [id: Uint8Array, info: ChunkInfo]> {
    const held = [...this.#held.values()].sort((a, b) => compareBytes(a.id, b.id))
    for (const one of held) {
      signal?.throwIfAborted()
      if (after === undefined || compareBytes(one.id, after) > 0) yield [one.id, one]
    }
  }

  totals(): ChunkTotals {
    const sizes = [...this.#held.values()].map(({ bytes }) => bytes.length)
    return { chunks: sizes.length, bytes: sizes.reduce((sum, size) => sum + size, 0) }
  }

  #nowS(): number {
    return Math.floor(this.#clock() / SECOND_MS)
  }
}
