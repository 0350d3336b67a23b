import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HubError, MalformedError } from '../../src/errors.ts'
import {
  decodeChunkMessage,
  encodeChunkMessage,
  packBits,
  unpackBits,
} from '../../src/format/chunk-message.ts'
import type { ChunkMessage } from '../../src/format/chunk-message.ts'
import { encodeCbor } from '../../src/format/dag-cbor.ts'
import { concat, toHex } from '../../src/util/bytes.ts'
import { asText } from '../doubles/as-text.ts'

const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte)
const encode = (message: ChunkMessage) => concat(encodeChunkMessage(message))

const MESSAGES: readonly ChunkMessage[] = [
  { type: 'have', number: 1, naming: 'chunk', ids: [filled(16, 1), filled(16, 2)] },
  { type: 'get', number: 2, naming: 'part', ids: [filled(32, 3)] },
  { type: 'held', number: 3, bits: packBits([true, false, true]) },
  { type: 'chunk', number: 2 ** 32 - 1, index: 63, bytes: filled(400, 9) },
  { type: 'chunk', number: 5, index: 0, bytes: undefined },
  { type: 'elsewhere', number: 6, index: 7 },
]

describe('chunk messages', () => {
  it('come back as they were', () => {
    for (const message of MESSAGES) assert.equal(asText(decodeChunkMessage(encode(message))), asText(message))
  })

  it('have the bytes that SYNC.md says, and copy no chunk', () => {
    const bytes = filled(3, 0xaa)
    const [header, payload] = encodeChunkMessage({ type: 'chunk', number: 258, index: 2, bytes })
    assert.equal(toHex(header ?? bytes), '01000001020002')
    assert.equal(payload, bytes)
    assert.equal(
      toHex(encode({ type: 'get', number: 1, naming: 'chunk', ids: [filled(16, 0xbb)] })),
      `830201a3626f66656368756e6b63696473${'50'}${'bb'.repeat(16)}636c656e10`,
    )
    assert.equal(toHex(packBits([true, false, false, false, false, false, false, true, true])), '8180')
  })

  it('are refused when they are cut, and never anything but refused', () => {
    for (const message of MESSAGES.filter(({ type }) => type !== 'chunk')) {
      const bytes = encode(message)
      for (let length = 0; length < bytes.length; length++) {
        assert.throws(() => decodeChunkMessage(bytes.subarray(0, length)), HubError)
      }
    }
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 100 }), (bytes) => {
        try {
          decodeChunkMessage(bytes)
        } catch (error) {
          assert.ok(error instanceof HubError)
        }
      }),
      { numRuns: 3000 },
    )
  })

  it('have limits for what they list', () => {
    const question = (type: number, len: number, ids: Uint8Array) =>
      encodeCbor([type, 1, { of: 'chunk', len, ids }])
    for (const bad of [
      question(2, 16, filled(16 * 65, 1)),
      question(0, 16, filled(16 * 2049, 1)),
      question(2, 16, filled(15, 1)),
      question(2, 16, new Uint8Array(0)),
      question(2, 20, filled(20, 1)),
      encodeCbor([1, 1, { bits: filled(257, 1) }]),
      encodeCbor([3, 1, { idx: 64 }]),
      encodeCbor([4, 1, {}]),
      encodeCbor([5, 1, { idx: 64 }]),
      encodeCbor([6, 1, { idx: 0 }]),
      Buffer.from('01000001020002', 'hex'),
    ]) {
      assert.throws(() => decodeChunkMessage(bad), MalformedError)
    }
  })

  it('have as many bits as were asked for', () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 100 }), (answers) => {
        assert.deepEqual(unpackBits(packBits(answers), answers.length), answers)
        assert.throws(() => unpackBits(packBits(answers), answers.length + 8), MalformedError)
      }),
    )
  })
})
