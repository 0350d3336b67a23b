import { decodeCbor, encodeCbor } from '../../src/format/dag-cbor.ts'
import type { CborValue } from '../../src/format/dag-cbor.ts'
import type { SigningKey } from '../../src/format/ed25519.ts'
import { repositoryId, signOperation } from '../../src/format/operation.ts'
import type { Operation, SignedOperation } from '../../src/format/operation.ts'
import { concat, fromUtf8 } from '../../src/util/bytes.ts'
import { flist } from '../repo/a-repository.ts'

export type Fields = Record<string, CborValue>

const START_MS = 1_700_000_000_000

/** An honest operation: the first one of a log in repository `r`. */
export function operationBy(key: SigningKey, realm: Uint8Array, other: Partial<Operation> = {}): Operation {
  return {
    realm,
    repository: 'r',
    author: key.publicKey,
    incarnation: new Uint8Array(8).fill(0xb1),
    sequence: 1,
    previous: undefined,
    time: { ms: START_MS, counter: 0 },
    effects: [{ name: 'theirs.flist', type: 'put', target: flist(1), supersedes: [] }],
    user: { sub: 'mallory', idp: 'token' },
    rootVersion: 1,
    ...other,
  }
}

export function fieldsOf(bytes: Uint8Array): Fields {
  return { ...(decodeCbor(bytes, { format: 'operation', maxBytes: 1e6 }) as Fields) }
}

/** Whatever the fields are, signed as an operation is. */
export function signFields(fields: Fields, key: SigningKey): Uint8Array {
  const { sig: _, ...unsigned } = fields
  const signature = key.sign(concat([fromUtf8('zhub-op-1\0'), encodeCbor(unsigned)]))
  return encodeCbor({ ...unsigned, sig: signature })
}

/** Each field of an operation as something else. */
export function otherFields(realm: Uint8Array): Readonly<Record<string, (fields: Fields) => CborValue>> {
  const hash = new Uint8Array(32).fill(0xaa)
  const effect = (change: Fields) => (fields: Fields) => [
    { ...((fields['eff'] as readonly Fields[])[0] ?? {}), ...change },
  ]
  return {
    v: () => 2,
    realm: () => hash,
    repo: () => repositoryId(realm, 'other'),
    repoName: () => 'other',
    author: () => hash,
    inc: () => new Uint8Array(8),
    seq: () => 2,
    prev: () => hash,
    hlc: () => [1, 1],
    eff: effect({ k: 'f/another.flist' }),
    user: () => ({ sub: 'root', idp: 'token' }),
    gov: () => 7,
    sig: () => new Uint8Array(64),
  }
}

/** Operations that their author, a member, signed, and that are none: the bytes, and what is wrong with them. */
export function signedNonsense(key: SigningKey, realm: Uint8Array): ReadonlyMap<string, Uint8Array> {
  const fields = fieldsOf(signOperation(operationBy(key, realm), key).bytes)
  const [effect] = fields['eff'] as readonly Fields[]
  const changed: Record<string, Fields> = {
    'a name that leaves the folder': { eff: [{ ...effect, k: 'f/../x.flist' }] },
    'a name with a control character': { eff: [{ ...effect, k: 'f/a\u0007.flist' }] },
    'a name that is not NFC': { eff: [{ ...effect, k: 'f/e\u0301.flist' }] },
    'no effect': { eff: [] },
    'the same effect twice': { eff: [effect ?? {}, effect ?? {}] },
    '65 superseded operations': {
      eff: [{ ...effect, sup: Array.from({ length: 65 }, (_, at) => new Uint8Array(32).fill(at)) }],
    },
    'superseded operations out of order': {
      eff: [{ ...effect, sup: [new Uint8Array(32).fill(2), new Uint8Array(32).fill(1)] }],
    },
    'a sequence number of 0': { seq: 0 },
    'a sequence number of 2^53 - 1': { seq: Number.MAX_SAFE_INTEGER, prev: new Uint8Array(32) },
    'a first number that follows something': { prev: new Uint8Array(32).fill(3) },
    'a time of 2^53 - 1': { hlc: [Number.MAX_SAFE_INTEGER, 0] },
    'a time before 1970': { hlc: [-1, 0] },
    'an unknown field': { more: 1 },
    'a reserved repository': { repoName: 'api', repo: repositoryId(realm, 'api') },
    'over 16 KiB': { user: { sub: 'x'.repeat(17_000), idp: 'token' } },
  }
  return new Map(
    Object.entries(changed).map(([what, change]) => [what, signFields({ ...fields, ...change }, key)]),
  )
}

/** Operations of a log, each after the one before it. */
export function logOf(
  key: SigningKey,
  realm: Uint8Array,
  others: ReadonlyArray<Partial<Operation>>,
): SignedOperation[] {
  const log: SignedOperation[] = []
  for (const [at, other] of others.entries()) {
    const previous = log.at(-1)?.hash
    const time = { ms: START_MS + at, counter: 0 }
    log.push(signOperation(operationBy(key, realm, { sequence: at + 1, previous, time, ...other }), key))
  }
  return log
}
