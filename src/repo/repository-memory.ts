import { splitEffectKey } from '../format/effect.ts'
import { HASH_BYTES } from '../format/operation.ts'
import type { FlistId } from '../store/flist-store.ts'
import type { RowStore } from '../store/row-store.ts'
import { fromUtf8, readU64be, toLatin1 } from '../util/bytes.ts'
import { SECOND_MS } from '../util/units.ts'
import type { Entry } from './entry.ts'
import { heldRevision, isHeld } from './held-revision.ts'
import type { Holding } from './held-revision.ts'
import { MAX_AHEAD_MS } from './hybrid-clock.ts'
import {
  decodeLogRow,
  decodeRepositoryRow,
  decodeViewRow,
  idRange,
  parseViewKey,
  prefixRange,
  SPACES,
} from './rows.ts'
import type { LogRow, ViewRow } from './rows.ts'
import { compareNames, RepositoryView } from './view.ts'

/** One repository in memory: what wins under each name, and where its logs end. */
export interface RepositoryState {
  readonly name: string
  readonly id: Uint8Array
  readonly view: RepositoryView
  /** Names whose time is too far after the last arrival to be shown as it is. */
  readonly ahead: Map<string, ViewRow>
  /** Names whose winner is a flist that is not here whole yet, and that flist. */
  readonly awaited: Map<string, FlistId>
  /** By log id. */
  logs: ReadonlyMap<string, LogRow>
  operations: number
  /** Grows with each change that readers may see. */
  revision: number
  /** Arrival of its last change here, unix seconds. */
  updatedS: number
}

export interface Loaded {
  readonly repositories: RepositoryMemory
  /** The number after that of the last change. */
  readonly nextChange: number
}

/** Reads what wins under each name into memory: 100,000 names in about half a second. */
export async function loadRepositories(rows: RowStore, holding: Holding): Promise<Loaded> {
  const repositories = new RepositoryMemory()
  const byId = new Map<string, RepositoryState & { logs: Map<string, LogRow> }>()
  for await (const [id, row] of rows.rows(SPACES.repositories)) {
    const { name, operations, updatedS } = decodeRepositoryRow(row)
    const state = { ...emptyState(name, id), operations, revision: operations, updatedS, logs: new Map() }
    byId.set(toLatin1(id), state)
    repositories.add(state)
  }
  for await (const [key, row] of rows.rows(SPACES.logs)) {
    byId
      .get(toLatin1(key.subarray(0, HASH_BYTES)))
      ?.logs.set(toLatin1(key.subarray(HASH_BYTES)), decodeLogRow(row))
  }
  for await (const [key, row] of rows.rows(SPACES.view)) {
    const { repository, key: name } = parseViewKey(key)
    const state = repositories.get(repository)
    if (state !== undefined) await showHeld(rows, state, [[name, decodeViewRow(row)]], holding)
  }
  for await (const [key] of rows.rows(SPACES.changes, { reverse: true, limit: 1 })) {
    return { repositories, nextChange: readU64be(key) + 1 }
  }
  return { repositories, nextChange: 1 }
}

/** One repository as its rows are; `undefined` when there is none. */
export async function loadRepository(
  rows: RowStore,
  { name, id }: Pick<RepositoryState, 'name' | 'id'>,
  holding: Holding,
): Promise<RepositoryState | undefined> {
  const row = rows.get(SPACES.repositories, id)
  if (row === undefined) return undefined
  const { operations, updatedS } = decodeRepositoryRow(row)
  const logs = new Map<string, LogRow>()
  const state = { ...emptyState(name, id), operations, revision: operations, updatedS, logs }
  for await (const [key, log] of rows.rows(SPACES.logs, idRange(id))) {
    logs.set(toLatin1(key.subarray(HASH_BYTES)), decodeLogRow(log))
  }
  for await (const [key, view] of rows.rows(SPACES.view, prefixRange(fromUtf8(name)))) {
    await showHeld(rows, state, [[parseViewKey(key).key, decodeViewRow(view)]], holding)
  }
  return state
}

