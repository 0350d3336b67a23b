import assert from 'node:assert/strict'
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import {
  CorruptError,
  DiskFullError,
  InvalidInputError,
  LimitError,
  MalformedError,
} from '../../src/errors.ts'
import { blake2b128 } from '../../src/format/blake2b.ts'
import { decodeChunkRow, encodeChunkRow } from '../../src/store/chunk-row.ts'
import { receiveChunk } from '../../src/store/receive.ts'
import { SPACES } from '../../src/store/spaces.ts'
import { toHex, u64be } from '../../src/util/bytes.ts'
import { chunkOf } from '../suites/chunk-store.ts'
import { noise } from '../doubles/noise.ts'
import { openStore } from './open-store.ts'

describe('LevelChunkStore', () => {
  it('has everything after it was closed and opened, totals too', async (t) => {
    const store = await openStore(t)
    await store.chunks.write([chunkOf(1), chunkOf(2, 300_000)])
    const { chunks } = await store.reopen()
    assert.deepEqual(chunks.totals(), { chunks: 2, bytes: 300_100 })
    assert.deepEqual(Buffer.from(chunks.read(chunkOf(2).id) ?? []), Buffer.from([]))
    assert.deepEqual(Buffer.from(chunks.read(chunkOf(2, 300_000).id) ?? []), chunkOf(2, 300_000).bytes)
  })

  it('writes a chunk once that two callers bring at the same time', async (t) => {
    const { chunks, payloads } = await openStore(t)
    await Promise.all([
      chunks.write([chunkOf(1)]),
      chunks.write([chunkOf(1)]),
      chunks.write([chunkOf(1), chunkOf(2)]),
    ])
    const numbers: number[] = []
    for await (const number of payloads.numbers()) numbers.push(number)
    assert.deepEqual(numbers, [0, 1])
  })

  it('notices other bytes than were stored, and a payload that is gone', async (t) => {
    const { chunks, levels } = await openStore(t)
    await chunks.write([chunkOf(1), chunkOf(2), chunkOf(3)])
    const damaged = Uint8Array.from(chunkOf(1).bytes)
    damaged[50] = (damaged[50] ?? 0) ^ 1
    await levels.payloads.put(u64be(0), damaged)
    await levels.payloads.put(u64be(1), damaged.subarray(1))
    await levels.payloads.del(u64be(2))
    for (const number of [1, 2, 3]) assert.throws(() => chunks.read(chunkOf(number).id), CorruptError)
  })

  it('drops payloads that a crash left without a row, and finishes deletions', async (t) => {
    const store = await openStore(t)
    await store.chunks.write([chunkOf(1), chunkOf(2)])
    await store.levels.payloads.put(u64be(2), Buffer.from('a payload whose row never came'))
    await store.rows.write([{ type: 'put', space: SPACES.freed, key: u64be(0), value: new Uint8Array() }])
    const { payloads, rows, chunks } = await store.reopen()
    const numbers: number[] = []
    for await (const number of payloads.numbers()) numbers.push(number)
    assert.deepEqual(numbers, [1])
    for await (const _ of rows.rows(SPACES.freed)) assert.fail('a deletion was left')
    await chunks.write([chunkOf(3)])
    assert.deepEqual([...(chunks.read(chunkOf(3).id) ?? [])], [...chunkOf(3).bytes])
  })

  it('a batch over several slices of payloads is stored whole', async (t) => {
    const { chunks } = await openStore(t)
    const many = Array.from({ length: 60 }, (_, number) => chunkOf(number, 500_000))
    await chunks.write(many)
    for (const { id, bytes } of many) assert.deepEqual(Buffer.from(chunks.read(id) ?? []), bytes)
    assert.deepEqual(chunks.totals(), { chunks: 60, bytes: 30_000_000 })
  })

  it('gives the space of what was deleted back to the disk', async (t) => {
    const store = await openStore(t)
    const chunkAt = (number: number) => ({
      id: blake2b128(noise(number, 500_000)),
      bytes: noise(number, 500_000),
    })
    const chunks = Array.from({ length: 200 }, (_, number) => chunkAt(number))
    await store.chunks.write(chunks)
    await store.chunks.delete(chunks.slice(10).map(({ id }) => id))
    await store.chunks.settled()
    await store.close()
    const sizes = (await readdir(join(store.folder, 'chunks'))).map(
      async (name) => (await stat(join(store.folder, 'chunks', name))).size,
    )
    const size = (await Promise.all(sizes)).reduce((sum, one) => sum + one, 0)
    assert.ok(size < 30_000_000, `${size} bytes for 5,000,000`)
    const { chunks: again } = await store.reopen()
    for (const { id, bytes } of chunks.slice(0, 10))
      assert.deepEqual(Buffer.from(again.read(id) ?? []), Buffer.from(bytes))
  })

  it('stores nothing below the low-water mark', async (t) => {
    const { chunks } = await openStore(t, { minFreeBytes: 2 ** 60 })
    await assert.rejects(chunks.write([chunkOf(1)]), DiskFullError)
    assert.equal(chunks.info(chunkOf(1).id), undefined)
  })

  it('a failed write leaves nothing, and the next one goes through', async (t) => {
    const { chunks, levels } = await openStore(t)
    const batch = levels.payloads.batch.bind(levels.payloads)
    const failing = Object.assign(new Error('IO error: No space left on device'), { code: 'LEVEL_IO_ERROR' })
    Object.defineProperty(levels.payloads, 'batch', {
      configurable: true,
      value: () => {
        throw failing
      },
    })
    await assert.rejects(chunks.write([chunkOf(1)]), DiskFullError)
    assert.equal(chunks.info(chunkOf(1).id), undefined)
    Object.defineProperty(levels.payloads, 'batch', { configurable: true, value: batch })
    await chunks.write([chunkOf(1)])
    assert.deepEqual(chunks.totals(), { chunks: 1, bytes: 100 })
  })
})

