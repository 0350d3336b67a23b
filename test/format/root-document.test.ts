import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MalformedError } from '../../src/errors.ts'
import { decodeCbor, encodeCbor } from '../../src/format/dag-cbor.ts'
import type { CborValue } from '../../src/format/dag-cbor.ts'
import { signingKey } from '../../src/format/ed25519.ts'
import { decodeRoot, signRoot } from '../../src/format/root-document.ts'
import type { RootDocument } from '../../src/format/root-document.ts'
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
