import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { LimitError, MalformedError } from '../../src/errors.ts'
import { MAX_MESSAGE_BYTES, MessageWriter, readMessage } from '../../src/format/capnp.ts'
import type { StructReader } from '../../src/format/capnp.ts'
import { fromUtf8, toUtf8 } from '../../src/util/bytes.ts'

type Word = bigint | string

/** A message of segments of words; a string is one word of characters. */
function message(...segments: Word[][]): Buffer {
  const header = [segments.length - 1, ...segments.map((words) => words.length)]
  if (header.length % 2 === 1) header.push(0)
  const bytes = Buffer.alloc(4 * header.length + 8 * segments.flat().length)
  header.forEach((value, at) => bytes.writeUInt32LE(value, 4 * at))
  segments.flat().forEach((word, at) => {
    const offset = 4 * header.length + 8 * at
    if (typeof word === 'string') bytes.write(word, offset, 'latin1')
    else bytes.writeBigUInt64LE(BigInt.asUintN(64, word), offset)
  })
  return bytes
}

const struct = (offset: number, dataWords: number, pointers: number): bigint =>
  BigInt.asUintN(32, BigInt(offset) << 2n) | (BigInt(dataWords) << 32n) | (BigInt(pointers) << 48n)
const list = (offset: number, code: number, count: number): bigint =>
  BigInt.asUintN(32, BigInt(offset) << 2n) | 1n | (BigInt(code) << 32n) | (BigInt(count) << 35n)
const text = (offset: number, length: number): bigint => list(offset, 2, length)
const far = (segment: number, pad: number, isDouble = false): bigint =>
  2n | (isDouble ? 4n : 0n) | (BigInt(pad) << 3n) | (BigInt(segment) << 32n)

const rootText = (bytes: Uint8Array): string => toUtf8(readMessage(bytes).text(0))

describe("Cap'n Proto, read", () => {
  it('follows pointers forth and back in a segment', () => {
    assert.equal(rootText(message([struct(0, 0, 1), text(0, 6), 'hello\0'])), 'hello')
    assert.equal(rootText(message([struct(1, 0, 1), 'hello\0', text(-2, 6)])), 'hello')
  })

  it('follows far pointers', () => {
    assert.equal(rootText(message([struct(0, 0, 1), far(1, 1)], ['unused', text(0, 6), 'hello\0'])), 'hello')
    assert.equal(rootText(message([far(1, 0)], [struct(0, 0, 1), text(0, 6), 'hello\0'])), 'hello')
  })

  it('follows double-far pointers', () => {
    const segments = [
      [struct(0, 0, 1), far(1, 0, true)],
      [far(2, 1), text(0, 6)],
      ['unused', 'hello\0'],
    ]
    assert.equal(rootText(message(...segments)), 'hello')
  })

  it('reads a list of structs from another segment', () => {
    const root = [struct(0, 0, 1), far(1, 0)]
    const elements = [list(0, 7, 4), struct(2, 1, 1), 7n, text(2, 2), 8n, 0n, 'a\0']
    const structs = readMessage(message(root, elements)).structs(0)
    assert.deepEqual(structs.map((one) => [one.u64(0), toUtf8(one.text(0))]), [[7, 'a'], [8, '']]) // prettier-ignore
  })

  it('reads what is not there as zero and empty', () => {
    const root = readMessage(message([0n]))
    assert.deepEqual([root.u16(0), root.u32(4), root.u64(8), root.i64DefaultMinusOne(8)], [0, 0, 0, -1])
    assert.deepEqual([root.text(0).length, root.data(3).length, root.structs(1).length], [0, 0, 0])
    assert.equal(root.struct(0).struct(1).text(2).length, 0)
    const short = readMessage(message([struct(0, 1, 1), 0x0102030405060708n, 0n]))
    assert.deepEqual(
      [short.u16(0), short.u32(4), short.u64(8), short.text(0).length],
      [0x0708, 0x01020304, 0, 0],
    )
  })

  it('takes more segments than the reference can', () => {
    const pads = Array.from({ length: 2000 }, (): Word[] => ['unused'])
    assert.equal(rootText(message([struct(0, 0, 1), far(2001, 0)], ...pads, [text(0, 3), 'hi\0'])), 'hi')
  })
})

