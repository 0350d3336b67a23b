import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { inflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { Deflate } from '../../src/flist/deflate.ts'
import { huffmanCode } from '../../src/flist/huffman.ts'
import { block, noise } from '../doubles/noise.ts'

/** Cut into pieces of these lengths, again and again. */
function deflate(given: Uint8Array, lengths: readonly number[] = [given.length || 1]): Buffer {
  const all = new Deflate()
  for (let at = 0, piece = 0; at < given.length; at += lengths[piece++ % lengths.length] ?? 1) {
    all.add(given.subarray(at, at + (lengths[piece % lengths.length] ?? 1)))
  }
  return Buffer.concat(all.finish())
}

describe('Deflate', () => {
  it('is undone by zlib, whatever the bytes', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 5_000 }),
      fc
        .array(fc.constantFrom('etc/', 'passwd', '\0\0\0\0', 'x'), { maxLength: 2_000 })
        .map((a) => Buffer.from(a.join(''))),
      fc.nat({ max: 300 }).map(block),
    )
    fc.assert(
      fc.property(bytes, (given) => assert.deepEqual(inflateRawSync(deflate(given)), Buffer.from(given))),
      { numRuns: 200 },
    )
  })

  it('takes runs, repeats at the edge of the window, and the ends of its blocks', () => {
    const far = Buffer.concat([
      noise(1, 32_768),
      noise(1, 32_768),
      noise(1, 32_769),
      noise(2, 1),
      noise(1, 40_000),
    ])
    for (const given of [
      Buffer.alloc(0),
      Buffer.alloc(1),
      Buffer.alloc(1_000_000),
      far,
      noise(3, 16_384),
      noise(4, 16_383),
    ]) {
      assert.deepEqual(inflateRawSync(deflate(given)), Buffer.from(given))
    }
    assert.ok(deflate(Buffer.alloc(1_000_000)).length < 2_000)
  })

  it('gives the same bytes however what it gets is cut', () => {
    const given = Buffer.concat([
      noise(7, 50_000),
      Buffer.alloc(300_000),
      noise(7, 90_000),
      block(3),
      noise(8, 400_000),
    ])
    const whole = deflate(given)
    assert.deepEqual(inflateRawSync(whole), given)
    for (const lengths of [[1], [1, 257, 32_768], [4096], [262_143, 1], [262_144]]) {
      assert.ok(deflate(given, lengths).equals(whole), String(lengths))
    }
  })

  it('adds little to what cannot be made smaller', () => {
    assert.ok(deflate(noise(5, 200_000)).length < 200_000 * 1.01)
  })

  it('gives the bytes it always gave: they are in the names that nodes agree on', () => {
    const given = Buffer.concat([
      Buffer.from('usr/share/man/man1/'.repeat(500)),
      noise(6, 30_000),
      Buffer.alloc(5_000),
      block(77),
    ])
    const digest = createHash('sha256').update(deflate(given)).digest('hex')
    assert.equal(digest, 'cf2d3c278891113686cbe332506de444867439036157027f2313ce726fa35f88')
  })
})

describe('huffmanCode', () => {
  it('keeps to the longest length allowed and fills it exactly', () => {
    const fibonacci = [1, 1]
    while (fibonacci.length < 40) fibonacci.push((fibonacci.at(-1) ?? 0) + (fibonacci.at(-2) ?? 0))
    const weights = fc.array(fc.oneof(fc.constant(0), fc.nat({ max: 1_000_000 })), {
      minLength: 2,
      maxLength: 286,
    })
    fc.assert(
      fc.property(fc.oneof(weights, fc.constant(fibonacci)), (frequencies) => {
        const { lengths } = huffmanCode(Uint32Array.from(frequencies), 15)
        const used = lengths.filter((bits) => bits > 0)
        assert.ok(used.length >= 2 && Math.max(...used) <= 15)
        assert.equal(
          used.reduce((sum, bits) => sum + 2 ** -bits, 0),
          1,
        )
        for (const [symbol, frequency] of frequencies.entries())
          assert.ok(frequency === 0 || lengths[symbol] !== 0)
      }),
    )
  })

  it('gives no rarer symbol a shorter code', () => {
    const { lengths } = huffmanCode(Uint32Array.of(5, 9, 12, 13, 16, 45), 15)
    assert.deepEqual([...lengths], [4, 4, 3, 3, 3, 1])
  })
})
