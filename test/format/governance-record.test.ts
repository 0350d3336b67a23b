import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HubError, LimitError, MalformedError } from '../../src/errors.ts'
import { decodeCbor, encodeCbor } from '../../src/format/dag-cbor.ts'
import type { CborValue } from '../../src/format/dag-cbor.ts'
import { signingKey } from '../../src/format/ed25519.ts'
import { decodeRecord, signRecord } from '../../src/format/governance-record.ts'
import { toHex } from '../../src/util/bytes.ts'
import { asText } from '../doubles/as-text.ts'

const filled = (length: number, byte: number) => new Uint8Array(length).fill(byte)
const [ADMIN, OTHER] = [signingKey(filled(32, 1)), signingKey(filled(32, 2))]
const COMMON = { realm: filled(32, 4), rootVersion: 1, issuedS: 1_700_000_000 }

const RECORDS = [
  {
    ...COMMON,
    type: 'node.add',
    node: filled(32, 5),
    tokenKey: filled(32, 6),
    roles: ['writer'],
    name: 'one',
    addresses: ['/ip4/10.0.0.1/tcp/9901'],
  },
  {
    ...COMMON,
    type: 'node.cut',
    node: filled(32, 5),
    others: 'none',
    ends: [
      { log: filled(32, 7), sequence: 3, hash: filled(32, 8) },
      { log: filled(32, 9), sequence: 1, hash: filled(32, 8) },
    ],
  },
  { ...COMMON, type: 'node.uncut', cut: filled(32, 10) },
  { ...COMMON, type: 'token.revoke', token: filled(8, 11), untilS: 5 },
  { ...COMMON, type: 'token.revoke', user: 'alice.3bot', untilS: 1_700_000_000 },
  { ...COMMON, type: 'realm.name', name: 'my farm' },
  { ...COMMON, type: 'flist.purge', flist: filled(32, 12) },
] as const

/** Of each, signed by the first key: Ed25519 signatures are the same every time. */
const HASHES: readonly string[] = [
  '311cd00b036e8f938d5d8399d1ae8dd4bd6ac8652b6ec39b095de50d3a2873c8',
  '45df24e6216b9abfdfaba0d0c890c15158cb2a9dcd4eb4ad87b840293f55a9b5',
  'e37840b3a9d51c7efa52bd7457332035b773953bafacac97db31969043a2b6d2',
  '2f820274b8caa2d059b48de5b9062a28629769f579de05ec1773078860ac1140',
  'aeab8d61df8c123968d2204df819c7e0b3756001702debe14e945fd9b1e1e35d',
  'e6d9e0ff05d0dab652cfec957e3d65a4bf459581e3f9b2e7b0a8a9a10947e906',
  '8ce807ef70806716f8e0547ccb8dfb468719108d5ec201be68c5b9fec032a5d7',
]

function edit(bytes: Uint8Array, change: Record<string, CborValue>): Uint8Array {
  const fields = decodeCbor(bytes, { format: 'test', maxBytes: 2 ** 20 }) as Record<string, CborValue>
  return encodeCbor({ ...fields, ...change })
}

describe('governance records', () => {
  it('come back as they were, with signer and hash', () => {
    for (const record of RECORDS) {
      const signed = signRecord(record, ADMIN)
      const read = decodeRecord(signed.bytes)
      assert.deepEqual(JSON.parse(asText(read)), JSON.parse(asText(signed)))
      assert.equal(toHex(read.record.signer), toHex(ADMIN.publicKey))
    }
  })

  it('keep the bytes of the first release', () => {
    const hashes = RECORDS.map((record) => toHex(signRecord(record, ADMIN).hash))
    assert.deepEqual(hashes, HASHES)
  })

  it('are refused when anything in them is another', () => {
    for (const record of RECORDS) {
      const { bytes } = signRecord(record, ADMIN)
      for (const change of [
        { by: OTHER.publicKey },
        { v: 2 },
        { type: 'node.other' },
        { realm: filled(31, 4) },
        { more: 1 },
        { at: 1 },
        { sig: filled(64, 0) },
      ]) {
        assert.throws(() => decodeRecord(edit(bytes, change)), MalformedError)
      }
    }
    const all = RECORDS.map((record) => signRecord(record, ADMIN).bytes)
    fc.assert(
      fc.property(fc.nat(all.length - 1), fc.nat(), fc.integer({ min: 1, max: 255 }), (which, at, flip) => {
        const altered = Uint8Array.from(all[which] ?? [])
        altered[at % altered.length] = (altered[at % altered.length] ?? 0) ^ flip
        assert.throws(() => decodeRecord(altered), HubError)
      }),
      { numRuns: 1000 },
    )
  })

  it('have rules of their own: what a token revocation names, the order of a cut, their sizes', () => {
    const revoke = { ...COMMON, type: 'token.revoke' as const, untilS: 5 }
    assert.throws(() => decodeRecord(signRecord(revoke, ADMIN).bytes), MalformedError)
    const both = { ...revoke, token: filled(8, 1), user: 'alice' }
    assert.throws(() => decodeRecord(signRecord(both, ADMIN).bytes), MalformedError)
    const end = { log: filled(32, 7), sequence: 3, hash: filled(32, 8) }
    const twice = {
      ...COMMON,
      type: 'node.cut' as const,
      node: filled(32, 5),
      others: 'all' as const,
      ends: [end, end],
    }
    assert.throws(() => decodeRecord(signRecord(twice, ADMIN).bytes), MalformedError)
    const long = { ...COMMON, type: 'realm.name' as const, name: 'x'.repeat(20_000) }
    assert.throws(() => signRecord(long, ADMIN), LimitError)
    assert.throws(() => decodeRecord(new Uint8Array(2 ** 20 + 1)), LimitError)
  })
})
