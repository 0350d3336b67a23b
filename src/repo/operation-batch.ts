import { createHash } from 'node:crypto'
import { LimitError } from '../errors.ts'
import { compareTimes, logId } from '../format/operation.ts'
import type { SignedOperation } from '../format/operation.ts'
import type { RowChange, Space } from '../store/row-store.ts'
import { compareBytes, concat, equalBytes, fromUtf8, toLatin1, u64be } from '../util/bytes.ts'
import type { Authority } from './authority.ts'
import {
  encodeLogRow,
  encodeRepositoryRow,
  encodeViewRow,
  logKey,
  operationKey,
  placeValue,
  SPACES,
  supersededKey,
  viewKey,
} from './rows.ts'
import type { LogRow, ViewRow } from './rows.ts'
import { conflictsOf, placeEffects } from './state.ts'
import type { Version } from './state.ts'

/** Where the logs of a repository end, by log id. */
export type Logs = ReadonlyMap<string, LogRow>

/** Branches of one log that are taken: more of them prove nothing new (replication design 2.5). */
export const MAX_BRANCHES = 8
/** Once a cut says how far a log counts: nodes that had taken different branches must all come to the one that does. */
const MAX_BRANCHES_CUT = 200

/** What of a repository is known before operations arrive. */
export interface RepositoryBefore {
  readonly id: Uint8Array
  readonly name: string
  readonly logs: Logs
  readonly operations: number
}

export interface LogBatch {
  /** The operations themselves, their places, the ends of their logs and the repository's row. */
  readonly changes: readonly RowChange[]
  readonly logs: Logs
  readonly operations: number
}

export interface LogBatchOptions {
  readonly arrivedS: number
  /** Numbers the changes of logs over all repositories. */
  readonly nextChange: () => number
  readonly limitsOf: Authority['limitsOf']
}

/**
 * Rows of new operations of one repository, whether they count or not. Pure. Each follows one that is here or before it
 * in the list.
 * @throws {LimitError} when a log has too many branches.
 */
export function logBatch(
  before: RepositoryBefore,
  operations: readonly SignedOperation[],
  { arrivedS, nextChange, limitsOf }: LogBatchOptions,
): LogBatch {
  const logs = new Map(before.logs)
  const changes: RowChange[] = []
  const touched = new Map<string, Uint8Array>()
  for (const signed of operations) {
    const { operation, hash, bytes } = signed
    const id = logId(before.id, operation.author, operation.incarnation)
    changes.push(
      put(SPACES.operations, operationKey(id, operation.sequence, hash), bytes),
      put(SPACES.places, hash, placeValue(id, operation.sequence)),
    )
    const most = typeof limitsOf(operation.author, id) === 'string' ? MAX_BRANCHES : MAX_BRANCHES_CUT
    logs.set(toLatin1(id), extendLog(logs.get(toLatin1(id)), signed, most))
    touched.set(toLatin1(id), id)
  }
  for (const [key, id] of touched) {
    const known = before.logs.get(key)
    const log = logs.get(key)
    if (log === undefined) continue
    const change = nextChange()
    logs.set(key, { ...log, change })
    if (known !== undefined) changes.push(drop(SPACES.changes, u64be(known.change)))
    changes.push(
      put(SPACES.logs, logKey(before.id, id), encodeLogRow({ ...log, change })),
      put(SPACES.changes, u64be(change), concat([before.id, id])),
    )
  }
  const row = {
    name: before.name,
    digest: repositoryDigest([...logs.values()].flatMap(({ heads }) => heads)),
    operations: before.operations + operations.length,
    updatedS: arrivedS,
  }
  changes.push(put(SPACES.repositories, before.id, encodeRepositoryRow(row)))
  return { changes, logs, operations: row.operations }
}

/** A log after one more operation: its chain grows, or, when somebody else came first, it forks. */
function extendLog(log: LogRow | undefined, { operation, hash }: SignedOperation, most: number): LogRow {
  const { author, incarnation, sequence, time, previous } = operation
  if (log === undefined) return { author, incarnation, sequence, time, change: 0, heads: [hash] }
  const others = log.heads.filter((head) => previous === undefined || !equalBytes(head, previous))
  if (others.length >= most) throw new LimitError('branches of a log', most, 'branches')
  return {
    ...log,
    sequence: Math.max(log.sequence, sequence),
    time: compareTimes(time, log.time) > 0 ? time : log.time,
    heads: [hash, ...others],
  }
}

/** Equal on two nodes that hold the same operations of a repository: 16 bytes. */
export function repositoryDigest(logHeads: readonly Uint8Array[]): Uint8Array {
  const sorted = [...logHeads].sort(compareBytes)
  return createHash('sha256').update(concat(sorted)).digest().subarray(0, 16)
}

/** What operations that count say they replace. */
export function supersededChanges(operations: readonly SignedOperation[]): RowChange[] {
  return operations.flatMap((signed) =>
    placeEffects(signed).flatMap(({ key, supersedes }, index) =>
      supersedes.map((old) => put(SPACES.superseded, supersededKey(old, signed.hash, index), fromUtf8(key))),
    ),
  )
}

/** What lists show of a name with these heads; `undefined` when nothing stands but deletions. */
export function viewOf(heads: readonly Version[]): ViewRow | undefined {
  const [winner] = heads
  if (winner?.target === undefined) return undefined
  const { operation, target, updatedS } = winner
  return { operation, target, updatedS, conflicts: conflictsOf(heads).length }
}

export function viewChange(repository: string, key: string, view: ViewRow | undefined): RowChange {
  const rowKey = viewKey(repository, key)
  return view === undefined ? drop(SPACES.view, rowKey) : put(SPACES.view, rowKey, encodeViewRow(view))
}

function put(space: Space, key: Uint8Array, value: Uint8Array): RowChange {
  return { type: 'put', space, key, value }
}

function drop(space: Space, key: Uint8Array): RowChange {
  return { type: 'delete', space, key }
}
