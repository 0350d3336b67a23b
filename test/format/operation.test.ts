import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HubError, InvalidInputError, LimitError, MalformedError } from '../../src/errors.ts'
import { decodeCbor, encodeCbor, linkTo } from '../../src/format/dag-cbor.ts'
import type { CborValue } from '../../src/format/dag-cbor.ts'
import { signingKey } from '../../src/format/ed25519.ts'
import type { Effect } from '../../src/format/effect.ts'
import {
  decodeOperation,
  logId,
  MAX_OPERATION_BYTES,
  operationHash,
  repositoryId,
  signOperation,
  verifyOperation,
} from '../../src/format/operation.ts'
import type { Operation } from '../../src/format/operation.ts'
import { fromHex, toHex } from '../../src/util/bytes.ts'

const KEY = signingKey(new Uint8Array(32).fill(7))
const hash = (fill: number) => new Uint8Array(32).fill(fill)
const PUT: Effect = {
  name: 'debian.flist',
  type: 'put',
  target: { kind: 'file', flist: hash(5), sizeBytes: 1234, md5: '00112233445566778899aabbccddeeff' },
  supersedes: [],
}
const FIRST: Operation = {
  realm: hash(1),
  repository: 'alice',
  author: KEY.publicKey,
  incarnation: new Uint8Array(8).fill(2),
  sequence: 1,
  previous: undefined,
  time: { ms: 1_700_000_000_123, counter: 0 },
  effects: [PUT],
  user: { sub: 'alice.3bot', idp: '3bot' },
  rootVersion: 1,
}
const FULL: Operation = {
  ...FIRST,
  repository: 'bob & co',
  sequence: 7,
  previous: hash(9),
  time: { ms: 1_700_000_000_456, counter: 3 },
  effects: [
    { ...PUT, name: 'custom name+x.flist', updatedS: 1_600_000_000, supersedes: [hash(3), hash(4)] },
    { name: 'old.fl', type: 'delete', supersedes: [hash(3)] },
    { name: 'latest.flist', type: 'put', target: { kind: 'link', name: 'old.fl' }, supersedes: [] },
    {
      name: 'theirs.flist',
      type: 'put',
      target: { kind: 'xlink', repository: 'other', name: 'a.flist' },
      supersedes: [],
    },
    {
      name: 'app.flist',
      tag: 'v1',
      type: 'put',
      target: { kind: 'tagentry', repository: 'other', name: 'a.flist' },
      supersedes: [],
    },
    {
      name: 'stable',
      type: 'put',
      target: { kind: 'taglink', repository: 'bob & co', tag: 'v1' },
      supersedes: [],
    },
    { name: 'torn.flist', type: 'resolve', target: { kind: 'link', name: 'old.fl' }, supersedes: [hash(6)] },
    { name: 'gone.flist', type: 'resolve', supersedes: [hash(6)] },
  ],
  user: { sub: 'https://hub.example', idp: 'mirror', evidence: hash(8) },
  grant: hash(10),
}

/** The fields of an operation's bytes, to be changed and encoded again. */
function fieldsOf(operation: Operation): Record<string, CborValue> {
  const { bytes } = signOperation(operation, KEY)
  return {
    ...(decodeCbor(bytes, { format: 'test', maxBytes: MAX_OPERATION_BYTES }) as Record<string, CborValue>),
  }
}

function effectFields(change: Record<string, CborValue>): Record<string, CborValue> {
  const fields = fieldsOf(FIRST)
  const [effect] = fields.eff as ReadonlyArray<Record<string, CborValue>>
  return { ...fields, eff: [{ ...effect, ...change }] }
}

