/** Operations that were changed on the way, and rows before and after (security.md 15). */
import assert from 'node:assert/strict'
import { createPrivateKey, generateKeyPairSync, sign } from 'node:crypto'
import { describe, it } from 'node:test'
import { HubError } from '../../src/errors.ts'
import { equalBytes } from '../../src/util/bytes.ts'
import { readArrival } from '../../src/repo/arrival.ts'
import { JwtVerifier, parseJwtKeys } from '../../src/repo/jwt.ts'
import { fieldsOf, logOf, otherFields } from '../doubles/byzantine-operations.ts'
import { encodeCbor } from '../../src/format/dag-cbor.ts'
import { fuzz, mutated } from '../doubles/mutation-fuzz.ts'
import { REALM, TestAuthority, TestNode } from './several-nodes.ts'

describe('I1: an operation that was changed', () => {
  it('leaves every row as it was: each field, and bytes at random', async () => {
    const authority = new TestAuthority()
    const author = await TestNode.open(1, authority)
    const node = await TestNode.open(2, authority)
    const log = logOf(author.key, REALM, [
      {},
      { effects: [{ name: 'b.flist', type: 'delete', supersedes: [] }] },
    ])
    await node.repositories.receive('r', log)
    const before = await node.everything()
    const lies = log.flatMap(({ bytes }) => {
      const fields = fieldsOf(bytes)
      return Object.entries(otherFields(REALM)).map(([field, change]) =>
        encodeCbor({ ...fields, [field]: change(fields) }),
      )
    })
    const seeds = log.map(({ bytes }) => bytes)
    for (let seed = 0; seed < 3000; seed++) lies.push(mutated(seeds, seed))
    let refused = 0
    for (const bytes of lies) {
      if (seeds.some((one) => equalBytes(one, bytes))) continue
      try {
        await node.repositories.receive('r', [readArrival(bytes, REALM, authority)])
      } catch (error) {
        assert.ok(error instanceof HubError, String(error))
        refused++
      }
    }
    assert.ok(refused > 2000)
    assert.equal(await node.everything(), before)
    assert.deepEqual(await node.problems(), [])
  })
})

describe('tokens of others, changed at random (security.md 8)', () => {
  it('are refused, unless not a letter of them is another', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
    const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const signed = `${part({ alg: 'ES384', typ: 'JWT' })}.${part({ username: 'alice', scope: ['user:memberof:orgA', ''], exp: 2_000_000_000 })}`
    const key = createPrivateKey(privateKey.export({ type: 'pkcs8', format: 'pem' }))
    const token = `${signed}.${sign('sha384', Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
    const keys = parseJwtKeys(publicKey.export({ type: 'spki', format: 'pem' }).toString())
    const verifier = new JwtVerifier({ keys, clock: () => 1_800_000_000_000 })
    fuzz({
      seeds: [Buffer.from(token)],
      read: (bytes) => {
        assert.equal(verifier.verify(Buffer.from(bytes).toString('latin1')).username, 'alice')
        return Buffer.from(token)
      },
    })
  })
})
