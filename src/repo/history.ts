import type { SignedOperation } from '../format/operation.ts'
import type { FlistId } from '../store/flist-store.ts'
import type { RowStore } from '../store/row-store.ts'
import { fromLatin1, toLatin1 } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import type { HistoryItem } from './entry.ts'
import { countedOf, type Authority } from './authority.ts'
import { readOperations } from './operation-reader.ts'
import { decodePastVersion, decodeVersion, idRange, parseVersionKey, SPACES, versionRange } from './rows.ts'
import type { LogRow } from './rows.ts'
import { conflictsOf, placeEffects, rank, targetId } from './state.ts'
import type { PastVersion, Version } from './state.ts'

/** The standing versions of a name, best first. */
export async function readHeads(rows: RowStore, repository: Uint8Array, key: string): Promise<Version[]> {
  const heads: Version[] = []
  for await (const [, row] of rows.rows(SPACES.heads, versionRange(repository, key)))
    heads.push(decodeVersion(row))
  return rank(heads)
}

/** Those that others replaced, in no order. */
export async function readPast(rows: RowStore, repository: Uint8Array, key: string): Promise<PastVersion[]> {
  const past: PastVersion[] = []
  for await (const [, row] of rows.rows(SPACES.past, versionRange(repository, key))) {
    past.push(decodePastVersion(row))
  }
  return past
}

/** Versions that nodes signed which were cut, after the last of their operations that counts; in no order. */
export async function readQuarantined(
  rows: RowStore,
  logs: ReadonlyMap<string, Pick<LogRow, 'author'>>,
  authority: Authority,
  key: string,
): Promise<Version[]> {
  const found: Version[] = []
  for (const [log, { author }] of logs) {
    const limits = authority.limitsOf(author, fromLatin1(log))
    if (limits === 'all') continue
    const all: SignedOperation[] = []
    for await (const signed of readOperations(rows, [log])) all.push(signed)
    const counted = new Set(countedOf(all, limits))
    const others = all.filter((signed) => !counted.has(signed)).flatMap(placeEffects)
    for (const effect of others) if (effect.key === key) found.push(effect.version)
  }
  return found
}

/** Keys of names in whose past a conflict was settled, in byte order. */
export async function settledKeys(rows: RowStore, repository: Uint8Array): Promise<string[]> {
  const keys = new Set<string>()
  for await (const [key, row] of rows.rows(SPACES.past, idRange(repository))) {
    if (decodePastVersion(row).wasInConflict) keys.add(parseVersionKey(key).key)
  }
  return [...keys]
}

/** Every version of a name, newest first; `quarantined` do not count, `former` were of another realm. */
export async function readHistory(
  rows: RowStore,
  repository: Uint8Array,
  key: string,
  quarantined: readonly Version[] = [],
  former: readonly PastVersion[] = [],
): Promise<HistoryItem[]> {
  const heads = await readHeads(rows, repository, key)
  const losers = new Set(conflictsOf(heads).flat())
  const winner = heads[0]?.target
  const states = new Map<Version, HistoryItem['state']>()
  for (const [index, head] of heads.entries()) {
    const isWinner = index === 0 || (head.target && winner && targetId(head.target) === targetId(winner))
    states.set(head, losers.has(head) ? 'conflict' : isWinner ? 'current' : 'superseded')
  }
  for (const version of [...(await readPast(rows, repository, key)), ...former]) {
    states.set(version, pastState(version))
  }
  for (const version of quarantined) states.set(version, 'quarantined')
  return [...states.keys()]
    .sort(byAge)
    .map((version) => historyItem(version, states.get(version) ?? 'superseded'))
}

function pastState({ wasInConflict }: PastVersion): HistoryItem['state'] {
  return wasInConflict ? 'superseded in conflict' : 'superseded'
}

function byAge(a: Version, b: Version): number {
  return b.time.ms - a.time.ms || b.time.counter - a.time.counter
}

function historyItem(version: Version, state: HistoryItem['state']): HistoryItem {
  const { operation, user, author, time, type, target } = version
  const kind = type === 'put' && target ? target.kind : type === 'resolve' ? 'resolve' : 'delete'
  return { operation, author: user, node: author, timeS: Math.floor(time.ms / 1000), kind, target, state }
}

export interface Retention {
  /** Versions of a name, the standing one included. */
  readonly keepVersions: number
  /** How long any older version is kept after it was replaced, milliseconds. */
  readonly keepForMs: number
}

/**
 * The flists that operations still need: all that stand, losers of conflicts included, and of what was replaced the
 * last versions of each name and the latest. An id may come more than once.
 */
export async function* liveFlists(
  rows: RowStore,
  { keepVersions, keepForMs }: Retention,
  nowMs: number,
  options: AbortOptions = {},
): AsyncGenerator<FlistId> {
  /** How many of its past versions a name may keep; names with no standing file keep all that retention allows. */
  const standing = new Map<string, number>()
  for await (const [key, row] of rows.rows(SPACES.heads, {}, options)) {
    const { target } = decodeVersion(row)
    if (target?.kind !== 'file') continue
    const name = nameOf(key)
    standing.set(name, (standing.get(name) ?? 0) + 1)
    yield target.flist
  }
  for await (const [name, past] of pastByName(rows, options)) {
    const left = Math.max(0, keepVersions - (standing.get(name) ?? 0))
    yield* keptOf(past, left, nowMs - keepForMs)
  }
}

/** The flists of the newest `count` versions, and of all that were replaced after `sinceMs`. */
function* keptOf(past: readonly PastVersion[], count: number, sinceMs: number): Generator<FlistId> {
  let rank = 0
  for (const { target, endedMs } of [...past].sort(byAge)) {
    if (target?.kind !== 'file') continue
    if (rank++ < count || endedMs > sinceMs) yield target.flist
  }
}

/** Bytes of repository and name, as text. */
function nameOf(rowKey: Uint8Array): string {
  const { repository, key } = parseVersionKey(rowKey)
  return toLatin1(repository) + key
}

async function* pastByName(
  rows: RowStore,
  options: AbortOptions,
): AsyncGenerator<[name: string, past: PastVersion[]]> {
  let name = ''
  let past: PastVersion[] = []
  for await (const [key, row] of rows.rows(SPACES.past, {}, options)) {
    const next = nameOf(key)
    if (next !== name && past.length > 0) {
      yield [name, past]
      past = []
    }
    name = next
    past.push(decodePastVersion(row))
  }
  if (past.length > 0) yield [name, past]
}
