import { createHash } from 'node:crypto'
import { LimitError } from '../errors.ts'
import { compareBytes, concat, fromUtf8 } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'
import { decodeCbor, encodeCbor } from './dag-cbor.ts'
import type { CborValue } from './dag-cbor.ts'
import { MAX_OBJECT_BYTES } from './descriptor.ts'
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verifySignature } from './ed25519.ts'
import type { SigningKey } from './ed25519.ts'
import { MAX_STORED } from './effect.ts'
import { HASH_BYTES } from './operation.ts'
import { asBytes, asInteger, isArray, RecordReader } from './record.ts'

/**
 * What a realm decides besides its root document: who is a node of it, what of a node that was cut still counts, which
 * tokens are void, what must not exist anywhere (replication design 2.3, 2.4). Canonical dag-cbor, described in OPERATIONS.md.
 */
export type GovernanceRecord = Common & Own

type Own = NodeAdd | NodeCut | NodeUncut | TokenRevoke | RealmName | FlistPurge

interface Common {
  readonly realm: Uint8Array
  /** Version of the root document that the signer knew. */
  readonly rootVersion: number
  /** Unix seconds, for people. */
  readonly issuedS: number
  readonly signer: Uint8Array
}

/** Admits a node, and names the key that signs tokens there. */
export interface NodeAdd {
  readonly type: 'node.add'
  readonly node: Uint8Array
  readonly tokenKey: Uint8Array
  readonly roles: readonly string[]
  readonly name: string
  readonly addresses: readonly string[]
}

/** Nothing that a node signed after these operations counts; of logs that are not named all or nothing. */
export interface NodeCut {
  readonly type: 'node.cut'
  readonly node: Uint8Array
  readonly others: 'all' | 'none'
  /** In order of log, each once. */
  readonly ends: readonly LogEndpoint[]
}

/** The last operation of a log that counts. */
export interface LogEndpoint {
  readonly log: Uint8Array
  readonly sequence: number
  readonly hash: Uint8Array
}

/** Takes a cut back. */
export interface NodeUncut {
  readonly type: 'node.uncut'
  /** Hash of the record that cut. */
  readonly cut: Uint8Array
}

/** Voids one token by its id, or all of a user that were made up to a time. Signed by a node. */
export interface TokenRevoke {
  readonly type: 'token.revoke'
  readonly token?: Uint8Array
  readonly user?: string
  /** Unix seconds; of a user's tokens those made later are good. */
  readonly untilS: number
}

export interface RealmName {
  readonly type: 'realm.name'
  readonly name: string
}

/** No member keeps, passes on or takes this flist again. Nothing takes it back: what was purged is gone. */
export interface FlistPurge {
  readonly type: 'flist.purge'
  /** Id of its descriptor. */
  readonly flist: Uint8Array
}

export interface SignedRecord {
  readonly record: GovernanceRecord
  readonly bytes: Uint8Array
  /** SHA-256 of `bytes`. */
  readonly hash: Uint8Array
}

/** First 8 bytes of the SHA-256 of a token. */
export const TOKEN_ID_BYTES = 8

const FORMAT = 'governance record'
const CONTEXT = fromUtf8('zhub-gov-1\0')
const TYPES = ['node.add', 'node.cut', 'node.uncut', 'token.revoke', 'realm.name', 'flist.purge'] as const
/** Ours: a cut names a log for each repository that the node wrote; 1 MiB are some 13,000. */
const MAX_RECORD_BYTES = 16 * KIB
const MAX_CUT_BYTES = MAX_OBJECT_BYTES
const MAX_ADDRESSES = 32
const MAX_ROLES = 8
const MAX_TEXT_BYTES = 255

/** @throws {LimitError} for a record that nobody would take. */
export function signRecord(record: Omit<Common, 'signer'> & Own, key: SigningKey): SignedRecord {
  const whole = { ...record, signer: key.publicKey }
  const unsigned = encodeFields(whole)
  const bytes = encodeCbor({ ...unsigned, sig: key.sign(concat([CONTEXT, encodeCbor(unsigned)])) })
  checkLength(whole.type, bytes.length)
  return { record: whole, bytes, hash: hashOf(bytes) }
}

