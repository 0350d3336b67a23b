import { createHash } from 'node:crypto'
import { logId, repositoryId } from '../format/operation.ts'
import type { SignedOperation } from '../format/operation.ts'
import type { RowChange, Space } from '../store/row-store.ts'
import { compareBytes, concat, fromUtf8, toLatin1, u64be } from '../util/bytes.ts'
import {
  encodeLogRow,
  encodePastVersion,
  encodeRepositoryRow,
  encodeVersion,
  encodeViewRow,
  logKey,
  operationKey,
  placeValue,
  SPACES,
  supersededKey,
  versionKey,
  viewKey,
} from './rows.ts'
import type { LogRow, ViewRow } from './rows.ts'
import { advance, conflictsOf, endVersions, placeEffects } from './state.ts'
import type { PlacedEffect, Version } from './state.ts'

/** A new operation, and what it meets. */
export interface Arrival {
  readonly signed: SignedOperation
  /** The standing versions of each name it touches, by key. */
  readonly heads: ReadonlyMap<string, readonly Version[]>
  /** The log it extends; `undefined` when it starts one. */
  readonly log: LogRow | undefined
  /** Heads of the repository's other logs. */
  readonly otherHeads: readonly Uint8Array[]
  /** Operations of the repository before it. */
  readonly operations: number
  /** Number of the change, over all repositories. */
  readonly change: number
  /** Unix seconds of its arrival. */
  readonly arrivedS: number
}

export interface OperationBatch {
  /** Everything that one synced write must hold. */
  readonly changes: readonly RowChange[]
  readonly log: LogRow
  /** What lists show afterwards; `undefined` for a name that is gone. */
  readonly views: ReadonlyMap<string, ViewRow | undefined>
}

/** All rows of an operation that nobody has superseded yet. Pure. */
export function operationBatch(arrival: Arrival): OperationBatch {
  const { signed } = arrival
  const { operation, hash, bytes } = signed
  const repository = repositoryId(operation.realm, operation.repository)
  const id = logId(repository, operation.author, operation.incarnation)
  const log = nextLog(arrival)
  const changes: RowChange[] = [
    put(SPACES.operations, operationKey(id, operation.sequence, hash), bytes),
    put(SPACES.places, hash, placeValue(id, operation.sequence)),
    put(SPACES.logs, logKey(repository, id), encodeLogRow(log)),
    put(SPACES.repositories, repository, repositoryRow(arrival)),
    put(SPACES.changes, u64be(arrival.change), concat([repository, id])),
  ]
  if (arrival.log) changes.push(drop(SPACES.changes, u64be(arrival.log.change)))

  const views = new Map<string, ViewRow | undefined>()
  placeEffects(signed).forEach((effect, index) => {
    const before = arrival.heads.get(effect.key) ?? []
    const view = viewOf(advance(before, effect, false))
    views.set(effect.key, view)
    changes.push(
      ...headChanges(repository, before, effect),
      ...effect.supersedes.map((old) =>
        put(SPACES.superseded, supersededKey(old, hash, index), fromUtf8(effect.key)),
      ),
      viewChange(operation.repository, effect.key, view),
    )
  })
  return { changes, log, views }
}

function nextLog({ signed, log, change }: Arrival): LogRow {
  const { author, incarnation, sequence, time } = signed.operation
  const others = (log?.heads ?? []).slice(1)
  return { author, incarnation, sequence, time, change, heads: [signed.hash, ...others] }
}

function repositoryRow({ signed, otherHeads, operations, arrivedS }: Arrival): Uint8Array {
  return encodeRepositoryRow({
    name: signed.operation.repository,
    digest: repositoryDigest([...otherHeads, signed.hash]),
    operations: operations + 1,
    updatedS: arrivedS,
  })
}

/** Equal on two nodes that hold the same operations of a repository: 16 bytes. */
export function repositoryDigest(logHeads: readonly Uint8Array[]): Uint8Array {
  const sorted = [...logHeads].sort(compareBytes)
  return createHash('sha256').update(concat(sorted)).digest().subarray(0, 16)
}

/** What lists show of a name with these heads; `undefined` when nothing stands but deletions. */
export function viewOf(heads: readonly Version[]): ViewRow | undefined {
  const [winner] = heads
  if (winner?.target === undefined) return undefined
  const { operation, target, updatedS } = winner
  return { operation, target, updatedS, conflicts: conflictsOf(heads).length }
}

function headChanges(repository: Uint8Array, before: readonly Version[], effect: PlacedEffect): RowChange[] {
  const { key, version, supersedes } = effect
  const gone = new Set(supersedes.map(toLatin1))
  const ended = endVersions(
    before.filter(({ operation }) => gone.has(toLatin1(operation))),
    version.time,
  )
  return [
    put(SPACES.heads, versionKey(repository, key, version.operation), encodeVersion(version)),
    ...ended.flatMap((past) => {
      const rowKey = versionKey(repository, key, past.operation)
      return [drop(SPACES.heads, rowKey), put(SPACES.past, rowKey, encodePastVersion(past))]
    }),
  ]
}

function viewChange(repository: string, key: string, view: ViewRow | undefined): RowChange {
  const rowKey = viewKey(repository, key)
  return view === undefined ? drop(SPACES.view, rowKey) : put(SPACES.view, rowKey, encodeViewRow(view))
}

function put(space: Space, key: Uint8Array, value: Uint8Array): RowChange {
  return { type: 'put', space, key, value }
}

function drop(space: Space, key: Uint8Array): RowChange {
  return { type: 'delete', space, key }
}
