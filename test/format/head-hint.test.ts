import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HubError, LimitError, MalformedError } from '../../src/errors.ts'
import { encodeCbor } from '../../src/format/dag-cbor.ts'
import type { CborValue } from '../../src/format/dag-cbor.ts'
import { signingKey } from '../../src/format/ed25519.ts'
import { decodeHead, MAX_HEAD_BYTES, MAX_HEAD_ITEMS, signHead } from '../../src/format/head-hint.ts'
import { concat, fromUtf8, toHex } from '../../src/util/bytes.ts'
import { asText } from '../doubles/as-text.ts'

const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte)
const KEY = signingKey(filled(32, 1))
const HEAD = {
  realm: filled(32, 2),
  atMs: 1_795_000_000_123,
  items: [{ repository: filled(32, 3), digest: filled(16, 4) }],
  change: 5,
}
const SIGNATURE =
  '6e8c12532e53c25660fecfe2205bb5b9034fac7ac574081685fc2bc111552cde' +
  '53aea69ae4b0500944a98e1381ed13e46e52a67314eeeb8787543764fba29305'
const SIGNED = signHead(HEAD, KEY)

describe('a head', () => {
  it('has the bytes that PROTOCOLS.md says', () => {
    // Written by hand from the page, and signed by another program.
    const bytes = [
      'a7',
      '6174' + '1b000001a1ee565e7b',
      '6176' + '01',
      '63736967' + '5840' + SIGNATURE,
      '646e6f6465' + '5820' + '8a88e3dd7409f195fd52db2d3cba5d72ca6709bf1d94121bf3748801b40f6f5c',
      '656462536571' + '05',
      '656974656d73' + '81' + '5830' + '03'.repeat(32) + '04'.repeat(16),
      '657265616c6d' + '5820' + '02'.repeat(32),
    ]
    assert.equal(toHex(SIGNED), bytes.join(''))
  })

  it('comes back as it was', () => {
    assert.equal(
      asText(decodeHead(SIGNED)),
      asText({
        realm: HEAD.realm,
        node: KEY.publicKey,
        atMs: HEAD.atMs,
        items: HEAD.items,
        change: HEAD.change,
      }),
    )
    const items = Array.from({ length: MAX_HEAD_ITEMS }, (_, at) => ({
      repository: filled(32, at),
      digest: filled(16, at),
    }))
    const most = signHead({ ...HEAD, items, change: 2 ** 40 }, KEY)
    assert.ok(most.length <= MAX_HEAD_BYTES, `${most.length} bytes`)
    assert.equal(decodeHead(most).items.length, MAX_HEAD_ITEMS)
  })

  it('is refused when any byte is another, or missing', () => {
    for (let at = 0; at < SIGNED.length; at++) {
      assert.throws(() => decodeHead(SIGNED.subarray(0, at)), HubError)
      for (const flip of [1, 0x20, 0x80]) {
        const altered = Uint8Array.from(SIGNED)
        altered[at] = (altered[at] ?? 0) ^ flip
        assert.throws(() => decodeHead(altered), HubError)
      }
    }
  })

  it('is refused when it is something else', () => {
    const items = Array.from({ length: MAX_HEAD_ITEMS + 1 }, () => ({
      repository: filled(32, 1),
      digest: filled(16, 1),
    }))
    assert.throws(() => decodeHead(signHead({ ...HEAD, items }, KEY)), MalformedError)
    assert.throws(() => decodeHead(filled(MAX_HEAD_BYTES + 1, 0)), LimitError)
    const fields = { v: 1, realm: HEAD.realm, node: KEY.publicKey, t: 1, items: [], dbSeq: 1 }
    const signed = (value: Readonly<Record<string, CborValue>>, context: string) =>
      encodeCbor({ ...value, sig: KEY.sign(concat([fromUtf8(context), encodeCbor(value)])) })
    decodeHead(signed(fields, 'zhub-head-1\0'))
    assert.throws(
      () => decodeHead(signed(fields, 'zhub-gov-1\0')),
      MalformedError,
      'signed as something else',
    )
    assert.throws(() => decodeHead(signed({ ...fields, more: 1 }, 'zhub-head-1\0')), MalformedError)
    assert.throws(() => decodeHead(signed({ ...fields, v: 2 }, 'zhub-head-1\0')), MalformedError)
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        assert.throws(() => decodeHead(bytes), HubError)
      }),
      { numRuns: 2000 },
    )
  })
})
