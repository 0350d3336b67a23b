import { CHUNK_ID_BYTES } from '../format/chunk.ts'
import type { BlockRef } from './entry.ts'

/** Where the blocks of a file stand in a `BlockTable`: rows in a row. */
export interface BlockRange {
  readonly firstBlock: number
  readonly blockCount: number
}

/**
 * The blocks of every file of an upload, 36 bytes each: rows in the order of the content, which point to slots with
 * the key, known at once, and the id, known later. Equal blocks may share a slot.
 */
export class BlockTable {
  #keys = new Uint8Array(1024 * CHUNK_ID_BYTES)
  #ids = new Uint8Array(1024 * CHUNK_ID_BYTES)
  #slots = 0
  #rows = new Uint32Array(1024)
  #rowCount = 0

  get rowCount(): number {
    return this.#rowCount
  }

  addSlot(key: Uint8Array): number {
    const slot = this.#slots++
    if (this.#slots * CHUNK_ID_BYTES > this.#keys.length) {
      this.#keys = grown(this.#keys)
      this.#ids = grown(this.#ids)
    }
    this.#keys.set(key, slot * CHUNK_ID_BYTES)
    return slot
  }

  setId(slot: number, id: Uint8Array): void {
    this.#ids.set(id, slot * CHUNK_ID_BYTES)
  }

  addRow(slot: number): void {
    if (this.#rowCount === this.#rows.length) {
      const rows = new Uint32Array(2 * this.#rowCount)
      rows.set(this.#rows)
      this.#rows = rows
    }
    this.#rows[this.#rowCount++] = slot
  }

  /** Views; ids must have been set. */
  blocks({ firstBlock, blockCount }: BlockRange): BlockRef[] {
    return Array.from({ length: blockCount }, (_, index) => {
      const at = (this.#rows[firstBlock + index] ?? 0) * CHUNK_ID_BYTES
      return {
        id: this.#ids.subarray(at, at + CHUNK_ID_BYTES),
        key: this.#keys.subarray(at, at + CHUNK_ID_BYTES),
      }
    })
  }

  /** The ids of all blocks, one behind the other, each slot once. */
  allIds(): Uint8Array<ArrayBuffer> {
    return this.#ids.slice(0, this.#slots * CHUNK_ID_BYTES)
  }

  /** The ids of these blocks, one behind the other, each slot once; `undefined` when they are all that there are. */
  idsOf(ranges: Iterable<BlockRange>): Uint8Array<ArrayBuffer> | undefined {
    const isUsed = new Uint8Array(this.#slots)
    let used = 0
    for (const { firstBlock, blockCount } of ranges) {
      for (let row = firstBlock; row < firstBlock + blockCount; row++) {
        const slot = this.#rows[row] ?? 0
        used += 1 - (isUsed[slot] ?? 0)
        isUsed[slot] = 1
      }
    }
    if (used === this.#slots) return undefined
    const ids = new Uint8Array(used * CHUNK_ID_BYTES)
    let at = 0
    for (let slot = 0; slot < this.#slots; slot++) {
      if (isUsed[slot] === 0) continue
      ids.set(this.#ids.subarray(slot * CHUNK_ID_BYTES, (slot + 1) * CHUNK_ID_BYTES), at)
      at += CHUNK_ID_BYTES
    }
    return ids
  }
}

function grown(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(2 * bytes.length)
  larger.set(bytes)
  return larger
}
