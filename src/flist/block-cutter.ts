import { blake2b128 } from '../format/blake2b.ts'
import type { PartsHash } from '../format/blake2b.ts'
import { BLOCK_BYTES } from '../format/chunk.ts'
import type { BlockRange, BlockTable } from './block-table.ts'
import type { SlabFiller } from './slab-filler.ts'

const ZEROS = new Uint8Array(BLOCK_BYTES)

/** Cuts files into blocks: copies them into slabs, and hashes the parts while they are in the processor's cache. */
export class BlockCutter {
  readonly #slabs: SlabFiller
  readonly #table: BlockTable
  readonly #hash: PartsHash
  #firstBlock = 0
  /** Of the file, from the start of the current block on. */
  #leftBytes = 0
  #address: number | undefined
  #blockBytes = 0
  #filledBytes = 0
  /** Nothing but zeros so far, so the hash has not begun. */
  #isZero = true
  /** Of the current block: what was read, not a hole. */
  #readBytes = 0
  #zeroBytes = 0
  /** Where a whole block of zeros stands: disk images are full of them. */
  #zeroSlot: number | undefined

  constructor(slabs: SlabFiller, table: BlockTable, hash: PartsHash) {
    this.#slabs = slabs
    this.#table = table
    this.#hash = hash
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
      const room = this.#blockBytes - this.#filledBytes
      const part = bytes.length - taken <= room && taken === 0 ? bytes : bytes.subarray(taken, taken + room)
      this.#add(part, at)
      this.#readBytes += part.length
      taken += part.length
      this.#closeIfWhole()
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
      this.#add(ZEROS.subarray(0, length), at)
      taken += length
      this.#closeIfWhole()
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
      this.#isZero = true
    }
    return this.#address === undefined ? undefined : this.#address + this.#filledBytes
  }

  #add(part: Uint8Array, at: number): void {
    if (this.#isZero && !isZeros(part)) {
      this.#isZero = false
      this.#hash.begin()
      if (this.#filledBytes > 0) this.#hash.add(ZEROS.subarray(0, this.#filledBytes))
    }
    if (!this.#isZero) this.#hash.add(part)
    this.#slabs.bytes.set(part, at)
    this.#filledBytes += part.length
  }

  #closeIfWhole(): void {
    if (this.#filledBytes < this.#blockBytes) return
    if (this.#isZero) this.#zeroBytes += this.#readBytes
    this.#table.addRow(this.#isZero ? this.#addZeros() : this.#slabs.add(this.#blockBytes, this.#hash.end()))
    this.#leftBytes -= this.#blockBytes
    this.#address = undefined
  }

  /** Answers the slot of a block of zeros; whole ones have one together. */
  #addZeros(): number {
    const length = this.#blockBytes
    if (length < BLOCK_BYTES) return this.#slabs.add(length, blake2b128(ZEROS.subarray(0, length)))
    this.#zeroSlot ??= this.#slabs.add(length, blake2b128(ZEROS))
    return this.#zeroSlot
  }

  #skipZeroBlock(lengthBytes: number): boolean {
    if (this.#zeroSlot === undefined || this.#address !== undefined) return false
    if (lengthBytes < BLOCK_BYTES || this.#leftBytes < BLOCK_BYTES) return false
    this.#table.addRow(this.#zeroSlot)
    this.#leftBytes -= BLOCK_BYTES
    return true
  }
}

function isZeros(bytes: Uint8Array): boolean {
  return bytes[0] === 0 && Buffer.compare(bytes, ZEROS.subarray(0, bytes.length)) === 0
}
