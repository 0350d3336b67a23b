import type { SignedOperation } from '../format/operation.ts'
import { logId } from '../format/operation.ts'
import type { RowChange, RowRange, RowStore, Space } from '../store/row-store.ts'
import { equalBytes, fromUtf8, toHex, toLatin1 } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import { countedOf } from './authority.ts'
import type { Authority } from './authority.ts'
import { supersededChanges, viewOf } from './operation-batch.ts'
import {
  encodePastVersion,
  encodeVersion,
  encodeViewRow,
  idRange,
  prefixRange,
  SPACES,
  versionKey,
  viewKey,
} from './rows.ts'
import type { ViewRow } from './rows.ts'
import { placeEffects, stateOf } from './state.ts'
import type { NameState } from './state.ts'

export interface RepositoryName {
  readonly id: Uint8Array
  readonly name: string
}

export interface StateRows {
  readonly names: ReadonlyMap<string, NameState>
  /** Of `head`, `past` and `view`, by `rowId`. */
  readonly rows: ReadonlyMap<string, Extract<RowChange, { type: 'put' }>>
  readonly views: ReadonlyMap<string, ViewRow>
}

/** A row by its space and key. */
export function rowId(space: Space, key: Uint8Array): string {
  return `${space} ${toHex(key)}`
}

/** Everything that is made from the operations of a repository that count, in any order. Pure. */
export function stateRows({ id, name }: RepositoryName, counted: Iterable<SignedOperation>): StateRows {
  const rows = new Map<string, Extract<RowChange, { type: 'put' }>>()
  const views = new Map<string, ViewRow>()
  const put = (space: Space, key: Uint8Array, value: Uint8Array) =>
    rows.set(rowId(space, key), { type: 'put', space, key, value })
  const names = stateOf([...counted].flatMap(placeEffects))
  for (const [key, { heads, past }] of names) {
    for (const version of heads)
      put(SPACES.heads, versionKey(id, key, version.operation), encodeVersion(version))
    for (const version of past)
      put(SPACES.past, versionKey(id, key, version.operation), encodePastVersion(version))
    const view = viewOf(heads)
    if (view === undefined) continue
    views.set(key, view)
    put(SPACES.view, viewKey(name, key), encodeViewRow(view))
  }
  return { names, rows, views }
}

/** The spaces that `stateRows` fills, and where in them a repository lies. */
export function stateRanges({ id, name }: RepositoryName): ReadonlyArray<readonly [Space, RowRange]> {
  return [
    [SPACES.heads, idRange(id)],
    [SPACES.past, idRange(id)],
    [SPACES.view, prefixRange(fromUtf8(name))],
  ]
}

/**
 * What turns the rows of a repository into those that `operations`, all of it, make: for when what counts has changed.
 */
export async function remakeState(
  store: RowStore,
  repository: RepositoryName,
  operations: readonly SignedOperation[],
  authority: Authority,
  options: AbortOptions = {},
): Promise<{ readonly changes: RowChange[]; readonly views: ReadonlyMap<string, ViewRow> }> {
  const counted = countedIn(repository.id, operations, authority)
  const { rows, views } = stateRows(repository, counted)
  const changes: RowChange[] = []
  const wanted = new Map(rows)
  for (const [space, range] of stateRanges(repository)) {
    for await (const [key, value] of store.rows(space, range, options)) {
      const id = rowId(space, key)
      const row = wanted.get(id)
      if (row === undefined) changes.push({ type: 'delete', space, key })
      else if (equalBytes(row.value, value)) wanted.delete(id)
    }
  }
  changes.push(...wanted.values())
  const ignored = operations.filter((signed) => !counted.has(signed))
  for (const { space, key } of supersededChanges(ignored)) changes.push({ type: 'delete', space, key })
  changes.push(...supersededChanges([...counted]))
  return { changes, views }
}

/** Those of a repository that count. */
export function countedIn(
  repository: Uint8Array,
  operations: readonly SignedOperation[],
  authority: Authority,
): ReadonlySet<SignedOperation> {
  const logs = new Map<string, { id: Uint8Array; author: Uint8Array; log: SignedOperation[] }>()
  for (const signed of operations) {
    const { author, incarnation } = signed.operation
    const id = logId(repository, author, incarnation)
    const known = logs.get(toLatin1(id))
    if (known === undefined) logs.set(toLatin1(id), { id, author, log: [signed] })
    else known.log.push(signed)
  }
  const counted = [...logs.values()].flatMap(({ id, author, log }) =>
    countedOf(log, authority.limitsOf(author, id)),
  )
  return new Set(counted)
}