describe('chunks of strangers', () => {
  it('are kept only under their hash', async (t) => {
    const { chunks } = await openStore(t)
    for (const chunk of [chunkOf(1, 10, 16), chunkOf(1, 10, 32)]) {
      await assert.rejects(receiveChunk(chunks, chunk.id, Buffer.from('other')), InvalidInputError)
      assert.equal(chunks.info(chunk.id), undefined)
      assert.equal(await receiveChunk(chunks, chunk.id, chunk.bytes), true)
      assert.equal(await receiveChunk(chunks, chunk.id, chunk.bytes), false)
    }
    await assert.rejects(receiveChunk(chunks, new Uint8Array(20), Buffer.from('x')), InvalidInputError)
    await assert.rejects(
      receiveChunk(chunks, new Uint8Array(16), new Uint8Array(1024 * 1024 + 1)),
      LimitError,
    )
  })
})

describe('the row of a chunk', () => {
  const row = {
    number: 258,
    lengthBytes: 77,
    crc32: 0xdeadbeef,
    sha256: Buffer.alloc(32, 7),
    usedAtS: 1_700_000_000,
    plainKey: undefined,
  }

  it('has these bytes, for ever', () => {
    const golden = `01${'0000000000000102'}${'0000004d'}${'deadbeef'}${'6553f100'}${'07'.repeat(32)}`
    assert.equal(toHex(encodeChunkRow(row)), golden)
    assert.equal(toHex(encodeChunkRow({ ...row, plainKey: Buffer.alloc(16, 9) })), golden + '09'.repeat(16))
    assert.equal(decodeChunkRow(Buffer.from(golden, 'hex')).crc32, 0xdeadbeef)
    assert.equal(
      toHex(decodeChunkRow(Buffer.from(golden + '09'.repeat(16), 'hex')).plainKey ?? new Uint8Array()),
      '09'.repeat(16),
    )
  })

  it('is refused when it is cut or of a newer version', () => {
    const bytes = encodeChunkRow(row)
    assert.throws(() => decodeChunkRow(bytes.subarray(1)), MalformedError)
    assert.throws(() => decodeChunkRow(Buffer.concat([Buffer.of(2), bytes.subarray(1)])), MalformedError)
  })
})
