import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CorruptError, HubError, MalformedError } from '../../src/errors.ts'
import { blake2b128 } from '../../src/format/blake2b.ts'
import { createChunkCodec } from '../../src/format/chunk-codec.ts'
import { BLOCK_BYTES } from '../../src/format/chunk.ts'
import { maxStoredBytes } from '../../src/format/codec-module.ts'
import { toHex } from '../../src/util/bytes.ts'
import { fuzzRuns, golden, recordedData } from '../doubles/golden.ts'
import { block, noise } from '../doubles/noise.ts'

interface Vector {
  readonly path: string
  readonly plainLength: number
  readonly snappyLength: number
  readonly key: string
  readonly hash: string
  readonly plainSha256: string
}

const codec = await createChunkCodec()
const vectors = JSON.parse(golden('flist-v1', 'chunks.json').toString()) as Vector[]

function checkVector(vector: Vector, stored: Uint8Array): void {
  const plain = codec.decode(stored, Buffer.from(vector.key, 'hex'))
  assert.equal(plain.length, vector.plainLength)
  assert.equal(createHash('sha256').update(plain).digest('hex'), vector.plainSha256)
  const again = codec.encode(plain)
  assert.equal(toHex(again.key), vector.key)
  assert.equal(toHex(again.id), vector.hash, `${vector.path}: another chunk id than the reference's`)
  assert.ok(Buffer.from(stored).equals(again.stored))
}

describe('chunk codec, golden', () => {
  for (const vector of vectors) {
    it(`${vector.path}: ${vector.plainLength} bytes, both ways`, () => {
      checkVector(vector, golden('flist-v1', 'chunks', vector.hash))
    })
  }

  it('stores "A" as the specification says', () => {
    const { id, key, stored } = codec.encode(Buffer.from('A'))
    assert.equal(toHex(key), 'f96658555f24a7608e17d9d14603e79c')
    assert.equal(toHex(stored), '25cae844e82dcdf7')
    assert.equal(toHex(id), 'ce632548a78b6d206e5478fbd92ea7ec')
  })

  const all = recordedData('flist-v1', 'a', 'chunk-vectors.json')
  it('every recorded chunk, both ways', { skip: all.skip }, () => {
    for (const vector of JSON.parse(readFileSync(all.path, 'utf8')) as Vector[]) {
      checkVector(vector, readFileSync(join(all.path, '..', 'chunks', vector.hash)))
    }
  })

  // Encoder bytes over content of every kind: what decides chunk ids may not drift from release to release.
  it('is pinned', () => {
    const digest = createHash('sha256')
    for (let seed = 0; seed < 200; seed++) digest.update(codec.encode(block(seed)).id)
    assert.equal(digest.digest('hex'), '15689f15660ffbd5e071ef853fd72d6f6bbb4a1f312bfd8d495620d8ff663b6d')
  })
})

describe('chunk codec', () => {
  it('gives back what went in', () => {
    const content = fc.oneof(
      fc.uint8Array({ maxLength: 4000 }),
      fc.array(fc.constantFrom(0, 1, 2, 97), { maxLength: 4000 }).map((bytes) => Uint8Array.from(bytes)),
      fc.nat(1000).map(block),
    )
    fc.assert(
      fc.property(content, (plain) => {
        const { id, key, stored } = codec.encode(plain)
        assert.deepEqual(id, blake2b128(stored))
        assert.ok(stored.length <= maxStoredBytes(plain.length))
        assert.ok(Buffer.from(plain).equals(codec.decode(stored, key)))
      }),
      { numRuns: fuzzRuns(300) },
    )
  })

  it('hands out memory of its own', () => {
    const first = codec.encode(Buffer.from('first'))
    const copy = Buffer.from(first.stored)
    codec.encode(Buffer.from('second'))
    assert.ok(copy.equals(first.stored))
    assert.ok(first.stored.buffer instanceof ArrayBuffer)
  })

  it('refuses to encode more than a block', () => {
    assert.throws(() => codec.encode(new Uint8Array(BLOCK_BYTES + 1)), RangeError)
  })

  it('decodes larger blocks only where the caller allows them', () => {
    const half = codec.encode(noise(1, BLOCK_BYTES))
    assert.throws(() => codec.decode(half.stored, half.key, BLOCK_BYTES - 1), MalformedError)
    assert.equal(codec.decode(half.stored, half.key, 4 * BLOCK_BYTES).length, BLOCK_BYTES)
  })

  it('tells a wrong key and a changed bit from a good chunk', () => {
    const { key, stored } = codec.encode(block(7))
    assert.throws(() => codec.decode(stored, blake2b128(stored)), HubError)
    assert.throws(() => codec.decode(stored, key.subarray(1)), MalformedError)
    assert.throws(() => codec.decode(stored.subarray(0, stored.length - 4), key), HubError)
    assert.throws(() => codec.decode(stored.subarray(0, stored.length - 1), key), MalformedError)
    assert.throws(() => codec.decode(new Uint8Array(0), key), MalformedError)
    assert.throws(() => codec.decode(new Uint8Array(4), key), MalformedError)
  })

  it('checks the plain block against its key', () => {
    const { stored, key } = codec.encode(Buffer.from('mid\n'))
    const forged = seal(Buffer.from([4, 12, ...Buffer.from('mad\n')]), key)
    assert.equal(forged.length, stored.length)
    assert.throws(() => codec.decode(forged, key), CorruptError)
  })
})

const KEY = Buffer.from('0123456789abcdef')

