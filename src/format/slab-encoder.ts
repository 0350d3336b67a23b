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
 * once, so a slab should hold at least four of the large ones.
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

/** Blocks that are encrypted together: a job is u32 address, u32 words, u32 address of the key. */
const JOBS = 1024
const JOB_WORDS = 3
const LANES_BYTES = 192

/** Snappy's table, the lanes and jobs of `xxteaEncryptAll`. */
export const SLAB_SCRATCH_BYTES = TABLE_BYTES + LANES_BYTES + JOBS * JOB_WORDS * 4

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

class WasmSlabEncoder implements SlabEncoder {
  readonly #bytes: Uint8Array
  readonly #words: Uint32Array
  readonly #functions: CodecFunctions
  readonly #tableAt: number
  readonly #lanesAt: number
  readonly #jobsAt: number
  /** Of the jobs: words, and which one it is in the low bits; sorts by length. */
  readonly #order = new Uint32Array(JOBS)

  constructor(memory: WebAssembly.Memory, scratchAt: number, functions: CodecFunctions) {
    this.#bytes = new Uint8Array(memory.buffer)
    this.#words = new Uint32Array(memory.buffer)
    this.#functions = functions
    this.#tableAt = scratchAt
    this.#lanesAt = scratchAt + TABLE_BYTES
    this.#jobsAt = this.#lanesAt + LANES_BYTES
  }

  encode(recordsAt: number, count: number, outputAt: number): number {
    let address = outputAt
    for (let index = 0; index < count; index++)
      address += this.#seal(recordsAt + index * SLAB_RECORD_BYTES, address)
    for (let from = 0; from < count; from += JOBS)
      this.#encrypt(recordsAt + from * SLAB_RECORD_BYTES, Math.min(count - from, JOBS))
    for (let index = 0; index < count; index++) this.#digest(recordsAt + index * SLAB_RECORD_BYTES)
    return address - outputAt
  }

  /** Compresses a block to `address` and pads it for encryption. Answers its bytes. */
  #seal(recordAt: number, address: number): number {
    const words = this.#words
    const record = recordAt / 4
    const length = words[record + 1] ?? 0
    if (length > BLOCK_BYTES) throw new RangeError(`a block of ${length} bytes`)
    const { snappyCompress, xxteaPad } = this.#functions
    const packed = snappyCompress(words[record] ?? 0, length, address, this.#tableAt)
    const bytes = 4 * xxteaPad(address, packed)
    words[record + STORED_AT / 4] = address
    words[record + STORED_LENGTH / 4] = bytes
    return bytes
  }

  /** The longest first: what the lanes have left in the end is short then. */
  #encrypt(recordsAt: number, count: number): void {
    const words = this.#words
    const order = this.#order.subarray(0, count)
    for (let index = 0; index < count; index++) {
      const length = words[(recordsAt + index * SLAB_RECORD_BYTES + STORED_LENGTH) / 4] ?? 0
      order[index] = (length / 4) * JOBS + index
    }
    order.sort()
    let job = this.#jobsAt / 4
    for (let at = count - 1; at >= 0; at--) {
      const recordAt = recordsAt + ((order[at] ?? 0) % JOBS) * SLAB_RECORD_BYTES
      words[job++] = words[(recordAt + STORED_AT) / 4] ?? 0
      words[job++] = (words[(recordAt + STORED_LENGTH) / 4] ?? 0) / 4
      words[job++] = recordAt + KEY
    }
    this.#functions.xxteaEncryptAll(this.#jobsAt, count, this.#lanesAt)
  }

  #digest(recordAt: number): void {
    const address = this.#words[(recordAt + STORED_AT) / 4] ?? 0
    const stored = this.#bytes.subarray(address, address + (this.#words[(recordAt + STORED_LENGTH) / 4] ?? 0))
    this.#bytes.set(blake2b128(stored), recordAt + ID)
    this.#bytes.set(hash('sha256', stored, 'buffer'), recordAt + SHA256) // a Hash each took a third longer, and their end the collector's time
  }
}
