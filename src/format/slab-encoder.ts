import { hash } from 'node:crypto'
import { blake2b128 } from './blake2b.ts'
import { BLOCK_BYTES, CHUNK_ID_BYTES } from './chunk.ts'
import { instantiateCodec, maxStoredBytes, SPARE_BYTES, TABLE_BYTES } from './codec-module.ts'
import type { CodecFunctions } from './codec-module.ts'

/**
 * Encodes many blocks that lie in a shared memory, for the encode worker of an upload: no block crosses a message.
 *
 * The memory (`createCodecMemory`) holds, at places its owner chooses and keeps apart:
 *   - plain bytes, at any addresses, with SPARE_BYTES behind the last;
 *   - an array of records, 4-aligned, SLAB_RECORD_BYTES each: one a block (`writeSlabBlock`);
 *   - the output, 4-aligned, of `slabOutputBytes` at least;
 *   - scratch for each encoder, 16-aligned, SLAB_SCRATCH_BYTES.
 * A slab is: somebody fills plain bytes and records, posts (records, count, output); the worker calls `encode`; the
 * other side reads the results from the records (`readSlabBlocks`) and the stored bytes from the output. The caller's
 * messages order the accesses. The chunks are those of `ChunkCodec.encode`, faster: XXTEA runs over four blocks at
 * once (1,450 against 460 MB/s), so a slab should hold at least four of the large ones.
 */
export interface SlabEncoder {
  /**
   * Encodes `count` blocks; stored bytes follow each other in the order of the records. Answers the bytes written.
   * @throws {RangeError} for a block of over BLOCK_BYTES.
   */
  encode(recordsAt: number, count: number, outputAt: number): number
}

/** A record: u32 plain address, u32 plain length, u32 stored address, u32 stored length, key, id, SHA-256. */
export const SLAB_RECORD_BYTES = 80
const STORED_AT = 8
const STORED_LENGTH = 12
const KEY = 16
const ID = 32
const SHA256 = 48

// Scratch: snappy's table, the job of xxteaEncrypt4, its rows.
const JOB_BYTES = 256
const JOB_KEYS = 32
export const SLAB_SCRATCH_BYTES = TABLE_BYTES + JOB_BYTES + 16 + 4 * maxStoredBytes(BLOCK_BYTES)

/** Below this many words the rounds are more than six, and a block is scalar work. */
const MIN_LANE_WORDS = 53
/** Four lanes take as long as 1.3 blocks of the longest lane's size one after the other (measured: 461, 1,455 MB/s). */
const LANES_COST = 1.3

/** The output that `blocks` blocks of `plainBytes` together need at most. */
export function slabOutputBytes(plainBytes: number, blocks: number): number {
  return maxStoredBytes(plainBytes) + blocks * maxStoredBytes(0) + SPARE_BYTES
}

export interface PlainBlock {
  readonly address: number
  readonly length: number
  /** BLAKE2b-128 of the plain bytes. */
  readonly key: Uint8Array
}

/** What `encode` says of a block. The digests are copies; the stored bytes are in the memory. */
export interface StoredBlock {
  readonly address: number
  readonly length: number
  readonly key: Uint8Array
  readonly id: Uint8Array
  readonly sha256: Uint8Array
}

export function writeSlabBlock(memory: Uint8Array, recordAt: number, block: PlainBlock): void {
  const record = viewOf(memory, recordAt)
  record.setUint32(0, block.address, true)
  record.setUint32(4, block.length, true)
  memory.set(block.key, recordAt + KEY)
}

/** Of `count` records: one copy, of which every digest is a view. */
export function readSlabBlocks(memory: Uint8Array, recordsAt: number, count: number): StoredBlock[] {
  const records = Buffer.from(memory.subarray(recordsAt, recordsAt + count * SLAB_RECORD_BYTES))
  return Array.from({ length: count }, (_, index) => readRecord(records, index * SLAB_RECORD_BYTES))
}

function readRecord(records: Buffer, at: number): StoredBlock {
  return {
    address: records.readUInt32LE(at + STORED_AT),
    length: records.readUInt32LE(at + STORED_LENGTH),
    key: records.subarray(at + KEY, at + KEY + CHUNK_ID_BYTES),
    id: records.subarray(at + ID, at + ID + CHUNK_ID_BYTES),
    sha256: records.subarray(at + SHA256, at + SLAB_RECORD_BYTES),
  }
}

