import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HubError, MalformedError } from '../../src/errors.ts'
import { decodeRows, encodeRows } from '../../src/format/chunk-list-rows.ts'
import { decodeCbor, encodeCbor } from '../../src/format/dag-cbor.ts'

const bytes = (...lengths: number[]) =>
  fc.constantFrom(...lengths).chain((length) => fc.uint8Array({ minLength: length, maxLength: length }))
const length = fc.oneof(fc.nat(300), fc.constantFrom(23, 24, 255, 256, 65_535, 65_536), fc.nat(1_048_576))
const row = fc.tuple(bytes(16, 32), length, bytes(32))

describe('rows of a chunk list', () => {
  it('have the bytes of the general codec, and read back', () => {
    fc.assert(
      fc.property(fc.array(row, { maxLength: 300 }), (rows) => {
        const encoded = encodeRows(rows)
        assert.deepEqual(Buffer.from(encoded), Buffer.from(encodeCbor(rows)))
        const decoded = decodeRows(encoded, 'list', 300).map(([id, size, sha256]) => [
          Uint8Array.from(id),
          size,
          Uint8Array.from(sha256),
        ])
        assert.deepEqual(decoded, rows)
      }),
      { numRuns: 100 },
    )
  })

  it('that the general codec refuses are refused, and never read differently', () => {
    const options = { format: 'list', maxBytes: 1_000_000 }
    const change = fc.record({ at: fc.nat(10_000), byte: fc.nat(255), cut: fc.nat(40) })
    fc.assert(
      fc.property(fc.array(row, { minLength: 1, maxLength: 4 }), change, (rows, { at, byte, cut }) => {
        const damaged = Buffer.from(encodeRows(rows))
        damaged[at % damaged.length] = byte
        const given = damaged.subarray(0, damaged.length - (cut > 35 ? cut : 0))
        const read = attempt(() => decodeRows(given, 'list', 4))
        if (read === undefined) return
        const general = decodeCbor(given, options) as typeof rows
        assert.deepEqual(
          read.map(([id, size, sha256]) => [Buffer.from(id), size, Buffer.from(sha256)]),
          general.map(([id, size, sha256]) => [Buffer.from(id), size, Buffer.from(sha256)]),
        )
      }),
      { numRuns: 500 },
    )
  })

  it('are refused when they are too many, or not in the shortest form', () => {
    const rows = [[Buffer.alloc(16), 5, Buffer.alloc(32)]] as const
    const hex = Buffer.from(encodeRows(rows)).toString('hex')
    const forms = [
      hex.replace(/^81/, '9801'), // one row, in two bytes
      hex.replace('0558', '180558'), // five, in two bytes
      hex.replace(/^81/, '9f'), // until a break
      hex.replace('8350', '8370'), // text
      hex + '00',
      hex.slice(0, -2),
      '9affffffff',
      '',
    ]
    for (const form of forms)
      assert.throws(() => decodeRows(Buffer.from(form, 'hex'), 'list', 4), MalformedError, form)
    assert.throws(() => decodeRows(encodeRows([...rows, ...rows]), 'list', 1), MalformedError)
  })
})

function attempt<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    if (error instanceof HubError) return undefined
    throw error
  }
}
