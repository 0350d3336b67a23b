import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HubError, InvalidInputError, LimitError, MalformedError } from '../../src/errors.ts'
import { encodeCbor } from '../../src/format/dag-cbor.ts'
import { formatInvite, parseInvite } from '../../src/format/invite.ts'
import {
  decodeJoinAnswer,
  decodeJoinRequest,
  encodeJoinAnswer,
  encodeJoinRequest,
  MAX_JOIN_BYTES,
} from '../../src/format/join-message.ts'
import { toHex } from '../../src/util/bytes.ts'
import { asText } from '../doubles/as-text.ts'

const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte)
const ADDRESS = '/ip4/10.0.0.1/tcp/9901/p2p/12D3KooWtest'
const INVITE = { realm: filled(32, 1), addresses: [ADDRESS], secret: filled(32, 2), expiresS: 1_700_000_000 }
const REQUEST = {
  realm: filled(32, 1),
  secret: filled(32, 2),
  tokenKey: filled(32, 3),
  name: 'two',
  addresses: ['/ip4/10.0.0.2/tcp/9901'],
}
const ANSWERS = [
  { items: [filled(3, 7), filled(0, 0)], hasMore: true },
  { items: [], hasMore: false },
  { code: 'HUB_FORBIDDEN', message: 'no' },
]

describe('an invite', () => {
  it('is one line that comes back as it was', () => {
    const text = formatInvite(INVITE)
    assert.match(text, /^zhub1:[\w-]+$/)
    assert.equal(asText(parseInvite(text)), asText(INVITE))
  })

  it('keeps the text of the first release', () => {
    assert.equal(
      formatInvite({ ...INVITE, addresses: [] }),
      'zhub1:pGNleHAaZVPxAGVhZGRyc4BlcmVhbG1YIAEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBZnNlY3JldFggAgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI',
    )
  })

  it('is nothing when it is cut, altered into no CBOR, or something else', () => {
    const text = formatInvite(INVITE)
    for (const other of [
      '',
      'zhub1:',
      'zhub2:abc',
      text.slice(0, -5),
      `${text} x`,
      `zhub1:${'A'.repeat(40_000)}`,
    ])
      assert.throws(() => parseInvite(other), InvalidInputError, other.slice(0, 20))
  })
})

describe('messages of joining', () => {
  it('come back as they were', () => {
    assert.equal(asText(decodeJoinRequest(encodeJoinRequest(REQUEST))), asText(REQUEST))
    for (const answer of ANSWERS)
      assert.equal(asText(decodeJoinAnswer(encodeJoinAnswer(answer))), asText(answer))
  })

  it('keep the bytes of the first release', () => {
    assert.equal(
      toHex(encodeJoinAnswer(ANSWERS[2] ?? assert.fail())),
      'a361760164636f64656d4855425f464f5242494444454e676d657373616765626e6f',
    )
  })

  it('are refused when anything in them is of another kind, too long or too much', () => {
    const request = {
      v: 1,
      realm: filled(32, 1),
      secret: filled(32, 2),
      token: filled(32, 3),
      name: 'x',
      addrs: [],
    }
    for (const change of [
      { v: 2 },
      { realm: filled(31, 1) },
      { secret: 'x' },
      { token: filled(33, 3) },
      { name: 'x'.repeat(300) },
      { addrs: [1] },
      { addrs: Array.from({ length: 33 }, () => 'x') },
      { more: 1 },
    ]) {
      assert.throws(() => decodeJoinRequest(encodeCbor({ ...request, ...change })), MalformedError)
    }
    assert.throws(() => decodeJoinRequest(new Uint8Array(17 * 1024)), LimitError)
    assert.throws(() => decodeJoinAnswer(new Uint8Array(MAX_JOIN_BYTES + 1)), LimitError)
    for (const answer of [
      { v: 1 },
      { v: 1, items: [1], more: false },
      { v: 1, items: [], more: 1 },
      { v: 1, items: 1, more: true },
    ])
      assert.throws(() => decodeJoinAnswer(encodeCbor(answer)), MalformedError)
  })

  it('are read or refused, whatever arrives', () => {
    const all = [encodeJoinRequest(REQUEST), ...ANSWERS.map(encodeJoinAnswer)]
    const reads = [decodeJoinRequest, decodeJoinAnswer]
    fc.assert(
      fc.property(fc.constantFrom(...all), fc.nat(), fc.nat(255), fc.nat(), (bytes, at, byte, cut) => {
        const altered = Uint8Array.from(bytes).subarray(0, 1 + (cut % (2 * bytes.length)))
        altered[at % altered.length] = byte
        for (const read of reads) {
          try {
            read(altered)
          } catch (error) {
            assert.ok(error instanceof HubError, String(error))
          }
        }
      }),
      { numRuns: 2000 },
    )
  })
})
