import { CHUNK_ID_BYTES } from '../format/chunk.ts'
import { readSlabBlocks, SLAB_RECORD_BYTES, type StoredBlock } from '../format/slab-encoder.ts'
import type { Chunk, ChunkStore, KnownContent } from '../store/chunk-store.ts'
import type { Lease } from '../store/flist-store.ts'
import type { IngestLane } from './ingest-lane.ts'
import { slabPlace } from './slab-memory.ts'

export interface SlabStoreParts {
  readonly lane: Pick<IngestLane, 'bytes' | 'outputs' | 'encode'>
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

/** A new block and what it became. */
interface Made {
  readonly block: Block
  readonly stored: StoredBlock
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

  /**
   * Puts the ids of a slab's blocks into the memory, and takes out what is to be stored: the slab is free again. The
   * function that it answers makes that durable.
   */
  async identify(slab: number, count: number): Promise<() => Promise<void>> {
    const { idsAt, recordsAt, jobsAt } = slabPlace(slab)
    const { bytes } = this.#parts.lane
    const { blocks, fresh } = this.#sort(idsAt, count)
    for (const [job, { index }] of fresh.entries()) {
      const from = recordsAt + index * SLAB_RECORD_BYTES
      bytes.copyWithin(jobsAt + job * SLAB_RECORD_BYTES, from, from + SLAB_RECORD_BYTES)
    }
    if (fresh.length > 0) this.#encoding = this.#parts.lane.encode({ slab, blocks: fresh.length })
    await this.#encoding // also for the ids of blocks that an earlier slab has brought

    const made = readSlabBlocks(bytes, jobsAt, fresh.length).map((stored, job) => madeOf(fresh[job], stored))
    for (const { block, stored } of made) block.id = stored.id
    for (const [index, { id }] of blocks.entries()) {
      if (id === undefined) throw new Error('a block without an id')
      bytes.set(id, idsAt + index * CHUNK_ID_BYTES)
    }
    return made.length === 0 ? async () => {} : await this.#takeOut(slab, made)
  }

  /** Every block of a slab, and those that are to be encoded. */
  #sort(keysAt: number, count: number) {
    // One copy, whose views cost less than an array for each key.
    const keys = Buffer.from(this.#parts.lane.bytes.subarray(keysAt, keysAt + count * CHUNK_ID_BYTES))
    const here = new Map<string, Block>()
    const asked: Array<{ block: Block; index: number }> = []
    const blocks: Block[] = []
    for (let index = 0; index < count; index++) {
      const at = index * CHUNK_ID_BYTES
      const text = keys.toString('latin1', at, at + CHUNK_ID_BYTES)
      let block = this.#underWay.get(text) ?? here.get(text)
      if (block === undefined) {
        block = { key: keys.subarray(at, at + CHUNK_ID_BYTES), text, id: undefined }
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

  /** Stored bytes out of the shared memory, which LevelDB does not take. */
  async #takeOut(slab: number, made: readonly Made[]): Promise<() => Promise<void>> {
    const { outputAt } = slabPlace(slab)
    const { bytes, outputs } = this.#parts.lane
    const output = await outputs.take()
    const last = made.at(-1)?.stored
    if (last !== undefined) output.set(bytes.subarray(outputAt, last.address + last.length))
    const chunks = made.map(({ block, stored: { id, sha256, address, length } }): Chunk => {
      const from = address - outputAt
      return { id, bytes: output.subarray(from, from + length), sha256, plainKey: block.key }
    })
    return async () => {
      try {
        await this.#store(chunks)
        for (const { block } of made) this.#underWay.delete(block.text)
      } finally {
        outputs.give(output)
      }
    }
  }

  async #store(chunks: readonly Chunk[]): Promise<void> {
    const { lease, chunks: store } = this.#parts
    lease.holdChunks(chunks.map(({ id }) => id))
    await store.write(chunks)
  }
}

function madeOf(fresh: { readonly block: Block } | undefined, stored: StoredBlock): Made {
  if (fresh === undefined) throw new Error('more blocks came back than were sent')
  return { block: fresh.block, stored }
}
