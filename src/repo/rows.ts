import { CorruptError } from '../errors.ts'
import type { Target } from '../format/effect.ts'
import { HASH_BYTES, INCARNATION_BYTES } from '../format/operation.ts'
import type { HybridTime } from '../format/operation.ts'
import { PUBLIC_KEY_BYTES } from '../format/ed25519.ts'
import type { RowRange } from '../store/row-store.ts'
import { concat, fromUtf8, toHex, toUtf8, u64be } from '../util/bytes.ts'
import { RowReader, RowWriter } from './row-codec.ts'
import type { PastVersion, Version } from './state.ts'

/**
 * The rows of this folder: FORMATS.md says what each holds. `op` is the truth; everything else but `gov`, `own` and
 * `token` can be made from it again.
 */
export const SPACES = {
  operations: 'op',
  /** Operations of realms that this node was in before, as in `op`. */
  former: 'was',
  places: 'oph',
  logs: 'log',
  repositories: 'repo',
  changes: 'chg',
  heads: 'head',
  past: 'past',
  superseded: 'sup',
  view: 'view',
  governance: 'gov',
  own: 'own',
  tokens: 'token',
  logins: 'login',
} as const

const ZERO = Uint8Array.of(0)
const ONE = Uint8Array.of(1)

export function operationKey(log: Uint8Array, sequence: number, hash: Uint8Array): Uint8Array {
  return concat([log, u64be(sequence), hash])
}

export function placeValue(log: Uint8Array, sequence: number): Uint8Array {
  return concat([log, u64be(sequence)])
}

export function logKey(repository: Uint8Array, log: Uint8Array): Uint8Array {
  return concat([repository, log])
}

/** Of `head` and `past`. */
export function versionKey(repository: Uint8Array, key: string, hash: Uint8Array): Uint8Array {
  return concat([repository, fromUtf8(key), ZERO, hash])
}

/** Every version of one name. */
export function versionRange(repository: Uint8Array, key: string): RowRange {
  return prefixRange(concat([repository, fromUtf8(key)]))
}

/** The repository and name of a `head` or `past` row. */
export function parseVersionKey(row: Uint8Array): { repository: Uint8Array; key: string } {
  return {
    repository: row.subarray(0, HASH_BYTES),
    key: toUtf8(row.subarray(HASH_BYTES, row.length - HASH_BYTES - 1)),
  }
}

export function supersededKey(hash: Uint8Array, by: Uint8Array, effect: number): Uint8Array {
  return concat([hash, by, Uint8Array.of(effect)])
}

export function viewKey(repository: string, key: string): Uint8Array {
  return concat([fromUtf8(repository), ZERO, fromUtf8(key)])
}

export function parseViewKey(row: Uint8Array): { repository: string; key: string } {
  const end = row.indexOf(0)
  return { repository: toUtf8(row.subarray(0, end)), key: toUtf8(row.subarray(end + 1)) }
}

/** Keys that start with `prefix` and a zero byte: names hold none, so no other name's keys are among them. */
export function prefixRange(prefix: Uint8Array): RowRange {
  return { gte: concat([prefix, ZERO]), lt: concat([prefix, ONE]) }
}

/** Rows whose key starts with an id of 32 bytes and goes on. */
export function idRange(id: Uint8Array): RowRange {
  return { gt: id, lt: after(id) }
}

/** The smallest key after all that start with `prefix`. */
function after(prefix: Uint8Array): Uint8Array {
  const end = Buffer.from(prefix)
  for (let at = end.length - 1; at >= 0; at--) {
    const byte = end[at] ?? 0
    end[at] = (byte + 1) & 255
    if (byte < 255) return end.subarray(0, at + 1)
  }
  return Buffer.alloc(prefix.length + 1, 255)
}

/** Of a root document or record; before it, which realm's it is. */
export function governanceKey(realm: Uint8Array, hash: Uint8Array): Uint8Array {
  return concat([realm, hash])
}

/** Everything of one realm. */
export function governanceRange(realm: Uint8Array): RowRange {
  return idRange(realm)
}

/** `root/` and 10 digits, or `node/` and a key, as the first releases had it. */
export function isOldGovernanceKey(key: Uint8Array): boolean {
  return key.length !== 2 * HASH_BYTES
}

export interface RepositoryRow {
  readonly name: string
  /** SHA-256 over the sorted heads of its logs, cut to 16 bytes. */
  readonly digest: Uint8Array
  readonly operations: number
  /** Arrival of its last change on this node, unix seconds. */
  readonly updatedS: number
}

export function encodeRepositoryRow(row: RepositoryRow): Uint8Array {
  return new RowWriter(1)
    .bytes(row.digest)
    .integer(row.operations, 6)
    .integer(row.updatedS, 6)
    .text(row.name)
    .end()
}

export function decodeRepositoryRow(row: Uint8Array): RepositoryRow {
  const reader = new RowReader(row, 'repository', 1)
  const digest = reader.bytes(16)
  const operations = reader.integer(6)
  const updatedS = reader.integer(6)
  return { digest, operations, updatedS, name: reader.text() }
}

