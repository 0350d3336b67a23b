import { toHex } from '../../src/util/bytes.ts'

/** Chunks by hex id, as the part of a `ChunkStore` that readers use. */
export class ChunkMap {
  readonly chunks = new Map<string, Uint8Array>()
  reads = 0

  add(id: Uint8Array, bytes: Uint8Array): void {
    this.chunks.set(toHex(id), bytes)
  }

  read(id: Uint8Array): Uint8Array | undefined {
    this.reads++
    return this.chunks.get(toHex(id))
  }
}
