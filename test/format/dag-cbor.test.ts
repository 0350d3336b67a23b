import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { LimitError, MalformedError } from '../../src/errors.ts'
import { decodeCbor, encodeCbor, linkDigest, linkTo } from '../../src/format/dag-cbor.ts'
import type { CborValue } from '../../src/format/dag-cbor.ts'
import { fromHex, toHex } from '../../src/util/bytes.ts'

const OPTIONS = { format: 'test', maxBytes: 1024 }

function decodeHex(hex: string): CborValue {
  return decodeCbor(fromHex(hex) ?? assert.fail(`no hex: ${hex}`), OPTIONS)
}

const { value: anyValue } = fc.letrec<{ value: CborValue }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 3 },
    fc.constant(null),
    fc.boolean(),
    fc.maxSafeInteger(),
    fc.string({ unit: 'grapheme', maxLength: 8 }),
    fc.uint8Array({ maxLength: 8 }),
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.string({ minLength: 1, maxLength: 4 }), tie('value'), {
      maxKeys: 4,
      noNullPrototype: true,
    }),
  ),
}))

describe('dag-cbor', () => {
  it('gives back every value of its kind', () => {
    fc.assert(
      fc.property(anyValue, (value) => {
        const bytes = encodeCbor(value)
        assert.deepEqual(encodeCbor(decodeCbor(bytes, { ...OPTIONS, maxBytes: 1 << 20 })), bytes)
      }),
    )
  })

  it('has one form: keys by length and then bytes, shortest integers', () => {
    assert.equal(toHex(encodeCbor({ bb: 1, c: 24, a: 'x' })), 'a36161617861631818626262' + '01')
  })

  it('links by tag 42 to dag-cbor objects under SHA-256', () => {
    const digest = new Uint8Array(32).fill(7)
    const bytes = encodeCbor(linkTo(digest))
    assert.equal(toHex(bytes), 'd82a58250001711220' + '07'.repeat(32))
    assert.deepEqual(linkDigest(decodeCbor(bytes, OPTIONS)), digest)
    assert.equal(linkDigest(digest), undefined)
  })

  const refused: Record<string, string> = {
    'nothing at all': '',
    'bytes after the end': '0000',
    'an integer that is not the shortest': '1817',
    'a length that is not the shortest': '5801ff',
    'keys out of order': 'a2616200616100',
    'a key twice': 'a2616100616101',
    'keys in byte order where length comes first': 'a262616100616200',
    'a key that is no text': 'a10101',
    'an array of indefinite length': '9f01ff',
    'bytes of indefinite length': '5f4101ff',
    'a map of indefinite length': 'bf616101ff',
    'half precision': 'f93c00',
    'double precision': 'fb3ff8000000000000',
    undefined: 'f7',
    'a simple value': 'f0',
    'a tag that is not 42': 'c100',
    'a link without a CID': 'd82a4100',
    'text that is no UTF-8': '61ff',
    'a reserved length': '1c',
    'a head that is cut': '19',
    'bytes that are cut': '43ff',
    'an array longer than the rest': '9b7fffffffffffffff',
    'an array that is cut': '8201',
  }
  for (const [what, hex] of Object.entries(refused)) {
    it(`refuses ${what}`, () => assert.throws(() => decodeHex(hex), MalformedError))
  }

  it('takes __proto__ as a key like any other', () => {
    const value = decodeHex('a1695f5f70726f746f5f5fa16161f5') as object
    assert.deepEqual(Object.keys(value), ['__proto__'])
    assert.equal('a' in value, false)
  })

  it('refuses more bytes, depth and keys than allowed before building anything', () => {
    assert.throws(() => decodeCbor(new Uint8Array(1025), OPTIONS), LimitError)
    assert.throws(() => decodeHex('81'.repeat(9) + '00'), LimitError)
    assert.throws(() => decodeHex('81'.repeat(1000)), LimitError)
    assert.doesNotThrow(() => decodeHex('81'.repeat(8) + '00'))
    assert.throws(() => decodeHex('b90101'), LimitError)
    assert.throws(() => decodeHex('bb7fffffffffffffff'), LimitError)
  })

  it('fails in no other way on hostile bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
        try {
          assert.deepEqual(encodeCbor(decodeCbor(bytes, OPTIONS)), bytes)
        } catch (error) {
          assert.ok(error instanceof MalformedError || error instanceof LimitError, String(error))
        }
      }),
      { numRuns: 2000 },
    )
  })
})
