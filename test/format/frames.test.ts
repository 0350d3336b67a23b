import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { LimitError, MalformedError } from '../../src/errors.ts'
import { frameHeader, FrameReader } from '../../src/format/frames.ts'
import { concat, toHex } from '../../src/util/bytes.ts'
import { heldBytes } from '../doubles/collect-garbage.ts'

const bytes = (hex: string) => Buffer.from(hex, 'hex')

describe('frames', () => {
  it('have the length before them, as unsigned LEB128', () => {
    for (const [length, hex] of [
      [1, '01'],
      [127, '7f'],
      [128, '8001'],
      [300, 'ac02'],
      [1_048_576, '808040'],
      [268_435_455, 'ffffff7f'],
    ] as const) {
      assert.equal(toHex(frameHeader(length)), hex)
    }
    assert.throws(() => frameHeader(268_435_456), RangeError)
  })

  it('come out as they went in, however the stream is cut', () => {
    const message = fc
      .integer({ min: 1, max: 20_000 })
      .map((length) => Uint8Array.from({ length }, (_, at) => length ^ at))
    const messages = fc.array(message, { maxLength: 10 })
    fc.assert(
      fc.property(
        messages,
        fc.infiniteStream(fc.oneof(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 9000 }))),
        (sent, cuts) => {
          const stream = concat(sent.flatMap((message) => [frameHeader(message.length), message]))
          const reader = new FrameReader(20_000)
          const got: Uint8Array[] = []
          for (let at = 0; at < stream.length;) {
            const next = at + (cuts.next().value ?? 1)
            got.push(...reader.push(stream.subarray(at, next)))
            at = next
          }
          assert.deepEqual(got.map(toHex), sent.map(toHex))
          assert.ok(reader.isWhole)
        },
      ),
    )
  })

  it('are refused by their length, before anything is kept', () => {
    assert.throws(() => new FrameReader(1000).push(bytes('e907')), LimitError)
    assert.throws(() => new FrameReader(1000).push(bytes('ffffffff')), MalformedError)
    assert.throws(() => new FrameReader(1000).push(bytes('ffffff7f')), LimitError)
    assert.throws(() => new FrameReader(1000).push(bytes('8000')), /shortest form/)
    assert.throws(() => new FrameReader(1000).push(bytes('00')), /it is empty/)
  })

  it('take no more memory than their length, though they come byte by byte (security.md 14)', () => {
    const length = 1_000_000
    const reader = new FrameReader(length)
    reader.push(frameHeader(length))
    const before = heldBytes()
    for (let at = 0; at < length - 1; at++) reader.push(Uint8Array.of(at))
    const taken = heldBytes() - before
    const [message] = reader.push(Uint8Array.of(length - 1))
    assert.ok(taken < 3 * length, `${taken} bytes are held for ${length}`)
    assert.ok(message?.every((byte, at) => byte === (at & 255)))
  })

  it('know whether the stream ended between two of them', () => {
    const reader = new FrameReader(10)
    assert.ok(reader.isWhole)
    reader.push(bytes('02aa'))
    assert.equal(reader.isWhole, false)
    reader.push(bytes('aa80'))
    assert.equal(reader.isWhole, false)
  })
})
