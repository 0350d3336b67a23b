import { createHash } from 'node:crypto'
import { InvalidInputError, LimitError } from '../errors.ts'
import { compareBytes, concat, equalBytes, fromUtf8 } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'
import { decodeCbor, encodeCbor, linkDigest, linkTo } from './dag-cbor.ts'
import type { CborValue } from './dag-cbor.ts'
import { PUBLIC_KEY_BYTES, SIGNATURE_BYTES, verifySignature } from './ed25519.ts'
import type { SigningKey } from './ed25519.ts'
import { decodeEffect, effectKey, encodeEffect, MAX_STORED, MAX_SUPERSEDED } from './effect.ts'
import type { Effect } from './effect.ts'
import { isRepositoryName } from './name-rule.ts'
import { RecordReader } from './record.ts'

/**
 * The signed operation: what one node published under names of one repository (replication design 2.2, 2.3). Its
 * bytes are canonical dag-cbor, described field by field in OPERATIONS.md; this file is the only way in and out.
 */
export interface Operation {
  /** Id of the realm, 32 bytes. */
  readonly realm: Uint8Array
  /** The repository's name; its id is in the bytes too, and checked. */
  readonly repository: string
  /** Public key of the node that signs. */
  readonly author: Uint8Array
  /** Of the author's data folder, 8 random bytes: a restored copy of it takes a new one. */
  readonly incarnation: Uint8Array
  /** Place in the log of (repository, author, incarnation), from 1. */
  readonly sequence: number
  /** Hash of the operation before it in the log; `undefined` for the first. */
  readonly previous: Uint8Array | undefined
  /** Hybrid clock: for display, and to decide between concurrent writes. */
  readonly time: HybridTime
  /** 1 to 64, at most one a name; they count together or not at all. */
  readonly effects: readonly Effect[]
  /** On whose behalf it was signed. */
  readonly user: OperationUser
  /** The grant it rests on: SHA-256 of its bytes. */
  readonly grant?: Uint8Array | undefined
  /** Version of the realm's root document that the author knew. */
  readonly rootVersion: number
}

export interface HybridTime {
  /** Unix milliseconds. */
  readonly ms: number
  readonly counter: number
}

export const USER_IDENTITIES = ['3bot', 'jwt', 'token', 'guest', 'none', 'local', 'mirror'] as const

export interface OperationUser {
  readonly sub: string
  /** Who vouches for `sub`. */
  readonly idp: (typeof USER_IDENTITIES)[number]
  /** SHA-256 of the evidence. */
  readonly evidence?: Uint8Array | undefined
}

export interface SignedOperation {
  readonly operation: Operation
  readonly signature: Uint8Array
  /** The canonical bytes, signature included. */
  readonly bytes: Uint8Array
  /** SHA-256 of `bytes`: what the next operation and those that supersede it name. */
  readonly hash: Uint8Array
}

/** Largest operation. Replication.md 2.2. */
export const MAX_OPERATION_BYTES = 16 * KIB
export const MAX_EFFECTS = 64
export const HASH_BYTES = 32
export const INCARNATION_BYTES = 8

const FORMAT = 'operation'
const SIGNATURE_CONTEXT = fromUtf8('zhub-op-1\0')
/** Ours: URLs of mirrored hubs stand there. */
const MAX_SUBJECT_BYTES = 1024
const MAX_COUNTER = 2 ** 32 - 1

/** What `sign` is given and `verify` checks: bound to its purpose, realm, repository and log. */
function signedBytes(unsigned: Record<string, CborValue>): Uint8Array {
  return concat([SIGNATURE_CONTEXT, encodeCbor(unsigned)])
}

/**
 * @throws {InvalidInputError} when it is not an operation that others would take.
 * @throws {LimitError} over 16 KiB, 64 effects or 64 superseded hashes.
 */
export function signOperation(operation: Operation, key: SigningKey): SignedOperation {
  checkLimits(operation.effects)
  const unsigned = encodeFields(operation)
  const signature = key.sign(signedBytes(unsigned))
  const bytes = encodeCbor({ ...unsigned, sig: signature })
  if (bytes.length > MAX_OPERATION_BYTES) throw new LimitError(FORMAT, MAX_OPERATION_BYTES, 'bytes')
  try {
    return decodeOperation(bytes)
  } catch (cause) {
    throw new InvalidInputError(cause instanceof Error ? cause.message : 'invalid operation', { cause })
  }
}

function checkLimits(effects: readonly Effect[]): void {
  if (effects.length > MAX_EFFECTS) throw new LimitError('effects of an operation', MAX_EFFECTS, 'effects')
  if (countSuperseded(effects) > MAX_SUPERSEDED) {
    throw new LimitError('superseded by an operation', MAX_SUPERSEDED, 'operations')
  }
}

/** True when the author signed exactly these bytes. */
export function verifyOperation({ operation, signature }: SignedOperation): boolean {
  return verifySignature(operation.author, signedBytes(encodeFields(operation)), signature)
}

export function operationHash(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}

