import { createHash } from 'node:crypto'
import { concat, fromUtf8 } from '../util/bytes.ts'
import { decodeCbor, encodeCbor } from './dag-cbor.ts'
import type { CborValue } from './dag-cbor.ts'
import { MAX_OBJECT_BYTES } from './descriptor.ts'
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verifySignature } from './ed25519.ts'
import type { SigningKey } from './ed25519.ts'
import { HASH_BYTES } from './operation.ts'
import { isArray, RecordReader } from './record.ts'

/**
 * Who may do what in a realm (replication design 2.3, 2.4): the root document, and the record that admits a node.
 * Both are canonical dag-cbor, signed over their purpose and their bytes without the signatures.
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
}

/** Admits a node, and names the key that signs tokens there. Signed by a key of the role `nodes`. */
export interface NodeRecord {
  readonly realm: Uint8Array
  readonly rootVersion: number
  readonly node: Uint8Array
  readonly tokenKey: Uint8Array
  readonly roles: readonly string[]
  readonly name: string
  readonly addresses: readonly string[]
  /** Unix seconds. */
  readonly addedS: number
  /** Of the role `nodes`. */
  readonly signer: Uint8Array
}

/** Ours. */
const MAX_KEYS = 32
const MAX_ADDRESSES = 32
const MAX_ROLES = 8
const MAX_TEXT_BYTES = 255
const MAX_RECORD_BYTES = 16 * 1024

const ROOT_CONTEXT = fromUtf8('zhub-root-1\0')
const NODE_CONTEXT = fromUtf8('zhub-gov-1\0')

/** `signers` reach the threshold of role `root`, of this version and, from the second on, of the one before. */
export function signRoot(root: RootDocument, signers: readonly SigningKey[]): SignedRoot {
  const unsigned = encodeRoot(root)
  const message = concat([ROOT_CONTEXT, encodeCbor(unsigned)])
  const sigs = signers.map((key) => ({ key: key.publicKey, sig: key.sign(message) }))
  return { root, id: realmId(root), bytes: encodeCbor({ ...unsigned, sigs }) }
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
  if (!isSignedBy(root, readSignatures(fields), root.roles.root))
    throw fields.fail('its root keys did not sign it')
  fields.end()
  return { root, id: realmId(root), bytes }
}

function readRole(roles: RecordReader, name: RoleName): Role {
  const fields = roles.record(name)
  const keys = fields.bytesList('keys', PUBLIC_KEY_BYTES, MAX_KEYS)
  const role = { keys, threshold: fields.integer('t', 1, keys.length) }
  fields.end()
  return role
}

interface Signature {
  readonly key: Uint8Array
  readonly signature: Uint8Array
}

function readSignatures(fields: RecordReader): Signature[] {
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

function isSignedBy(
  root: RootDocument,
  signatures: readonly Signature[],
  { keys, threshold }: Role,
): boolean {
  const message = concat([ROOT_CONTEXT, encodeCbor(encodeRoot(root))])
  const valid = keys.filter((key) =>
    signatures.some(
      (one) => Buffer.compare(one.key, key) === 0 && verifySignature(key, message, one.signature),
    ),
  )
  return new Set(valid.map((key) => Buffer.from(key).toString('hex'))).size >= threshold
}

export function signNodeRecord(record: Omit<NodeRecord, 'signer'>, key: SigningKey): Uint8Array {
  const unsigned = encodeNode({ ...record, signer: key.publicKey })
  return encodeCbor({ ...unsigned, sig: key.sign(concat([NODE_CONTEXT, encodeCbor(unsigned)])) })
}

function encodeNode(record: NodeRecord): Record<string, CborValue> {
  return {
    v: 1,
    type: 'node.add',
    realm: record.realm,
    gov: record.rootVersion,
    key: record.node,
    token: record.tokenKey,
    roles: record.roles,
    name: record.name,
    addrs: record.addresses,
    at: record.addedS,
    by: record.signer,
  }
}

/** @throws {MalformedError | LimitError} also when the signer it names did not sign it. */
export function decodeNodeRecord(bytes: Uint8Array): NodeRecord {
  const format = 'node record'
  const fields = new RecordReader(decodeCbor(bytes, { format, maxBytes: MAX_RECORD_BYTES }), format)
  fields.version(1)
  fields.word('type', ['node.add'])
  const record: NodeRecord = {
    realm: fields.bytes('realm', HASH_BYTES),
    rootVersion: fields.integer('gov', 1),
    node: fields.bytes('key', PUBLIC_KEY_BYTES),
    tokenKey: fields.bytes('token', PUBLIC_KEY_BYTES),
    roles: fields.texts('roles', MAX_ROLES, MAX_TEXT_BYTES),
    name: fields.text('name', MAX_TEXT_BYTES),
    addresses: fields.texts('addrs', MAX_ADDRESSES, MAX_TEXT_BYTES),
    addedS: fields.integer('at'),
    signer: fields.bytes('by', PUBLIC_KEY_BYTES),
  }
  const signature = fields.bytes('sig', SIGNATURE_BYTES)
  fields.end()
  const message = concat([NODE_CONTEXT, encodeCbor(encodeNode(record))])
  if (!verifySignature(record.signer, message, signature)) throw fields.fail('its signer did not sign it')
  return record
}