/** @throws {MalformedError | LimitError} also when the signer it names did not sign it. */
export function decodeRecord(bytes: Uint8Array): SignedRecord {
  const fields = new RecordReader(decodeCbor(bytes, { format: FORMAT, maxBytes: MAX_CUT_BYTES }), FORMAT)
  fields.version(1)
  const type = fields.word('type', TYPES)
  checkLength(type, bytes.length)
  const record: GovernanceRecord = {
    realm: fields.bytes('realm', HASH_BYTES),
    rootVersion: fields.integer('gov', 1),
    issuedS: fields.integer('at', 0, MAX_STORED),
    signer: fields.bytes('by', PUBLIC_KEY_BYTES),
    ...READERS[type](fields),
  }
  const signature = fields.bytes('sig', SIGNATURE_BYTES)
  fields.end()
  const message = concat([CONTEXT, encodeCbor(encodeFields(record))])
  if (!verifySignature(record.signer, message, signature)) throw fields.fail('its signer did not sign it')
  return { record, bytes, hash: hashOf(bytes) }
}

function checkLength(type: GovernanceRecord['type'], length: number): void {
  const most = type === 'node.cut' ? MAX_CUT_BYTES : MAX_RECORD_BYTES
  if (length > most) throw new LimitError(FORMAT, most, 'bytes')
}

function hashOf(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}

function encodeFields(record: GovernanceRecord): Record<string, CborValue> {
  const { type, realm, rootVersion, issuedS, signer } = record
  return { v: 1, type, realm, gov: rootVersion, at: issuedS, by: signer, ...encodeOwn(record) }
}

function encodeOwn(record: GovernanceRecord): Record<string, CborValue> {
  switch (record.type) {
    case 'node.add':
      return {
        key: record.node,
        token: record.tokenKey,
        roles: record.roles,
        name: record.name,
        addrs: record.addresses,
      }
    case 'node.cut':
      return {
        key: record.node,
        others: record.others,
        ends: record.ends.map(({ log, sequence, hash }) => [log, sequence, hash]),
      }
    case 'node.uncut':
      return { cut: record.cut }
    case 'token.revoke':
      return {
        until: record.untilS,
        ...(record.token && { id: record.token }),
        ...(record.user !== undefined && { user: record.user }),
      }
    case 'realm.name':
      return { name: record.name }
    case 'flist.purge':
      return { flist: record.flist }
  }
}

const READERS: {
  readonly [T in GovernanceRecord['type']]: (fields: RecordReader) => Extract<Own, { type: T }>
} = {
  'node.add': (fields) => ({
    type: 'node.add',
    node: fields.bytes('key', PUBLIC_KEY_BYTES),
    tokenKey: fields.bytes('token', PUBLIC_KEY_BYTES),
    roles: fields.texts('roles', MAX_ROLES, MAX_TEXT_BYTES),
    name: fields.text('name', MAX_TEXT_BYTES),
    addresses: fields.texts('addrs', MAX_ADDRESSES, MAX_TEXT_BYTES),
  }),
  'node.cut': (fields) => {
    const ends = fields.array('ends', 0, MAX_CUT_BYTES / HASH_BYTES).map((end) => readEnd(end, fields))
    const isSorted = ends.every(({ log }, at) => {
      const before = ends[at - 1]
      return before === undefined || compareBytes(before.log, log) < 0
    })
    if (!isSorted) throw fields.fail('ends are not in order of log, each once')
    return {
      type: 'node.cut',
      node: fields.bytes('key', PUBLIC_KEY_BYTES),
      others: fields.word('others', ['all', 'none']),
      ends,
    }
  },
  'node.uncut': (fields) => ({ type: 'node.uncut', cut: fields.bytes('cut', HASH_BYTES) }),
  'token.revoke': (fields) => {
    const token = fields.has('id') ? fields.bytes('id', TOKEN_ID_BYTES) : undefined
    const user = fields.has('user') ? fields.text('user', MAX_TEXT_BYTES) : undefined
    if ((token === undefined) === (user === undefined)) throw fields.fail('it names a token or a user')
    return {
      type: 'token.revoke',
      untilS: fields.integer('until', 0, MAX_STORED),
      ...(token && { token }),
      ...(user !== undefined && { user }),
    }
  },
  'realm.name': (fields) => ({ type: 'realm.name', name: fields.text('name', MAX_TEXT_BYTES) }),
  'flist.purge': (fields) => ({ type: 'flist.purge', flist: fields.bytes('flist', HASH_BYTES) }),
}

function readEnd(value: CborValue, fields: RecordReader): LogEndpoint {
  const wrong = () => fields.fail('ends is no list of [log, sequence, hash]')
  if (!isArray(value) || value.length !== 3) throw wrong()
  return {
    log: asBytes(value[0], [HASH_BYTES], wrong),
    sequence: asInteger(value[1], 1, MAX_STORED, wrong),
    hash: asBytes(value[2], [HASH_BYTES], wrong),
  }
}
