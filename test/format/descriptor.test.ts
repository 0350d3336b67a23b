import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { LimitError, MalformedError } from '../../src/errors.ts'
import { decodeCbor, encodeCbor } from '../../src/format/dag-cbor.ts'
import {
  CHUNK_LIST_PAGE_ROWS,
  chunkListPages,
  decodeChunkListPage,
  decodeDescriptor,
  descriptorId,
  encodeChunkListPage,
  encodeDescriptor,
  FLIST_PART_BYTES,
  flistParts,
  MAX_OBJECT_BYTES,
} from '../../src/format/descriptor.ts'
import type { ChunkListRow, Descriptor } from '../../src/format/descriptor.ts'
import { concat, toHex } from '../../src/util/bytes.ts'

const digest = (fill: number) => new Uint8Array(32).fill(fill)

const DESCRIPTOR: Descriptor = {
  v: 1,
  fmt: 'zflist',
  size: FLIST_PART_BYTES + 1,
  sha256: digest(1),
  md5: new Uint8Array(16).fill(2),
  parts: [digest(3), digest(4)],
  chunks: [digest(5)],
  nChunks: 2,
  bytes: 900,
  files: 3,
}

function rows(count: number, idBytes = 16): ChunkListRow[] {
  return Array.from({ length: count }, (_, index): ChunkListRow => {
    const id = new Uint8Array(idBytes)
    new DataView(id.buffer).setUint32(0, index)
    return [id, 1 << 20, digest(9)]
  })
}

describe('descriptor', () => {
  it('is given back by its bytes', () => {
    assert.deepEqual(decodeDescriptor(encodeDescriptor(DESCRIPTOR)), DESCRIPTOR)
  })

  it('keeps its bytes for ever', () => {
    const bytes = encodeDescriptor(DESCRIPTOR)
    assert.equal(toHex(bytes.subarray(0, 20)), 'aa61760163666d74667a666c697374636d643550')
    assert.equal(toHex(descriptorId(bytes)), GOLDEN_DESCRIPTOR_ID)
  })

  it('of an empty flist has no pages', () => {
    const empty = { ...DESCRIPTOR, chunks: [], nChunks: 0, bytes: 0, files: 0 }
    assert.deepEqual(decodeDescriptor(encodeDescriptor(empty)), empty)
  })

  const wrong: Record<string, object> = {
    'another version': { v: 2 },
    'another format': { fmt: 'zip' },
    'a negative size': { size: -1 },
    'parts that do not cover the size': { parts: [digest(3)] },
    'more parts than the size has': { size: 10 },
    'a short digest': { sha256: new Uint8Array(31) },
    'an md5 that is text': { md5: '0'.repeat(32) },
    'a page too few': { nChunks: CHUNK_LIST_PAGE_ROWS + 1, bytes: 9000 },
    'a page too many': { nChunks: 0 },
    'fewer bytes than chunks': { bytes: 1 },
    'an unknown field': { extra: 1 },
    // What others would gather in memory: 15 GB of one part again and again, 200 million rows of one page.
    'a size that nobody reads': {
      size: 30_000 * FLIST_PART_BYTES,
      parts: Array.from({ length: 30_000 }, () => digest(3)),
    },
    'a page again and again': {
      chunks: Array.from({ length: 20 }, () => digest(5)),
      nChunks: 20 * CHUNK_LIST_PAGE_ROWS,
      bytes: 1e9,
    },
    'more chunks than anybody has': {
      chunks: Array.from({ length: 257 }, (_, at) => digest(at)),
      nChunks: 257 * CHUNK_LIST_PAGE_ROWS,
      bytes: 1e9,
    },
  }
  for (const [what, change] of Object.entries(wrong)) {
    it(`is refused with ${what}`, () => {
      const bytes = encodeDescriptor({ ...DESCRIPTOR, ...change })
      assert.throws(() => decodeDescriptor(bytes), MalformedError)
    })
  }

  it('is refused without a field, as a list, and over 1 MiB', () => {
    const fields = decodeCbor(encodeDescriptor(DESCRIPTOR), { format: 'test', maxBytes: 4096 }) as object
    assert.throws(() => decodeDescriptor(encodeCbor({ ...fields, files: null })), MalformedError)
    const { files: _, ...rest } = DESCRIPTOR
    assert.throws(() => decodeDescriptor(encodeCbor({ ...rest, chunks: [] })), MalformedError)
    assert.throws(() => decodeDescriptor(encodeCbor([])), MalformedError)
    assert.throws(() => decodeDescriptor(new Uint8Array(MAX_OBJECT_BYTES + 1)), LimitError)
  })

  it('names the 512 KiB parts of a file', () => {
    const file = concat([new Uint8Array(FLIST_PART_BYTES), Buffer.from('tail')])
    assert.deepEqual(flistParts(file)[1], createHash('sha256').update('tail').digest())
    assert.equal(flistParts(file).length, 2)
    assert.equal(flistParts(new Uint8Array(0)).length, 0)
  })
})

describe('chunk list page', () => {
  it('is given back by its bytes, ids of both lengths', () => {
    for (const idBytes of [16, 32]) {
      assert.deepEqual(decodeChunkListPage(encodeChunkListPage(rows(3, idBytes))), rows(3, idBytes))
    }
  })

  it('stays below 1 MiB when full', () => {
    const bytes = encodeChunkListPage(rows(CHUNK_LIST_PAGE_ROWS, 32))
    assert.ok(bytes.length <= MAX_OBJECT_BYTES)
    assert.equal(decodeChunkListPage(bytes).length, CHUNK_LIST_PAGE_ROWS)
  })

  it('is cut full, and only the last is shorter', () => {
    const sizes = [...chunkListPages(rows(2 * CHUNK_LIST_PAGE_ROWS + 1))].map((page) => page.length)
    assert.deepEqual(sizes, [CHUNK_LIST_PAGE_ROWS, CHUNK_LIST_PAGE_ROWS, 1])
    assert.deepEqual([...chunkListPages([])], [])
  })

  it('is not made of unsorted, repeated, missing or too many rows', () => {
    for (const page of [rows(2).reverse(), [...rows(1), ...rows(1)], [], rows(CHUNK_LIST_PAGE_ROWS + 1)]) {
      assert.throws(() => encodeChunkListPage(page), RangeError)
    }
  })

  it('is refused with rows that are none', () => {
    const [id, length, sha256] = rows(1)[0] ?? assert.fail()
    const pages = [
      [],
      [[id, length]],
      [[id, length, sha256, 1]],
      [[id.subarray(1), length, sha256]],
      [[id, 0, sha256]],
      [[id, (1 << 20) + 1, sha256]],
      [[id, length, id]],
      [{ id, length, sha256 }],
      [
        [id, length, sha256],
        [id, length, sha256],
      ],
      { rows: [] },
    ]
    for (const page of pages) assert.throws(() => decodeChunkListPage(encodeCbor(page)), MalformedError)
  })
})

const GOLDEN_DESCRIPTOR_ID = '256be1233bd657ead0b7f61af6ef035af95519bed5297a9cd94b35f582773c82'
