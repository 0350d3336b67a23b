import { CHUNK_ID_BYTES } from '../format/chunk.ts'
import { readSlabBlock, SLAB_RECORD_BYTES } from '../format/slab-encoder.ts'
import type { Chunk, ChunkStore, KnownContent } from '../store/chunk-store.ts'
import type { Lease } from '../store/flist-store.ts'
import { toLatin1 } from '../util/bytes.ts'
import type { IngestLane } from './ingest-lane.ts'
import { slabPlace } from './slab-memory.ts'

export interface SlabStoreParts {
  readonly lane: Pick<IngestLane, 'bytes' | 'encode'>
  readonly chunks: ChunkStore
  readonly known: KnownContent
  readonly lease: Lease
}

/** A block of this upload; equal ones are one. */
interface Block {
  readonly key: Uint8Array
  readonly text: string
  /** Missing until it is encoded. */
  id: Uint8Array | undefined
}

/** The main thread's part of a slab: known blocks are looked up, the others encoded and stored. */
export class SlabStore {
  readonly #parts: SlabStoreParts
  /** By key: blocks on their way into the store, which `known` cannot tell yet. */
  readonly #underWay = new Map<string, Block>()
  #encoding: Promise<void> = Promise.resolve()

  constructor(parts: SlabStoreParts) {
    this.#parts = parts
  }

  /** Puts the ids of a slab's blocks into the memory. The function that it answers makes them durable. */
  async identify(slab: number, count: number): Promise<() => Promise<void>> {
    const { idsAt, recordsAt, jobsAt } = slabPlace(slab)
    const { bytes } = this.#parts.lane
    const { blocks, fresh } = this.#sort(recordsAt, count)
    for (const [job, { index }] of fresh.entries()) {
      const from = recordsAt + index * SLAB_RECORD_BYTES
      bytes.copyWithin(jobsAt + job * SLAB_RECORD_BYTES, from, from + SLAB_RECORD_BYTES)
    }
    if (fresh.length > 0) this.#encoding = this.#parts.lane.encode({ slab, blocks: fresh.length })
    await this.#encoding // also for the ids of blocks that an earlier slab has brought

    const chunks = fresh.map(({ block }, job) => this.#chunk(block, jobsAt + job * SLAB_RECORD_BYTES))
    for (const [index, { id }] of blocks.entries()) {
      if (id === undefined) throw new Error('a block without an id')
      bytes.set(id, idsAt + index * CHUNK_ID_BYTES)
    }
    return () =>
      this.#store(
        chunks,
        fresh.map(({ block }) => block),
      )
  }

  /** Every block of a slab, and those that are to be encoded. */
  #sort(recordsAt: number, count: number) {
    const here = new Map<string, Block>()
    const asked: Array<{ block: Block; index: number }> = []
    const blocks: Block[] = []
    for (let index = 0; index < count; index++) {
      const { key } = readSlabBlock(this.#parts.lane.bytes, recordsAt + index * SLAB_RECORD_BYTES)
      const text = toLatin1(key)
      let block = this.#underWay.get(text) ?? here.get(text)
      if (block === undefined) {
        block = { key, text, id: undefined }
        here.set(text, block)
        asked.push({ block, index })
      }
      blocks.push(block)
    }
    this.#lookUp(asked.map(({ block }) => block))
    const fresh = asked.filter(({ block }) => block.id === undefined)
    for (const { block } of fresh) this.#underWay.set(block.text, block)
    return { blocks, fresh }
  }

  /** Asked and held in one turn of this thread: the collector cannot come in between. */
  #lookUp(blocks: readonly Block[]): void {
    const { known, lease } = this.#parts
    const ids = known.known(blocks.map(({ key }) => key))
    lease.holdChunks(ids.filter((id) => id !== undefined))
    for (const [index, block] of blocks.entries()) block.id = ids[index]
  }

  #chunk(block: Block, recordAt: number): Chunk {
    const { bytes } = this.#parts.lane
    const { id, address, length, sha256 } = readSlabBlock(bytes, recordAt)
    block.id = id
    return { id, bytes: bytes.subarray(address, address + length), sha256, plainKey: block.key }
  }

  async #store(chunks: readonly Chunk[], blocks: readonly Block[]): Promise<void> {
    if (chunks.length === 0) return
    const { lease, chunks: store } = this.#parts
    lease.holdChunks(chunks.map(({ id }) => id))
    await store.write(chunks)
    for (const { text } of blocks) this.#underWay.delete(text)
  }
}