function viewOf(memory: Uint8Array, recordAt: number): DataView {
  return new DataView(memory.buffer, memory.byteOffset + recordAt, SLAB_RECORD_BYTES)
}

/** An encoder of one thread; `scratchAt` is its own 16-aligned SLAB_SCRATCH_BYTES of `memory`. */
export async function createSlabEncoder(memory: WebAssembly.Memory, scratchAt: number): Promise<SlabEncoder> {
  return new WasmSlabEncoder(memory, scratchAt, await instantiateCodec(memory))
}

interface Sealed {
  readonly recordAt: number
  readonly address: number
  readonly words: number
}

class WasmSlabEncoder implements SlabEncoder {
  readonly #memory: WebAssembly.Memory
  readonly #functions: CodecFunctions
  readonly #tableAt: number
  readonly #jobAt: number
  readonly #rowsAt: number

  constructor(memory: WebAssembly.Memory, scratchAt: number, functions: CodecFunctions) {
    this.#memory = memory
    this.#functions = functions
    this.#tableAt = scratchAt
    this.#jobAt = scratchAt + TABLE_BYTES
    this.#rowsAt = this.#jobAt + JOB_BYTES
  }

  encode(recordsAt: number, count: number, outputAt: number): number {
    const bytes = new Uint8Array(this.#memory.buffer)
    const blocks: Sealed[] = []
    let address = outputAt
    for (let index = 0; index < count; index++) {
      const block = this.#seal(bytes, recordsAt + index * SLAB_RECORD_BYTES, address)
      blocks.push(block)
      address += 4 * block.words
    }
    this.#encryptAll(bytes, blocks)
    for (const block of blocks) digest(bytes, block)
    return address - outputAt
  }

  /** Compresses a block to `address` and pads it for encryption. */
  #seal(bytes: Uint8Array, recordAt: number, address: number): Sealed {
    const record = viewOf(bytes, recordAt)
    const length = record.getUint32(4, true)
    if (length > BLOCK_BYTES) throw new RangeError(`a block of ${length} bytes`)
    const { snappyCompress, xxteaPad } = this.#functions
    const words = xxteaPad(address, snappyCompress(record.getUint32(0, true), length, address, this.#tableAt))
    record.setUint32(STORED_AT, address, true)
    record.setUint32(STORED_LENGTH, 4 * words, true)
    return { recordAt, address, words }
  }

  /** From the longest down: four at a time where that pays, else one. */
  #encryptAll(bytes: Uint8Array, blocks: readonly Sealed[]): void {
    const sorted = [...blocks].sort((a, b) => b.words - a.words)
    for (let at = 0; at < sorted.length;) {
      const lanes = sorted.slice(at, at + 4).filter(({ words }) => words >= MIN_LANE_WORDS)
      const longest = lanes[0]?.words ?? 0
      const isWorthIt =
        lanes.length > 1 && lanes.reduce((sum, { words }) => sum + words, 0) > LANES_COST * longest
      const taken = isWorthIt ? lanes : sorted.slice(at, at + 1)
      if (isWorthIt) this.#encryptLanes(bytes, lanes)
      else
        for (const { address, words, recordAt } of taken) {
          this.#functions.xxteaEncrypt(address, words, recordAt + KEY)
        }
      at += taken.length
    }
  }

  /** A lane without a block of its own repeats the last one: it writes the same bytes to the same place. */
  #encryptLanes(bytes: Uint8Array, blocks: readonly Sealed[]): void {
    const job = new DataView(bytes.buffer, bytes.byteOffset + this.#jobAt, JOB_BYTES)
    for (let lane = 0; lane < 4; lane++) {
      const block = blocks[Math.min(lane, blocks.length - 1)]
      if (block === undefined) return
      job.setUint32(4 * lane, block.address, true)
      job.setUint32(16 + 4 * lane, block.words, true)
      const key = block.recordAt + KEY
      bytes.copyWithin(this.#jobAt + JOB_KEYS + CHUNK_ID_BYTES * lane, key, key + CHUNK_ID_BYTES)
    }
    this.#functions.xxteaEncrypt4(this.#jobAt, this.#rowsAt)
  }
}

function digest(bytes: Uint8Array, { recordAt, address, words }: Sealed): void {
  const stored = bytes.subarray(address, address + 4 * words)
  bytes.set(blake2b128(stored), recordAt + ID)
  bytes.set(hash('sha256', stored, 'buffer'), recordAt + SHA256) // a Hash each took a third longer, and their end the collector's time
}
