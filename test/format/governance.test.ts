import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MalformedError } from '../../src/errors.ts'
import { decodeCbor, encodeCbor } from '../../src/format/dag-cbor.ts'
import type { CborValue } from '../../src/format/dag-cbor.ts'
import { signingKey } from '../../src/format/ed25519.ts'
import { decodeNodeRecord, decodeRoot, signNodeRecord, signRoot } from '../../src/format/governance.ts'
import type { RootDocument } from '../../src/format/governance.ts'
import { toHex } from '../../src/util/bytes.ts'

const [A, B, C] = [1, 2, 3].map((fill) => signingKey(new Uint8Array(32).fill(fill))) as [
  ReturnType<typeof signingKey>,
  ReturnType<typeof signingKey>,
  ReturnType<typeof signingKey>,
]
const role = { keys: [C.publicKey], threshold: 1 }
const ROOT: RootDocument = {
  version: 1,
  previous: undefined,
  roles: { root: { keys: [A.publicKey, B.publicKey], threshold: 2 }, nodes: role, names: role },
  issuedS: 1_700_000_000,
}
const RECORD = {
  realm: new Uint8Array(32).fill(4),
  rootVersion: 1,
  node: A.publicKey,
  tokenKey: B.publicKey,
  roles: ['writer'],
  name: 'one',
  addresses: ['/ip4/127.0.0.1/tcp/1'],
  addedS: 1_700_000_000,
}

function edit(bytes: Uint8Array, change: Record<string, CborValue>): Uint8Array {
  const fields = decodeCbor(bytes, { format: 'test', maxBytes: 4096 }) as Record<string, CborValue>
  return encodeCbor({ ...fields, ...change })
}

describe('root document', () => {
  it('is given back by its bytes; its id does not depend on who signed', () => {
    const signed = signRoot(ROOT, [A, B])
    assert.equal(JSON.stringify(decodeRoot(signed.bytes).root), JSON.stringify(ROOT))
    assert.equal(toHex(decodeRoot(signed.bytes).id), toHex(signRoot(ROOT, [B, A, C]).id))
    assert.notEqual(toHex(signRoot({ ...ROOT, issuedS: 1 }, [A, B]).id), toHex(signed.id))
  })

  it('needs the threshold of its root keys, each once', () => {
    for (const signers of [[], [A], [A, A], [A, C]]) {
      assert.throws(() => decodeRoot(signRoot(ROOT, signers).bytes), MalformedError)
    }
    const twice = {
      ...ROOT,
      roles: { ...ROOT.roles, root: { keys: [A.publicKey, A.publicKey], threshold: 2 } },
    }
    assert.throws(() => decodeRoot(signRoot(twice, [A]).bytes), MalformedError)
  })

  it('is refused when anything in it was changed', () => {
    const { bytes } = signRoot(ROOT, [A, B])
    const none = { keys: [], t: 1 }
    for (const change of [
      { n: 2 },
      { n: 0 },
      { issued: 5 },
      { v: 2 },
      { more: 1 },
      { policy: { x: 1 } },
      { roles: { root: none, nodes: none, names: none } },
      { sigs: 1 },
    ]) {
      assert.throws(() => decodeRoot(edit(bytes, change)), MalformedError)
    }
  })
})

describe('node record', () => {
  it('is given back by its bytes, with its signer', () => {
    const read = decodeNodeRecord(signNodeRecord(RECORD, C))
    assert.equal(JSON.stringify(read), JSON.stringify({ ...RECORD, signer: C.publicKey }))
  })

  it('is refused when anything in it was changed', () => {
    const bytes = signNodeRecord(RECORD, C)
    for (const change of [
      { name: 'two' },
      { by: A.publicKey },
      { type: 'node.cut' },
      { roles: [1] },
      { more: 1 },
      { sig: new Uint8Array(64) },
    ]) {
      assert.throws(() => decodeNodeRecord(edit(bytes, change)), MalformedError)
    }
  })
})
