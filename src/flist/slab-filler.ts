import { CHUNK_ID_BYTES } from '../format/chunk.ts'
import { SLAB_RECORD_BYTES, writeSlabBlock } from '../format/slab-encoder.ts'
import type { BlockTable } from './block-table.ts'
import { SLAB_BLOCKS, SLAB_PLAIN_BYTES, slabPlace, SLABS } from './slab-memory.ts'

/**
 * The ingest worker's end of the slabs: plain blocks go into the current one, full ones are sent on, ids come back.
 */
export class SlabFiller {
  readonly bytes: Uint8Array
  readonly #table: BlockTable
  readonly #send: (slab: number, blocks: number) => void
  readonly #free: number[] = Array.from({ length: SLABS }, (_, slab) => slab)
  /** Slots of the blocks in each slab, in the order of its records. */
  readonly #slots: number[][] = Array.from({ length: SLABS }, () => [])
  #current: number | undefined
  #plainBytes = 0
  #unidentified = 0
  #wake = () => {}

  constructor(memory: WebAssembly.Memory, table: BlockTable, send: (slab: number, blocks: number) => void) {
    this.bytes = new Uint8Array(memory.buffer)
    this.#table = table
    this.#send = send
  }

  /** Where a block of that length may be put, or `undefined` until there is `room`. */
  open(lengthBytes: number): number | undefined {
    if (this.#current !== undefined && !this.#fits(lengthBytes)) this.flush()
    this.#current ??= this.#free.pop()
    return this.#current === undefined ? undefined : slabPlace(this.#current).plainAt + this.#plainBytes
  }

  /** Resolves when a slab has come back. */
  async room(): Promise<void> {
    while (this.#current === undefined && this.#free.length === 0) await this.#change()
  }

  /** The block at the place that `open` told is whole. */
  add(lengthBytes: number, key: Uint8Array): number {
    const slab = this.#current
    if (slab === undefined) throw new Error('no slab is open')
    const { plainAt, recordsAt, idsAt } = slabPlace(slab)
    const slots = this.#slots[slab] ?? []
    const recordAt = recordsAt + slots.length * SLAB_RECORD_BYTES
    writeSlabBlock(this.bytes, recordAt, { address: plainAt + this.#plainBytes, length: lengthBytes, key })
    this.bytes.set(key, idsAt + slots.length * CHUNK_ID_BYTES)
    const slot = this.#table.addSlot(key)
    slots.push(slot)
    this.#plainBytes += lengthBytes
    return slot
  }

  /** Sends the current slab on, however little is in it. */
  flush(): void {
    const slab = this.#current
    const blocks = slab === undefined ? 0 : (this.#slots[slab]?.length ?? 0)
    if (slab === undefined || blocks === 0) return
    this.#current = undefined
    this.#plainBytes = 0
    this.#unidentified++
    this.#send(slab, blocks)
  }

  /** The ids of a slab's blocks stand in the memory, and it is ours again. */
  identified(slab: number): void {
    const { idsAt } = slabPlace(slab)
    const slots = this.#slots[slab] ?? []
    for (const [index, slot] of slots.entries()) {
      const at = idsAt + index * CHUNK_ID_BYTES
      this.#table.setId(slot, this.bytes.subarray(at, at + CHUNK_ID_BYTES))
    }
    slots.length = 0
    this.#unidentified--
    this.#free.push(slab)
    this.#wake()
  }

  /** Resolves when every block that was sent on has its id. */
  async allIdentified(): Promise<void> {
    while (this.#unidentified > 0) await this.#change()
  }

  #fits(lengthBytes: number): boolean {
    const blocks = this.#slots[this.#current ?? 0]?.length ?? 0
    return blocks < SLAB_BLOCKS && this.#plainBytes + lengthBytes <= SLAB_PLAIN_BYTES
  }

  #change(): Promise<void> {
    return new Promise((resolve) => {
      this.#wake = resolve
    })
  }
}