/** XXTEA as flist-v1.md §8 writes it, over bytes that need not be snappy. `length` lies about them. */
function seal(compressed: Uint8Array, key: Uint8Array = KEY, length = compressed.length): Buffer {
  const words = Math.ceil(compressed.length / 4) + 1
  const bytes = Buffer.alloc(4 * words)
  bytes.set(compressed)
  bytes.writeUInt32LE(length, 4 * words - 4)
  const v = new Uint32Array(words)
  for (let p = 0; p < words; p++) v[p] = bytes.readUInt32LE(4 * p)
  const k = (p: number) => Buffer.from(key).readUInt32LE(4 * p)
  const at = (p: number) => v[p % words] ?? 0
  let sum = 0
  for (let round = 0; round < 6 + Math.floor(52 / words); round++) {
    sum = (sum + 0x9e3779b9) >>> 0
    for (let p = 0; p < words; p++) {
      const z = at(p + words - 1)
      const y = at(p + 1)
      const left = ((z >>> 5) ^ (y << 2)) + ((y >>> 3) ^ (z << 4))
      v[p] = at(p) + (left ^ ((sum ^ y) + (k((p & 3) ^ ((sum >>> 2) & 3)) ^ z)))
    }
  }
  for (let p = 0; p < words; p++) bytes.writeUInt32LE(at(p), 4 * p)
  return bytes
}

describe('chunk codec, hostile', () => {
  const refused: Array<[string, Uint8Array]> = [
    ['a declared length of 4 GiB', seal(Buffer.from([0xff, 0xff, 0xff, 0xff, 0x0f, 0, 65]))],
    ['a declared length over a block', seal(Buffer.from([0x81, 0x80, 0x20, 0, 65]))],
    ['a length without an end', seal(Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]))],
    ['no snappy at all', seal(new Uint8Array(0))],
    ['less than was declared', seal(Buffer.from([2, 0, 65]))],
    ['more than was declared', seal(Buffer.from([1, 4, 65, 66]))],
    ['a literal over the end', seal(Buffer.from([4, 12, 65]))],
    ['a literal with a cut length', seal(Buffer.from([4, 63 << 2, 0]))],
    ['a literal of 4 GiB', seal(Buffer.from([4, 63 << 2, 0xff, 0xff, 0xff, 0xff]))],
    ['a copy from before the start', seal(Buffer.from([8, 0, 65, 0b00001101, 2]))],
    ['a copy from zero back', seal(Buffer.from([5, 0, 65, 0b00000001, 0]))],
    ['a copy over the end', seal(Buffer.from([8, 0, 65, (63 << 2) | 2, 1, 0]))],
    ['a cut copy with one offset byte', seal(Buffer.from([5, 0, 65, 1]))],
    ['a cut copy with two offset bytes', seal(Buffer.from([5, 0, 65, 2, 1]))],
    ['a cut copy with four offset bytes', seal(Buffer.from([5, 0, 65, 3, 1, 0, 0]))],
    ['a length word that is too small', seal(Buffer.from('abcdefgh'), KEY, 4)],
    ['a length word that is too large', seal(Buffer.from('abcdefgh'), KEY, 9)],
  ]
  for (const [what, bytes] of refused) {
    it(`refuses ${what}`, () => assert.throws(() => codec.decode(bytes, KEY), MalformedError))
  }

  it('reads every kind of element', () => {
    // prettier-ignore
    const elements = Buffer.from([26, 4, 97, 98, 0b00010001 | 0, 2, (3 << 2) | 2, 1, 0, (3 << 2) | 3, 4, 0, 0, 0, 60 << 2, 3, 99, 100, 101, 102, 62 << 2, 3, 0, 0, 103, 104, 105, 106])
    const plain = Buffer.from('abababababbbbbbbbbcdefghij')
    const key = blake2b128(plain)
    assert.equal(Buffer.from(codec.decode(seal(elements, key), key)).toString(), plain.toString())
  })

  it('only ever fails with an error of ours, whatever the compressed bytes', () => {
    const good = codec.encode(block(3))
    const mutation = fc.record({
      seed: fc.nat(300),
      at: fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
      byte: fc.nat(255),
      cut: fc.nat(9),
    })
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 300 }), mutation), (hostile) => {
        const bytes = hostile instanceof Uint8Array ? hostile : mutate(hostile)
        expectOurs(() => codec.decode(seal(bytes), KEY, 4096))
        const raw = Buffer.from(good.stored)
        raw.set(bytes.subarray(0, raw.length))
        expectOurs(() => codec.decode(raw.subarray(0, raw.length & ~3), good.key))
      }),
      { numRuns: fuzzRuns(400) },
    )
  })
})

/** A snappy block of text with one byte changed and some cut off. */
function mutate({
  seed,
  at,
  byte,
  cut,
}: {
  seed: number
  at: number
  byte: number
  cut: number
}): Uint8Array {
  const text = Buffer.from(
    'a chunk of a chunk of a file of a file system of chunks, '.repeat(1 + (seed % 20)),
  )
  const compressed = Buffer.from([text.length & 0x7f, text.length >> 7, ...snappyOf(text)])
  if (text.length > 0x7f) compressed[0] = (compressed[0] ?? 0) | 0x80
  compressed[Math.floor(at * compressed.length)] = byte
  return compressed.subarray(0, Math.max(0, compressed.length - cut))
}

/** Elements: the first 57 bytes as a literal, the rest as copies of at most 64. */
function snappyOf(text: Uint8Array): number[] {
  const bytes = [56 << 2, ...text.subarray(0, 57)]
  for (let rest = text.length - 57; rest > 0; rest -= 64)
    bytes.push(((Math.min(rest, 64) - 1) << 2) | 2, 57, 0)
  return bytes
}

function expectOurs(work: () => unknown): void {
  try {
    work()
  } catch (error) {
    assert.ok(error instanceof HubError, `not an error of ours: ${String(error)}`)
  }
}