describe("Cap'n Proto, hostile", () => {
  const read = (root: StructReader) => [root.text(0), root.structs(0), root.struct(0)]
  const readAll = (bytes: Uint8Array) => () => read(readMessage(bytes))
  const refused: Array<[string, Uint8Array]> = [
    ['nothing', new Uint8Array(0)],
    ['half a word', new Uint8Array(4)],
    ['no root', message([])],
    ['four billion segments', Buffer.alloc(64, 0xff)],
    ['a header that is cut off', message([0n], [0n], [0n], [0n]).subarray(0, 16)],
    ['segments that are cut off', message([struct(0, 1, 0), 0n]).subarray(0, 16)],
    ['a root past the end', message([struct(1, 0, 1), 0n])],
    ['a root before the start', message([struct(-3, 1, 0), 0n])],
    ['a root that is a list', message([text(0, 4), 'abc\0'])],
    ['a root of another kind', message([3n, 0n])],
    ['a far pointer to no segment', message([far(1, 0)])],
    ['a far pointer past the end', message([far(0, 9)])],
    ['a far pointer to itself', message([far(0, 0)])],
    ['a far pointer to a far pointer', message([far(1, 0)], [far(1, 1), struct(0, 0, 0)])],
    [
      'a double-far pointer to no far pointer',
      message([far(1, 0, true)], [struct(0, 0, 0), struct(0, 0, 0)]),
    ],
    [
      'a double-far pointer to a double-far pointer',
      message([far(1, 0, true)], [far(0, 0, true), struct(0, 0, 0)]),
    ],
    ['a double-far pointer to no segment', message([far(1, 0, true)], [far(9, 0), struct(0, 0, 0)])],
    ['a double-far pointer with a cut pad', message([far(1, 0, true)], [far(0, 0)])],
    ['a text over the end', message([struct(0, 0, 1), text(0, 100), 'abc\0'])],
    ['a text of half a gigabyte', message([struct(0, 0, 1), text(0, 0x1fffffff), 'abc\0'])],
    ['a text without NUL', message([struct(0, 0, 1), text(0, 8), 'abcdefgh'])],
    ['a text that is a list of words', message([struct(0, 0, 1), list(0, 5, 1), 0n])],
    [
      'a text that reaches into the next segment',
      message([struct(0, 0, 1), text(0, 16), 'abcdefgh'], ['1234567\0']),
    ],
    ['a list longer than its words', message([struct(0, 0, 1), list(0, 7, 1), struct(1000, 1, 0), 0n])],
    ['a list over the end', message([struct(0, 0, 1), list(0, 7, 100), struct(1, 1, 0), 0n])],
    ['a list without a tag', message([struct(0, 0, 1), list(0, 7, 0)])],
    ['a list whose tag is a list', message([struct(0, 0, 1), list(0, 7, 1), text(1, 8), 0n])],
    [
      'half a billion elements of no size',
      message([struct(0, 0, 1), list(0, 7, 0), struct(0x1fffffff, 0, 0)]),
    ],
  ]
  for (const [what, bytes] of refused) {
    it(`refuses ${what}`, () => assert.throws(readAll(bytes), MalformedError))
  }

  it('stops reading structs that contain themselves', () => {
    let at = readMessage(message([struct(0, 0, 1), struct(-1, 0, 1)]))
    assert.throws(() => {
      for (let depth = 0; depth < 1000; depth++) at = at.struct(0)
    }, MalformedError)
    const many = message([struct(0, 0, 1), struct(-1, 0, 1), ...Array<bigint>(5000).fill(0n)])
    let deep = readMessage(many)
    assert.throws(() => {
      for (let depth = 0; depth < 1000; depth++) deep = deep.struct(0)
    }, /nested deeper/)
  })

  it('stops reading one large text over and over', () => {
    const pointers = 100
    const root = readMessage(
      message([
        struct(0, 0, pointers),
        ...Array.from({ length: pointers }, (_, at) => text(pointers - at - 1, 8 * 1000)),
        ...Array<bigint>(1000).fill(0n),
      ]),
    )
    let visited = 0
    assert.throws(() => {
      for (let at = 0; at < pointers; at++) visited += root.text(at).length
    }, /8 times/)
    assert.ok(visited < 9 * 8 * 1100)
  })

  it('refuses more elements than any directory has', () => {
    const count = 2 ** 20 + 1
    const root = readMessage(
      message([struct(0, 0, 1), list(0, 7, count), struct(count, 1, 0), ...Array<bigint>(count).fill(0n)]),
    )
    assert.throws(() => root.structs(0), LimitError)
  })

  it('refuses numbers that a double cannot hold', () => {
    const root = readMessage(message([struct(0, 2, 0), 2n ** 53n, 2n ** 63n]))
    assert.throws(() => root.u64(0), MalformedError)
    assert.throws(() => root.i64DefaultMinusOne(8), MalformedError)
  })

  it('refuses a message over 64 MiB', () => {
    assert.throws(() => readMessage(new Uint8Array(MAX_MESSAGE_BYTES + 8)), LimitError)
  })
})

describe("Cap'n Proto, written", () => {
  it('is one segment that reads back', () => {
    const writer = new MessageWriter()
    const root = writer.root(2, 4)
    writer.u64(root, 0, 2 ** 53 - 1)
    writer.i64DefaultMinusOne(root, 8, 0)
    writer.text(root + 2, fromUtf8('name'))
    writer.data(root + 3, new Uint8Array(20_000).fill(7))
    const first = writer.structs(root + 4, 2, 1, 1)
    writer.u16(first, 0, 5)
    writer.key(first + 3, 'second')
    writer.u32(writer.struct(root + 5, 1, 0), 4, 9)
    const bytes = writer.finish()

    assert.deepEqual([...new Uint32Array(bytes.slice(0, 8).buffer)], [0, bytes.length / 8 - 1])
    const read = readMessage(bytes)
    assert.deepEqual([read.u64(0), read.i64DefaultMinusOne(8)], [2 ** 53 - 1, 0])
    assert.equal(toUtf8(read.text(0)), 'name')
    assert.equal(read.data(1).length, 20_000)
    assert.deepEqual(read.structs(2).map((one) => [one.u16(0), one.key(0)]), [[5, ''], [0, 'second']]) // prettier-ignore
    assert.equal(read.struct(3).u32(4), 9)
  })

  it('holds ids on both sides of every border', () => {
    for (const id of [-1, 0, 1, 2 ** 31 - 1, 2 ** 31, 2 ** 32 - 2, 2 ** 32 - 1, -2, 2 ** 40]) {
      const writer = new MessageWriter()
      writer.i64DefaultMinusOne(writer.root(1, 0), 0, id)
      assert.equal(readMessage(writer.finish()).i64DefaultMinusOne(0), id)
    }
  })
})
