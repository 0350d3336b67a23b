import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import fc from 'fast-check'
import { blake2b128 } from '../../src/format/blake2b.ts'
import { createChunkCodec } from '../../src/format/chunk-codec.ts'
import { BLOCK_BYTES } from '../../src/format/chunk.ts'
import { createCodecMemory, SPARE_BYTES } from '../../src/format/codec-module.ts'
import {
  createSlabEncoder,
  readSlabBlocks,
  SLAB_RECORD_BYTES,
  SLAB_SCRATCH_BYTES,
  slabOutputBytes,
  writeSlabBlock,
} from '../../src/format/slab-encoder.ts'
import { block, noise } from '../doubles/noise.ts'
import { fuzzRuns } from '../doubles/golden.ts'

const codec = await createChunkCodec()
const INPUT_BYTES = 8 * BLOCK_BYTES
const MAX_BLOCKS = 64
const RECORDS_AT = (SLAB_SCRATCH_BYTES + 15) & ~15
const INPUT_AT = RECORDS_AT + MAX_BLOCKS * SLAB_RECORD_BYTES
const OUTPUT_AT = (INPUT_AT + INPUT_BYTES + SPARE_BYTES + 3) & ~3

function slabMemory(): WebAssembly.Memory {
  return createCodecMemory(OUTPUT_AT + slabOutputBytes(INPUT_BYTES, MAX_BLOCKS))
}

/** Lays blocks one after the other, at odd addresses too. */
function fill(memory: WebAssembly.Memory, blocks: readonly Uint8Array[]): void {
  const bytes = new Uint8Array(memory.buffer)
  let address = INPUT_AT
  blocks.forEach((plain, index) => {
    bytes.set(plain, address)
    const recordAt = RECORDS_AT + index * SLAB_RECORD_BYTES
    writeSlabBlock(bytes, recordAt, { address, length: plain.length, key: blake2b128(plain) })
    address += plain.length
  })
}

function check(memory: WebAssembly.Memory, blocks: readonly Uint8Array[], written: number): void {
  const bytes = new Uint8Array(memory.buffer)
  let next = OUTPUT_AT
  readSlabBlocks(bytes, RECORDS_AT, blocks.length).forEach((actual, index) => {
    const plain = blocks[index] ?? new Uint8Array()
    const expected = codec.encode(plain)
    assert.equal(actual.address, next)
    const stored = bytes.slice(actual.address, actual.address + actual.length)
    assert.ok(Buffer.from(expected.stored).equals(stored), `block ${index} of ${plain.length} bytes differs`)
    assert.deepEqual(Buffer.from(actual.id), Buffer.from(expected.id))
    assert.deepEqual(Buffer.from(actual.key), Buffer.from(expected.key))
    assert.deepEqual(Buffer.from(actual.sha256), createHash('sha256').update(stored).digest())
    next += actual.length
  })
  assert.equal(written, next - OUTPUT_AT)
}

describe('slab encoder', () => {
  it('makes the chunks of the codec, whatever lies together in a slab', async () => {
    const memory = slabMemory()
    const encoder = await createSlabEncoder(memory, 0)
    const blocks = fc.array(fc.nat(2000).map(block), { maxLength: 24 })
    fc.assert(
      fc.property(blocks, (slab) => {
        fill(memory, slab)
        check(memory, slab, encoder.encode(RECORDS_AT, slab.length, OUTPUT_AT))
      }),
      { numRuns: fuzzRuns(40) },
    )
  })

  it('takes blocks of full size, of every number of lanes, compressible or not', async () => {
    const memory = slabMemory()
    const encoder = await createSlabEncoder(memory, 0)
    for (let count = 1; count <= 8; count++) {
      const slab = Array.from({ length: count }, (_, seed) =>
        seed % 3 === 2 ? new Uint8Array(BLOCK_BYTES) : noise(seed, BLOCK_BYTES - seed * count),
      )
      fill(memory, slab)
      check(memory, slab, encoder.encode(RECORDS_AT, count, OUTPUT_AT))
    }
  })

  it('takes the smallest blocks, where the rounds differ', async () => {
    const memory = slabMemory()
    const encoder = await createSlabEncoder(memory, 0)
    for (let length = 0; length < 300; length += 3) {
      const slab = [0, 1, 2, 3, 4, 5].map((seed) => noise(seed, length + seed))
      fill(memory, slab)
      check(memory, slab, encoder.encode(RECORDS_AT, slab.length, OUTPUT_AT))
    }
  })

  it('stays inside the memory it was given', async () => {
    const memory = slabMemory()
    const encoder = await createSlabEncoder(memory, 0)
    const bytes = new Uint8Array(memory.buffer)
    const slab = [noise(1, 1000), noise(2, 999), noise(3, 1001), noise(4, 1000)]
    const end = OUTPUT_AT + slabOutputBytes(4000, 4)
    bytes.fill(0xa5, end)
    fill(memory, slab)
    encoder.encode(RECORDS_AT, slab.length, OUTPUT_AT)
    assert.ok(bytes.subarray(end).every((byte) => byte === 0xa5))
  })

  it('refuses what is no block', async () => {
    const memory = slabMemory()
    const encoder = await createSlabEncoder(memory, 0)
    fill(memory, [new Uint8Array(BLOCK_BYTES + 1)])
    assert.throws(() => encoder.encode(RECORDS_AT, 1, OUTPUT_AT), RangeError)
  })

  it('works in a worker over the memory of another thread', async () => {
    const memory = slabMemory()
    const slab = [1, 2, 3, 4, 5].map(block)
    fill(memory, slab)
    const module = new URL('../../src/format/slab-encoder.js', import.meta.url).href
    const source = `
      import { parentPort, workerData } from 'node:worker_threads'
      import { createSlabEncoder } from ${JSON.stringify(module)}
      const { memory, recordsAt, count, outputAt } = workerData
      parentPort.postMessage((await createSlabEncoder(memory, 0)).encode(recordsAt, count, outputAt))
    `
    const url = new URL(`data:text/javascript,${encodeURIComponent(source)}`)
    const worker = new Worker(url, {
      workerData: { memory, recordsAt: RECORDS_AT, count: slab.length, outputAt: OUTPUT_AT },
    })
    const written = await new Promise<number>((resolve, reject) => {
      worker.once('message', resolve).once('error', reject)
    })
    await worker.terminate()
    check(memory, slab, written)
  })
})
