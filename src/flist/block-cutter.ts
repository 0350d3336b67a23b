import { blake2b128 } from '../format/blake2b.ts'
import { BLOCK_BYTES } from '../format/chunk.ts'
import type { BlockRange, BlockTable } from './block-table.ts'
import type { SlabFiller } from './slab-filler.ts'

const ZEROS = new Uint8Array(BLOCK_BYTES)

/** Cuts files into blocks: copies them into slabs and hashes each when it is whole. */
export class BlockCutter {
  readonly #slabs: SlabFiller
  readonly #table: BlockTable
  #firstBlock = 0
  /** Of the file, from the start of the current block on. */
  #leftBytes = 0
  #address: number | undefined
  #blockBytes = 0
  #filledBytes = 0
  /** Of the current block: what was read, not a hole. */
  #readBytes = 0
  #zeroBytes = 0
  /** Where a whole block of zeros stands: disk images are full of them. */
  #zeroSlot: number | undefined

  constructor(slabs: SlabFiller, table: BlockTable) {
    this.#slabs = slabs
    this.#table = table
  }

  /** Bytes read so far that were blocks of zeros. */
  get zeroBytes(): number {
    return this.#zeroBytes
  }

  begin(sizeBytes: number): void {
    this.#firstBlock = this.#table.rowCount
    this.#leftBytes = sizeBytes
    this.#address = undefined
  }

  /** Answers how many of the bytes were taken; fewer than given: wait for room. */
  take(bytes: Uint8Array): number {
    let taken = 0
    while (taken < bytes.length) {
      const at = this.#place()
      if (at === undefined) break
      const length = Math.min(bytes.length - taken, this.#blockBytes - this.#filledBytes)
      this.#slabs.bytes.set(bytes.subarray(taken, taken + length), at)
      taken += length
      this.#readBytes += length
      this.#advance(length)
    }
    return taken
  }

  /** The same for zeros that nobody sent. */
  takeHole(lengthBytes: number): number {
    let taken = 0
    while (taken < lengthBytes) {
      if (this.#skipZeroBlock(lengthBytes - taken)) {
        taken += BLOCK_BYTES
        continue
      }
      const at = this.#place()
      if (at === undefined) break
      const length = Math.min(lengthBytes - taken, this.#blockBytes - this.#filledBytes)
      this.#slabs.bytes.fill(0, at, at + length)
      taken += length
      this.#advance(length)
    }
    return taken
  }

  /** Resolves when there is room for a block. */
  room(): Promise<void> {
    return this.#slabs.room()
  }

  finish(): BlockRange {
    return { firstBlock: this.#firstBlock, blockCount: this.#table.rowCount - this.#firstBlock }
  }

  /** Where the next byte goes. */
  #place(): number | undefined {
    if (this.#address === undefined) {
      const blockBytes = Math.min(this.#leftBytes, BLOCK_BYTES)
      this.#address = this.#slabs.open(blockBytes)
      this.#blockBytes = blockBytes
      this.#filledBytes = 0
      this.#readBytes = 0
    }
    return this.#address === undefined ? undefined : this.#address + this.#filledBytes
  }

  #advance(length: number): void {
    this.#filledBytes += length
    if (this.#filledBytes === this.#blockBytes) this.#close()
  }

  #close(): void {
    const from = this.#address ?? 0
    const plain = this.#slabs.bytes.subarray(from, from + this.#blockBytes)
    const isZero = plain[0] === 0 && Buffer.compare(plain, ZEROS.subarray(0, plain.length)) === 0
    if (isZero) this.#zeroBytes += this.#readBytes
    const isZeroBlock = isZero && plain.length === BLOCK_BYTES
    let slot = isZeroBlock ? this.#zeroSlot : undefined
    slot ??= this.#slabs.add(plain.length, blake2b128(plain))
    if (isZeroBlock) this.#zeroSlot = slot
    this.#endBlock(slot, plain.length)
  }

  #skipZeroBlock(lengthBytes: number): boolean {
    if (this.#zeroSlot === undefined || this.#address !== undefined) return false
    if (lengthBytes < BLOCK_BYTES || this.#leftBytes < BLOCK_BYTES) return false
    this.#endBlock(this.#zeroSlot, BLOCK_BYTES)
    return true
  }

  #endBlock(slot: number, lengthBytes: number): void {
    this.#table.addRow(slot)
    this.#leftBytes -= lengthBytes
    this.#address = undefined
  }
}
