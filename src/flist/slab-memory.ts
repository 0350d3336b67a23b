import { CHUNK_ID_BYTES } from '../format/chunk.ts'
import { createCodecMemory, SPARE_BYTES } from '../format/codec-module.ts'
import { SLAB_RECORD_BYTES, SLAB_SCRATCH_BYTES, slabOutputBytes } from '../format/slab-encoder.ts'
import { MIB } from '../util/units.ts'

/**
 * The memory that one upload's threads share: a few slabs, each with room for plain blocks, their records and ids,
 * and what becomes of them. A slab belongs to one thread at a time; messages hand it over:
 * ingest worker (fills) → main (looks up) → encode worker → main (takes out) → ingest worker.
 */
export const SLABS = 4
/** Four blocks of full size: so many XXTEA takes at a time. */
export const SLAB_PLAIN_BYTES = 2 * MIB
export const SLAB_BLOCKS = 1024

export interface SlabPlace {
  /** Plain bytes, one block after the other. */
  readonly plainAt: number
  /** One record a block, in order. */
  readonly recordsAt: number
  /** Copies of the records of blocks that are to be encoded. */
  readonly jobsAt: number
  /** For each block 16 bytes: its key, and once that is known, the id of its chunk. */
  readonly idsAt: number
  /** Encoded blocks. */
  readonly outputAt: number
}

/** Address 0 stays free. */
export const SCRATCH_AT = 64
const FIRST_AT = align(SCRATCH_AT + SLAB_SCRATCH_BYTES)
const RECORDS_BYTES = align(SLAB_BLOCKS * SLAB_RECORD_BYTES)
const IDS_BYTES = align(SLAB_BLOCKS * CHUNK_ID_BYTES)
const PLAIN_BYTES = align(SLAB_PLAIN_BYTES + SPARE_BYTES)
export const SLAB_OUTPUT_BYTES = align(slabOutputBytes(SLAB_PLAIN_BYTES, SLAB_BLOCKS))
const SLAB_BYTES = 2 * RECORDS_BYTES + IDS_BYTES + PLAIN_BYTES + SLAB_OUTPUT_BYTES

export function createSlabMemory(): WebAssembly.Memory {
  return createCodecMemory(FIRST_AT + SLABS * SLAB_BYTES)
}

export function slabPlace(slab: number): SlabPlace {
  const recordsAt = FIRST_AT + slab * SLAB_BYTES
  const jobsAt = recordsAt + RECORDS_BYTES
  const idsAt = jobsAt + RECORDS_BYTES
  const plainAt = idsAt + IDS_BYTES
  return { recordsAt, jobsAt, idsAt, plainAt, outputAt: plainAt + PLAIN_BYTES }
}

function align(bytes: number): number {
  return (bytes + 63) & ~63
}