describe('operation', () => {
  for (const [file, operation] of [
    ['first', FIRST],
    ['full', FULL],
  ] as const) {
    it(`keeps its bytes for ever: ${file}`, async () => {
      const golden = (await readFile(`test/golden/operation/${file}.hex`, 'utf8')).trim()
      const signed = signOperation(operation, KEY)
      assert.equal(toHex(signed.bytes), golden)
      const read = decodeOperation(fromHex(golden) ?? assert.fail())
      assert.deepEqual(JSON.stringify(read.operation), JSON.stringify(signed.operation))
      assert.ok(verifyOperation(read))
      assert.deepEqual(read.hash, operationHash(signed.bytes))
    })
  }

  it('is given back by its bytes, field by field', () => {
    const { operation } = signOperation(FULL, KEY)
    assert.deepEqual(operation.effects[1], { ...FULL.effects[1] })
    assert.deepEqual(operation.effects[4], { ...FULL.effects[4] })
    assert.deepEqual(operation.effects[6], { ...FULL.effects[6] })
    assert.deepEqual(operation.user, FULL.user)
    assert.deepEqual(operation.time, FULL.time)
  })

  it('counts as signed only with every byte as it was', () => {
    const { bytes } = signOperation(FULL, KEY)
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const other = bytes.slice()
        other[at] = (other[at] ?? 0) ^ change
        try {
          assert.equal(verifyOperation(decodeOperation(other)), false)
        } catch (error) {
          assert.ok(error instanceof HubError, String(error))
        }
      }),
      { numRuns: 500 },
    )
  })

  it('is signed under its own context: the bare bytes are not enough', () => {
    const { sig: _, ...unsigned } = fieldsOf(FIRST)
    const forged = encodeCbor({ ...unsigned, sig: KEY.sign(encodeCbor(unsigned)) })
    assert.equal(verifyOperation(decodeOperation(forged)), false)
  })

  it('does not verify under another author', () => {
    const other = { ...FIRST, author: signingKey(new Uint8Array(32).fill(8)).publicKey }
    assert.equal(verifyOperation(signOperation(other, KEY)), false)
  })

  const wrongFields: Record<string, Record<string, CborValue>> = {
    'another version': { v: 2 },
    'an unknown field': { more: 1 },
    'a short realm': { realm: new Uint8Array(31) },
    'a repository id of another realm': { realm: hash(2) },
    'a repository id that is not of its name': { repo: hash(3) },
    'a reserved repository': { repoName: 'api' },
    'sequence 0': { seq: 0 },
    'a sequence over 48 bits': { seq: 2 ** 48, prev: hash(1) },
    'a sequence that is text': { seq: '1' },
    'a first operation with a predecessor': { prev: hash(1) },
    'a later operation without one': { seq: 2 },
    'a time before 1970': { hlc: [-1, 0] },
    'a time without counter': { hlc: [1] },
    'no effects': { eff: [] },
    'a user of no known kind': { user: { sub: 'a', idp: 'x' } },
    'a user with more fields': { user: { sub: 'a', idp: 'jwt', admin: true } },
    'root version 0': { gov: 0 },
    'a short signature': { sig: new Uint8Array(63) },
    'a grant that is no link': { auth: hash(1) },
  }
  for (const [what, change] of Object.entries(wrongFields)) {
    it(`is refused with ${what}`, () => {
      assert.throws(() => decodeOperation(encodeCbor({ ...fieldsOf(FIRST), ...change })), MalformedError)
    })
  }

  const wrongEffects: Record<string, Record<string, CborValue>> = {
    'a name that climbs': { k: 'f/..' },
    'a name with a slash': { k: 'f/a/b.flist' },
    'a name that is not NFC': { k: 'f/e\u0301.flist' },
    'a file name without suffix': { k: 'f/debian' },
    'a name of no space': { k: 'x/debian.flist' },
    'a file among tag entries': { k: 't/v1/debian.flist' },
    'an unknown kind': { kind: 'dir' },
    'a kind that its target is not': { kind: 'link' },
    'a delete with a target': { kind: 'del' },
    'a link to a bad name': { kind: 'link', tgt: '../x.flist', meta: { at: 1 } },
    'a crosslink to a reserved repository': {
      kind: 'xlink',
      tgt: { repo: 'me', name: 'a.flist' },
      meta: { at: 1 },
    },
    'a taglink under a flist name': { kind: 'taglink', tgt: { repo: 'a', tag: 'b' }, meta: { at: 1 } },
    'a target with more fields': {
      kind: 'xlink',
      tgt: { repo: 'a', name: 'a.flist', x: 1 },
      meta: { at: 1 },
    },
    'a target of digits': { tgt: 5 },
    'a size of 0': { meta: { size: 0, md5: new Uint8Array(16) } },
    'a size over 48 bits': { meta: { size: 2 ** 48, md5: new Uint8Array(16) } },
    'a short md5': { meta: { size: 1, md5: new Uint8Array(15) } },
    'no md5': { meta: { size: 1 } },
    'unknown meta': { meta: { size: 1, md5: new Uint8Array(16), x: 1 } },
    'sup twice the same': { sup: [hash(1), hash(1)] },
    'sup out of order': { sup: [hash(2), hash(1)] },
    'sup of a short hash': { sup: [new Uint8Array(31)] },
  }
  for (const [what, change] of Object.entries(wrongEffects)) {
    it(`is refused with ${what}`, () => {
      assert.throws(() => decodeOperation(encodeCbor(effectFields(change))), MalformedError)
    })
  }

  it('is refused with two effects on one name, and with over 64 superseded in all', () => {
    const fields = fieldsOf(FIRST)
    const [effect] = fields.eff as ReadonlyArray<Record<string, CborValue>>
    assert.throws(
      () => decodeOperation(encodeCbor({ ...fields, eff: [effect ?? null, effect ?? null] })),
      MalformedError,
    )
    const many = (from: number) => Array.from({ length: 33 }, (_, index) => hash(from + index))
    const eff = [
      { k: 'f/a.flist', kind: 'del', sup: many(0) },
      { k: 'f/b.flist', kind: 'del', sup: many(40) },
    ]
    assert.throws(() => decodeOperation(encodeCbor({ ...fields, eff })), MalformedError)
  })

  it('is not made outside its limits', () => {
    const deletes = (count: number) =>
      Array.from({ length: count }, (_, index): Effect => ({
        name: `${index}.flist`,
        type: 'delete',
        supersedes: [],
      }))
    const sign = (effects: readonly Effect[]) => signOperation({ ...FIRST, effects }, KEY)
    assert.doesNotThrow(() => sign(deletes(64)))
    assert.throws(() => sign(deletes(65)), LimitError)
    assert.throws(
      () => sign([{ ...PUT, supersedes: Array.from({ length: 65 }, (_, i) => hash(i)) }]),
      LimitError,
    )
    const long = (index: number) => `${String(index).padStart(249, 'x')}.flist`
    const fat = deletes(64).map((effect, index) => ({
      ...PUT,
      ...effect,
      type: 'put' as const,
      name: long(index),
    }))
    assert.throws(() => sign(fat), LimitError)
    assert.throws(() => sign([{ ...PUT, name: 'no-suffix' }]), InvalidInputError)
    assert.throws(() => decodeOperation(new Uint8Array(MAX_OPERATION_BYTES + 1)), LimitError)
  })

  it('names repositories and logs by realm, name, author and incarnation', () => {
    assert.equal(toHex(repositoryId(hash(1), 'alice')), GOLDEN_REPOSITORY_ID)
    const id = repositoryId(hash(1), 'alice')
    assert.equal(toHex(logId(id, hash(2), new Uint8Array(8).fill(3))), GOLDEN_LOG_ID)
    assert.notDeepEqual(repositoryId(hash(2), 'alice'), id)
  })

  it('links its grant by a CID', () => {
    const fields = fieldsOf({ ...FIRST, grant: hash(3) })
    assert.deepEqual(encodeCbor(fields.auth ?? null), encodeCbor(linkTo(hash(3))))
  })
})

const GOLDEN_REPOSITORY_ID = 'cb2148cce87f04e6330f38394dbf233ee2adf0ec9ed14a8280541b5a5fcebf1e'
const GOLDEN_LOG_ID = '6f736d4099b30d6aa585a2db47562037c004abd3f1537298dd586958800b9445'