/** Id of a repository in a realm: the same on two nodes that create it apart. `name` is NFC. */
export function repositoryId(realm: Uint8Array, name: string): Uint8Array {
  return hashOf('zhub-repo-1', realm, fromUtf8(name))
}

/** Id of the log of one author's incarnation in a repository. */
export function logId(repository: Uint8Array, author: Uint8Array, incarnation: Uint8Array): Uint8Array {
  return hashOf('zhub-log-1', repository, author, incarnation)
}

function hashOf(context: string, ...parts: Uint8Array[]): Uint8Array {
  const hash = createHash('sha256').update(context)
  for (const part of parts) hash.update(part)
  return hash.digest()
}

/** Total order of hybrid times. */
export function compareTimes(a: HybridTime, b: HybridTime): number {
  return a.ms - b.ms || a.counter - b.counter
}

function encodeFields(operation: Operation): Record<string, CborValue> {
  const { realm, repository, user, grant } = operation
  return {
    v: 1,
    realm,
    repo: repositoryId(realm, repository),
    repoName: repository,
    author: operation.author,
    inc: operation.incarnation,
    seq: operation.sequence,
    prev: operation.previous ?? null,
    hlc: [operation.time.ms, operation.time.counter],
    eff: operation.effects.map(encodeEffect),
    user: { sub: user.sub, idp: user.idp, ...(user.evidence && { ev: user.evidence }) },
    ...(grant && { auth: linkTo(grant) }),
    gov: operation.rootVersion,
  }
}

/**
 * Reads an operation of anybody; the signature is looked at by `verifyOperation` only.
 * @throws {MalformedError | LimitError} for anything but the canonical bytes of an operation within its rules.
 */
export function decodeOperation(bytes: Uint8Array): SignedOperation {
  const fields = new RecordReader(
    decodeCbor(bytes, { format: FORMAT, maxBytes: MAX_OPERATION_BYTES }),
    FORMAT,
  )
  fields.version(1)
  const previous = fields.value('prev') === null ? undefined : fields.bytes('prev', HASH_BYTES)
  const grant = fields.has('auth') ? readGrant(fields) : undefined
  const operation: Operation = {
    realm: fields.bytes('realm', HASH_BYTES),
    repository: fields.text('repoName', 255),
    author: fields.bytes('author', PUBLIC_KEY_BYTES),
    incarnation: fields.bytes('inc', INCARNATION_BYTES),
    sequence: fields.integer('seq', 1, MAX_STORED),
    previous,
    time: readTime(fields),
    effects: fields.array('eff', 1, MAX_EFFECTS).map((effect) => decodeEffect(effect, FORMAT)),
    user: readUser(fields.record('user')),
    ...(grant && { grant }),
    rootVersion: fields.integer('gov', 1),
  }
  const signature = fields.bytes('sig', SIGNATURE_BYTES)
  checkOperation(fields, operation)
  fields.end()
  return { operation, signature, bytes, hash: operationHash(bytes) }
}

function checkOperation(fields: RecordReader, operation: Operation): void {
  const { repository, realm, sequence, previous, effects } = operation
  if (!isRepositoryName(repository)) throw fields.fail('repoName is outside the rule of names')
  if (!equalBytes(fields.bytes('repo', HASH_BYTES), repositoryId(realm, repository))) {
    throw fields.fail('repo is not the id of repoName in realm')
  }
  if ((sequence === 1) !== (previous === undefined)) throw fields.fail('prev does not go with seq')
  if (new Set(effects.map(effectKey)).size !== effects.length) throw fields.fail('two effects on one name')
  if (countSuperseded(effects) > MAX_SUPERSEDED) throw fields.fail(`sup has over ${MAX_SUPERSEDED} hashes`)
  if (!effects.every(({ supersedes }) => isSorted(supersedes)))
    throw fields.fail('sup is not sorted, each once')
}

function countSuperseded(effects: readonly Effect[]): number {
  return effects.reduce((sum, { supersedes }) => sum + supersedes.length, 0)
}

function isSorted(hashes: readonly Uint8Array[]): boolean {
  return hashes.every((hash, index) => {
    const before = hashes[index - 1]
    return before === undefined || compareBytes(before, hash) < 0
  })
}

function readTime(fields: RecordReader): HybridTime {
  const [ms, counter, ...rest] = fields.array('hlc', 2, 2)
  const isTime = isIndex(ms, MAX_STORED) && isIndex(counter, MAX_COUNTER) && rest.length === 0
  if (!isTime) throw fields.fail('hlc is not milliseconds and counter')
  return { ms, counter }
}

function isIndex(value: CborValue | undefined, max: number): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max
}

function readUser(fields: RecordReader): OperationUser {
  const evidence = fields.has('ev') ? fields.bytes('ev', HASH_BYTES) : undefined
  const user: OperationUser = {
    sub: fields.text('sub', MAX_SUBJECT_BYTES),
    idp: fields.word('idp', USER_IDENTITIES),
    ...(evidence && { evidence }),
  }
  fields.end()
  return user
}

function readGrant(fields: RecordReader): Uint8Array {
  const digest = linkDigest(fields.value('auth'))
  if (digest === undefined) throw fields.fail('auth is no link to a grant')
  return digest
}
