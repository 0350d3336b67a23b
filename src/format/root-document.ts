import { createHash } from 'node:crypto'
import { compareBytes, concat, equalBytes, fromUtf8, toHex } from '../util/bytes.ts'
import { decodeCbor, encodeCbor } from './dag-cbor.ts'
import type { CborValue } from './dag-cbor.ts'
import { MAX_OBJECT_BYTES } from './descriptor.ts'
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verifySignature } from './ed25519.ts'
import type { SigningKey } from './ed25519.ts'
import { HASH_BYTES } from './operation.ts'
import { isArray, RecordReader } from './record.ts'

/**
 * Who may sign what in a realm (replication design 2.3, 2.4). Canonical dag-cbor, signed over its purpose and its bytes
 * without the signatures; described in OPERATIONS.md.
 */
export interface RootDocument {
  /** 1, 2, 3 …; the highest counts. */
  readonly version: number
  /** SHA-256 of the bytes of the version before. */
  readonly previous: Uint8Array | undefined
  readonly roles: Readonly<Record<RoleName, Role>>
  /** Unix seconds. */
  readonly issuedS: number
}

export const ROLE_NAMES = ['root', 'nodes', 'names'] as const
export type RoleName = (typeof ROLE_NAMES)[number]

/** A role acts by `threshold` signatures of `keys`. */
export interface Role {
  readonly keys: readonly Uint8Array[]
  readonly threshold: number
}

export interface SignedRoot {
  readonly root: RootDocument
  /** Id of the realm when this is version 1. */
  readonly id: Uint8Array
  readonly bytes: Uint8Array
  /** SHA-256 of `bytes`: what the next version names. */
  readonly hash: Uint8Array
  readonly signatures: readonly RootSignature[]
}

export interface RootSignature {
  readonly key: Uint8Array
  readonly signature: Uint8Array
}

/** Ours. */
const MAX_KEYS = 32

const ROOT_CONTEXT = fromUtf8('zhub-root-1\0')

/** `signers` reach the threshold of role `root`, of this version and, from the second on, of the one before. */
export function signRoot(root: RootDocument, signers: readonly SigningKey[]): SignedRoot {
  const unsigned = encodeRoot(root)
  const message = concat([ROOT_CONTEXT, encodeCbor(unsigned)])
  const signatures = signers
    .map((key) => ({ key: key.publicKey, signature: key.sign(message) }))
    .sort((a, b) => compareBytes(a.key, b.key))
  const sigs = signatures.map(({ key, signature }) => ({ key, sig: signature }))
  const bytes = encodeCbor({ ...unsigned, sigs })
  return { root, id: realmId(root), bytes, hash: hashOf(bytes), signatures }
}

/** SHA-256 over the first root document, without its signatures. */
function realmId(root: RootDocument): Uint8Array {
  return createHash('sha256')
    .update('zhub-realm-1')
    .update(encodeCbor(encodeRoot(root)))
    .digest()
}

function encodeRoot(root: RootDocument): Record<string, CborValue> {
  const role = ({ keys, threshold }: Role) => ({ keys, t: threshold })
  const { roles } = root
  return {
    v: 1,
    n: root.version,
    prev: root.previous ?? null,
    roles: { root: role(roles.root), nodes: role(roles.nodes), names: role(roles.names) },
    policy: {},
    issued: root.issuedS,
  }
}

/** @throws {MalformedError | LimitError} also when its own root keys did not sign it. */
export function decodeRoot(bytes: Uint8Array): SignedRoot {
  const format = 'root document'
  const fields = new RecordReader(decodeCbor(bytes, { format, maxBytes: MAX_OBJECT_BYTES }), format)
  fields.version(1)
  const roles = fields.record('roles')
  const root: RootDocument = {
    version: fields.integer('n', 1),
    previous: fields.value('prev') === null ? undefined : fields.bytes('prev', HASH_BYTES),
    roles: {
      root: readRole(roles, 'root'),
      nodes: readRole(roles, 'nodes'),
      names: readRole(roles, 'names'),
    },
    issuedS: fields.integer('issued'),
  }
  roles.end()
  fields.record('policy').end()
  const signed = { root, id: realmId(root), bytes, hash: hashOf(bytes), signatures: readSignatures(fields) }
  if (!isSignedBy(signed, root.roles.root)) throw fields.fail('its root keys did not sign it')
  fields.end()
  return signed
}

function readRole(roles: RecordReader, name: RoleName): Role {
  const fields = roles.record(name)
  const keys = fields.bytesList('keys', PUBLIC_KEY_BYTES, MAX_KEYS)
  const role = { keys, threshold: fields.integer('t', 1, keys.length) }
  fields.end()
  return role
}

function readSignatures(fields: RecordReader): RootSignature[] {
  const sigs = fields.value('sigs')
  if (!isArray(sigs) || sigs.length > 2 * MAX_KEYS) throw fields.fail('sigs is no list of signatures')
  return sigs.map((value) => {
    const item = new RecordReader(value, 'root document')
    const signature = {
      key: item.bytes('key', PUBLIC_KEY_BYTES),
      signature: item.bytes('sig', SIGNATURE_BYTES),
    }
    item.end()
    return signature
  })
}

/** As many keys of the role signed it as its threshold asks for. */
export function isSignedBy({ root, signatures }: SignedRoot, { keys, threshold }: Role): boolean {
  const message = concat([ROOT_CONTEXT, encodeCbor(encodeRoot(root))])
  const valid = keys.filter((key) =>
    signatures.some((one) => equalBytes(one.key, key) && verifySignature(key, message, one.signature)),
  )
  return new Set(valid.map(toHex)).size >= threshold
}

/** Is there a signature that is wrong, not asked for, twice or out of order? Then it is another spelling of a document. */
export function hasStraySignatures({ root, signatures }: SignedRoot, roles: readonly Role[]): boolean {
  const message = concat([ROOT_CONTEXT, encodeCbor(encodeRoot(root))])
  return signatures.some(({ key, signature }, at) => {
    const before = signatures[at - 1]
    const isAsked = roles.some(({ keys }) => keys.some((one) => equalBytes(one, key)))
    const isInOrder = before === undefined || compareBytes(before.key, key) < 0
    return !isAsked || !isInOrder || !verifySignature(key, message, signature)
  })
}

function hashOf(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}
