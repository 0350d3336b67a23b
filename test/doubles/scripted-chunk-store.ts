import type { Chunk, ChunkInfo, ChunkStore } from '../../src/store/chunk-store.ts'
import { compareBytes, toLatin1 } from '../../src/util/bytes.ts'

/** Chunks in a map, and what was asked of them; `beforeWrite` and `onRead` let a test fail or hold a call. */
export class ScriptedChunkStore implements ChunkStore {
  readonly touched: Uint8Array[] = []
  reads = 0
  writesUnderWay = 0
  mostWritesUnderWay = 0
  usedAtS = 1_700_000_000
  beforeWrite: (chunks: readonly Chunk[]) => Promise<void> = async () => {}
  onRead: (id: Uint8Array) => void = () => {}
  readonly #chunks = new Map<string, { id: Uint8Array; bytes: Uint8Array; usedAtS: number }>()

  read(id: Uint8Array): Uint8Array | undefined {
    this.reads++
    this.onRead(id)
    return this.#chunks.get(toLatin1(id))?.bytes
  }

  info(id: Uint8Array): ChunkInfo | undefined {
    const held = this.#chunks.get(toLatin1(id))
    return held && { lengthBytes: held.bytes.length, sha256: new Uint8Array(32), usedAtS: held.usedAtS }
  }

  async write(chunks: readonly Chunk[]): Promise<void> {
    this.mostWritesUnderWay = Math.max(this.mostWritesUnderWay, ++this.writesUnderWay)
    try {
      await this.beforeWrite(chunks)
      for (const { id, bytes } of chunks) this.hold(id, bytes)
    } finally {
      this.writesUnderWay--
    }
  }

  hold(id: Uint8Array, bytes: Uint8Array): void {
    this.#chunks.set(toLatin1(id), {
      id: Uint8Array.from(id),
      bytes: Buffer.from(bytes),
      usedAtS: this.usedAtS,
    })
  }

  touch(ids: readonly Uint8Array[]): Promise<void> {
    this.touched.push(...ids)
    return Promise.resolve()
  }

  delete(ids: readonly Uint8Array[]): Promise<void> {
    for (const id of ids) this.#chunks.delete(toLatin1(id))
    return Promise.resolve()
  }

  async *entries(after?: Uint8Array): AsyncGenerator<readonly [Uint8Array, ChunkInfo]> {
    const ids = [...this.#chunks.values()].map(({ id }) => id).sort(compareBytes)
    for (const id of ids) {
      const info = this.info(id)
      if (info !== undefined && (after === undefined || compareBytes(id, after) > 0)) yield [id, info]
    }
  }

  totals() {
    let bytes = 0
    for (const held of this.#chunks.values()) bytes += held.bytes.length
    return { chunks: this.#chunks.size, bytes }
  }
}