export interface LogRow {
  readonly author: Uint8Array
  readonly incarnation: Uint8Array
  readonly sequence: number
  /** Hashes of the last operations: one, or more once the log has forked. */
  readonly heads: readonly Uint8Array[]
  /** The latest time in it. */
  readonly time: HybridTime
  /** Key of its row in `chg`. */
  readonly change: number
}

export function encodeLogRow(row: LogRow): Uint8Array {
  const writer = new RowWriter(1)
    .bytes(row.author)
    .bytes(row.incarnation)
    .integer(row.sequence, 6)
    .integer(row.time.ms, 6)
    .integer(row.time.counter, 4)
    .integer(row.change, 6)
    .integer(row.heads.length, 1)
  for (const head of row.heads) writer.bytes(head)
  return writer.end()
}

export function decodeLogRow(row: Uint8Array): LogRow {
  const reader = new RowReader(row, 'log', 1)
  const author = reader.bytes(PUBLIC_KEY_BYTES)
  const incarnation = reader.bytes(INCARNATION_BYTES)
  const sequence = reader.integer(6)
  const time = { ms: reader.integer(6), counter: reader.integer(4) }
  const change = reader.integer(6)
  const heads = Array.from({ length: reader.integer(1) }, () => reader.bytes(HASH_BYTES))
  return { author, incarnation, sequence, heads, time, change }
}

const TYPES = ['put', 'delete', 'resolve'] as const
const TARGETS = ['none', 'file', 'link', 'xlink', 'tagentry', 'taglink'] as const

export function encodeVersion(version: Version): Uint8Array {
  return writeVersion(new RowWriter(1), version).end()
}

export function decodeVersion(row: Uint8Array): Version {
  return readVersion(new RowReader(row, 'version', 1))
}

export function encodePastVersion(version: PastVersion): Uint8Array {
  const writer = new RowWriter(1).integer(version.endedMs, 6).integer(Number(version.wasInConflict), 1)
  return writeVersion(writer, version).end()
}

export function decodePastVersion(row: Uint8Array): PastVersion {
  const reader = new RowReader(row, 'past version', 1)
  const endedMs = reader.integer(6)
  const wasInConflict = reader.integer(1) === 1
  return { ...readVersion(reader), endedMs, wasInConflict }
}

/** What lists show of a name: its winner, and how many other versions are in conflict with it. */
export interface ViewRow {
  readonly operation: Uint8Array
  readonly target: Target
  readonly updatedS: number
  readonly conflicts: number
}

export function encodeViewRow({ operation, target, updatedS, conflicts }: ViewRow): Uint8Array {
  const writer = new RowWriter(1).integer(conflicts, 2).integer(updatedS, 6).bytes(operation)
  return writeTarget(writer, target).end()
}

/** @throws {CorruptError} for a row without a target. */
export function decodeViewRow(row: Uint8Array): ViewRow {
  const reader = new RowReader(row, 'view', 1)
  const conflicts = reader.integer(2)
  const updatedS = reader.integer(6)
  const operation = reader.bytes(HASH_BYTES)
  const target = readTarget(reader)
  if (target === undefined) throw new CorruptError(toHex(operation), 'a view row shows nothing')
  return { operation, target, updatedS, conflicts }
}

function writeVersion(writer: RowWriter, version: Version): RowWriter {
  const { target } = version
  writer
    .integer(TYPES.indexOf(version.type), 1)
    .bytes(version.operation)
    .bytes(version.author)
    .integer(version.time.ms, 6)
    .integer(version.time.counter, 4)
    .integer(version.updatedS, 6)
    .text(version.user)
  return writeTarget(writer, target)
}

function readVersion(reader: RowReader): Version {
  const type = TYPES[reader.integer(1)] ?? 'put'
  const operation = reader.bytes(HASH_BYTES)
  const author = reader.bytes(PUBLIC_KEY_BYTES)
  const time = { ms: reader.integer(6), counter: reader.integer(4) }
  const updatedS = reader.integer(6)
  const user = reader.text()
  return { operation, author, user, time, type, updatedS, target: readTarget(reader) }
}

function writeTarget(writer: RowWriter, target: Target | undefined): RowWriter {
  writer.integer(TARGETS.indexOf(target?.kind ?? 'none'), 1)
  switch (target?.kind) {
    case undefined:
      return writer
    case 'file':
      return writer.bytes(target.flist).integer(target.sizeBytes, 6).hex(target.md5)
    case 'link':
      return writer.text(target.name)
    case 'xlink':
    case 'tagentry':
      return writer.text(target.repository).text(target.name)
    case 'taglink':
      return writer.text(target.repository).text(target.tag)
  }
}

function readTarget(reader: RowReader): Target | undefined {
  const kind = TARGETS[reader.integer(1)] ?? 'none'
  switch (kind) {
    case 'none':
      return undefined
    case 'file':
      return { kind, flist: reader.bytes(HASH_BYTES), sizeBytes: reader.integer(6), md5: reader.hex(16) }
    case 'link':
      return { kind, name: reader.text() }
    case 'xlink':
    case 'tagentry':
      return { kind, repository: reader.text(), name: reader.text() }
    case 'taglink':
      return { kind, repository: reader.text(), tag: reader.text() }
  }
}
