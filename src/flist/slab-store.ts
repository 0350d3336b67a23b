import { CHUNK_ID_BYTES } from '../format/chunk.ts'
import { readSlabBlocks, SLAB_RECORD_BYTES, type StoredBlock } from '../format/slab-encoder.ts'
import type { Chunk, ChunkStore, KnownContent } from '../store/chunk-store.ts'
import type { Lease } from '../store/flist-store.ts'
import { EMPTY } from '../util/bytes.ts'
import type { IngestLane } from './ingest-lane.ts'
import { SLAB_OUTPUT_BYTES, slabPlace } from './slab-memory.ts'

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

interface Output {
  readonly bytes: Uint8Array
  /** Where these bytes stand in the shared memory. */
  readonly outputAt: number
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
    const { blocks, fresh } = this.#sort(idsAt, count)
    for (const [job, { index }] of fresh.entries()) {
      const from = recordsAt + index * SLAB_RECORD_BYTES
      bytes.copyWithin(jobsAt + job * SLAB_RECORD_BYTES, from, from + SLAB_RECORD_BYTES)
    }
    if (fresh.length > 0) this.#encoding = this.#parts.lane.encode({ slab, blocks: fresh.length })
    await this.#encoding // also for the ids of blocks that an earlier slab has brought

    const stored = readSlabBlocks(bytes, jobsAt, fresh.length)
    const output = this.#copyOutput(slab, stored.at(-1))
    const chunks = stored.map((block, job) => chunkOf(block, fresh[job]?.block, output))
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

  /** Stored bytes out of the shared memory, which LevelDB does not take, into memory that is used again and again. */
  #copyOutput(slab: number, last: StoredBlock | undefined): Output {
    const { outputAt } = slabPlace(slab)
    const { bytes, outputs } = this.#parts.lane
    if (last === undefined) return { bytes: EMPTY, outputAt }
    const copy = (outputs[slab] ??= new Uint8Array(SLAB_OUTPUT_BYTES))
    copy.set(bytes.subarray(outputAt, last.address + last.length))
    return { bytes: copy, outputAt }
  }

  async #store(chunks: readonly Chunk[], blocks: readonly Block[]): Promise<void> {
    if (chunks.length === 0) return
    const { lease, chunks: store } = this.#parts
    lease.holdChunks(chunks.map(({ id }) => id))
    await store.write(chunks)
    for (const { text } of blocks) this.#underWay.delete(text)
  }
}

/** What became of a block, which learns its id. */
function chunkOf(stored: StoredBlock, block: Block | undefined, { bytes, outputAt }: Output): Chunk {
  if (block === undefined) throw new Error('more blocks came back than were sent')
  block.id = stored.id
  const from = stored.address - outputAt
  const { id, sha256 } = stored
  return { id, bytes: bytes.subarray(from, from + stored.length), sha256, plainKey: block.key }
}