/** Repositories by name; what readers see. */
export class RepositoryMemory {
  readonly #states = new Map<string, RepositoryState>()
  #names: readonly string[] | undefined = []
  #totalRevision = 0

  get totalRevision(): number {
    return this.#totalRevision
  }

  /** What was made from what is here may be wrong, although no repository has changed. */
  touch(): void {
    this.#totalRevision++
  }

  get(name: string): RepositoryState | undefined {
    return this.#states.get(name)
  }

  states(): Iterable<RepositoryState> {
    return this.#states.values()
  }

  /** In byte order. */
  names(): readonly string[] {
    this.#names ??= [...this.#states.keys()].sort(compareNames)
    return this.#names
  }

  /** A new one, or one read anew: its revision never falls. */
  add(state: RepositoryState): void {
    const before = this.#states.get(state.name)?.revision ?? 0
    state.revision = Math.max(state.revision, before)
    this.#totalRevision += state.revision - before
    this.#states.set(state.name, state)
    this.#names = undefined
  }

  /** Makes readers see a change of a repository, whether it is known already or not. */
  commit(state: RepositoryState, change: () => void): void {
    if (this.#states.get(state.name) !== state) this.add(state)
    change()
    state.revision++
    this.#totalRevision++
  }
}

export function emptyState(name: string, id: Uint8Array): RepositoryState {
  return { name, id, ...emptyView(), logs: new Map(), operations: 0, revision: 0, updatedS: 0 }
}

export function emptyView(): Pick<RepositoryState, 'view' | 'ahead' | 'awaited'> {
  return { view: new RepositoryView(), ahead: new Map(), awaited: new Map() }
}

export type Views = Iterable<readonly [key: string, view: ViewRow | undefined]>

/** What readers may see of names: of one whose flist is not here, its last revision that is. Notes what is awaited. */
export async function heldViews(
  rows: RowStore,
  state: RepositoryState,
  views: Views,
  holding: Holding,
): Promise<Array<readonly [string, ViewRow | undefined]>> {
  const shown: Array<readonly [string, ViewRow | undefined]> = []
  const holdsHere = (flist: FlistId) => holding.holds(state.name, flist)
  for (const [key, view] of views) {
    if (view?.target.kind === 'file' && holding.isPurged(view.target.flist)) {
      state.awaited.delete(key)
      shown.push([key, undefined])
    } else if (view?.target.kind === 'file' && !isHeld(view, holdsHere)) {
      state.awaited.set(key, view.target.flist)
      shown.push([key, await heldRevision(rows, state.id, key, holdsHere)])
    } else {
      state.awaited.delete(key)
      shown.push([key, view])
    }
  }
  return shown
}

async function showHeld(
  rows: RowStore,
  state: RepositoryState,
  views: Views,
  holding: Holding,
): Promise<void> {
  for (const [key, view] of await heldViews(rows, state, views, holding)) show(state, key, view)
}

/** Lists names of a repository, or takes them out, after something has arrived. */
export function showAll(state: RepositoryState, views: Views): void {
  for (const [key, row] of views) show(state, key, row)
  for (const [key, row] of [...state.ahead]) show(state, key, row)
}

/** No time is shown far after the last arrival, whatever a clock said (replication.md, Settled points: times). */
function show(state: RepositoryState, key: string, row: ViewRow | undefined): void {
  const { name, tag } = splitEffectKey(key)
  state.ahead.delete(key)
  if (row === undefined) {
    state.view.delete(name, tag)
    return
  }
  const entry = entryOf(state, key, row)
  if (row.updatedS > entry.updatedS) state.ahead.set(key, row)
  state.view.set(entry)
}

/** A name as readers see it. */
export function entryOf(
  { name: repository, updatedS }: Pick<RepositoryState, 'name' | 'updatedS'>,
  key: string,
  row: ViewRow,
): Entry {
  const { name, tag } = splitEffectKey(key)
  const latestS = updatedS + MAX_AHEAD_MS / SECOND_MS
  const entry: Entry = { repository, name, ...row, updatedS: Math.min(row.updatedS, latestS) }
  return tag === undefined ? entry : { ...entry, tag }
}
