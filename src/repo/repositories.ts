import { InvalidInputError, LimitError } from '../errors.ts'
import { effectKey, isTargetOf, MAX_SUPERSEDED, splitEffectKey } from '../format/effect.ts'
import type { Effect } from '../format/effect.ts'
import { HASH_BYTES, logId, MAX_EFFECTS, repositoryId, signOperation } from '../format/operation.ts'
import type { SignedOperation } from '../format/operation.ts'
import type { FlistId } from '../store/flist-store.ts'
import type { RowStore } from '../store/row-store.ts'
import { compareBytes, fromUtf8, readU64be, toLatin1 } from '../util/bytes.ts'
import { KeyedMutex } from '../util/mutex.ts'
import type { AbortOptions } from '../util/units.ts'
import { checkOperations } from './check.ts'
import type { CheckOptions, OperationProblem } from './check.ts'
import type { Change, Entry, HistoryItem, Repositories, Resolved, User } from './entry.ts'
import { liveFlists, readHeads, readHistory } from './history.ts'
import type { Retention } from './history.ts'
import { HybridClock } from './hybrid-clock.ts'
import type { Clock } from './hybrid-clock.ts'
import { createIncarnation, incarnationChange } from './identity.ts'
import type { Identity } from './identity.ts'
import { followLinks } from './links.ts'
import { parseRepositoryName, parseTagName } from './names.ts'
import { operationBatch } from './operation-batch.ts'
import type { OperationBatch } from './operation-batch.ts'
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
import type { Version } from './state.ts'
import { compareNames, RepositoryView } from './view.ts'

export interface RepositoriesDeps {
  readonly rows: RowStore
  readonly identity: Identity
  readonly clock: Clock
}

/** One repository in memory: what wins under each name, and where its logs end. */
interface RepositoryState {
  readonly name: string
  readonly id: Uint8Array
  readonly view: RepositoryView
  /** By log id. */
  readonly logs: Map<string, LogRow>
  operations: number
  updatedS: number
}

/** Reads what wins under each name into memory: 100,000 names in about half a second. */
export async function openRepositories(deps: RepositoriesDeps): Promise<SignedRepositories> {
  const repositories = new SignedRepositories(deps)
  await repositories.load()
  return repositories
}

/**
 * The repositories of this node, changed by operations that its key signs. Memory follows the rows: it changes only
 * once the batch of an operation is durable.
 */
export class SignedRepositories implements Repositories {
  readonly #rows: RowStore
  readonly #identity: Identity
  readonly #wall: Clock
  readonly #clock: HybridClock
  readonly #states = new Map<string, RepositoryState>()
  readonly #turns = new KeyedMutex()
  /** Repositories whose rows may say more than memory. */
  readonly #stale = new Set<string>()
  #names: readonly string[] | undefined = []
  #incarnation: Uint8Array
  #totalRevision = 0
  #nextChange = 1

  constructor({ rows, identity, clock }: RepositoriesDeps) {
    this.#rows = rows
    this.#identity = identity
    this.#wall = clock
    this.#clock = new HybridClock(clock)
    this.#incarnation = identity.incarnation
  }

  /** Once, before anything else. */
  async load(): Promise<void> {
    const byId = new Map<string, RepositoryState>()
    for await (const [id, row] of this.#rows.rows(SPACES.repositories)) {
      const { name, operations, updatedS } = decodeRepositoryRow(row)
      byId.set(toLatin1(id), this.#addState({ ...emptyState(name, id), operations, updatedS }))
      this.#totalRevision += operations
    }
    for await (const [key, row] of this.#rows.rows(SPACES.logs)) {
      const state = byId.get(toLatin1(key.subarray(0, HASH_BYTES)))
      if (state !== undefined) this.#addLog(state, key, row)
    }
    for await (const [key, row] of this.#rows.rows(SPACES.view)) {
      const { repository, key: name } = parseViewKey(key)
      const state = this.#states.get(repository)
      if (state !== undefined) show(state, name, decodeViewRow(row))
    }
    for await (const [key] of this.#rows.rows(SPACES.changes, { reverse: true, limit: 1 })) {
      this.#nextChange = readU64be(key) + 1
    }
  }

  /** Takes one repository from its rows again: a write that failed may have landed. */
  async #reload(name: string): Promise<void> {
    const id = repositoryId(this.#identity.realm, name)
    const row = this.#rows.get(SPACES.repositories, id)
    if (row !== undefined) {
      const { operations, updatedS } = decodeRepositoryRow(row)
      const state = { ...emptyState(name, id), operations, updatedS }
      for await (const [key, log] of this.#rows.rows(SPACES.logs, idRange(id))) this.#addLog(state, key, log)
      for await (const [key, view] of this.#rows.rows(SPACES.view, prefixRange(fromUtf8(name)))) {
        show(state, parseViewKey(key).key, decodeViewRow(view))
      }
      this.#totalRevision += operations - this.revision(name)
      this.#addState(state)
    }
    this.#stale.delete(name)
  }

  #addLog(state: RepositoryState, key: Uint8Array, row: Uint8Array): void {
    const log = decodeLogRow(row)
    this.#clock.observe(log.time)
    state.logs.set(toLatin1(key.subarray(HASH_BYTES)), log)
  }

  get totalRevision(): number {
    return this.#totalRevision
  }

  list(): readonly string[] {
    this.#names ??= [...this.#states.keys()].sort(compareNames)
    return this.#names
  }

  has(repository: string): boolean {
    return this.#states.has(repository)
  }

  updatedS(repository: string): number {
    return this.#states.get(repository)?.updatedS ?? 0
  }

  revision(repository: string): number {
    return this.#states.get(repository)?.operations ?? 0
  }

  entries(repository: string): readonly Entry[] {
    return this.#states.get(repository)?.view.entries() ?? []
  }

  tags(repository: string): readonly string[] {
    return this.#states.get(repository)?.view.tags() ?? []
  }

  tagEntries(repository: string, tag: string): readonly Entry[] | undefined {
    return this.#states.get(repository)?.view.tagEntries(tag)
  }

  find(repository: string, name: string, tag?: string): Entry | undefined {
    return this.#states.get(repository)?.view.find(name, tag)
  }

  resolve(repository: string, name: string, tag?: string): Resolved | undefined {
    return followLinks(this.find(repository, name, tag), (inRepository, to) => this.find(inRepository, to))
  }

  history(repository: string, name: string, tag?: string): Promise<HistoryItem[]> {
    const id = repositoryId(this.#identity.realm, repository)
    return readHistory(this.#rows, id, effectKey({ name, tag }))
  }

  /** For the collector: the flists that must stay. */
  liveFlists(retention: Retention, options?: AbortOptions): AsyncIterable<FlistId> {
    return liveFlists(this.#rows, retention, this.#wall(), options)
  }

  /** For `fsck`: every operation read, checked, and the state made from them anew and compared. */
  checkOperations(options: CheckOptions): AsyncIterable<OperationProblem> {
    const exclusive = <T>(name: string, work: () => Promise<T>) => this.#turns.run(name, work)
    return checkOperations(this.#rows, this.#identity.realm, exclusive, options)
  }

  async apply(repository: string, changes: readonly Change[], user: User): Promise<Entry[]> {
    parseRepositoryName(repository)
    checkChanges(changes)
    return this.#turns.run(repository, () => this.#append(repository, changes, user))
  }

  async #append(repository: string, changes: readonly Change[], user: User): Promise<Entry[]> {
    if (this.#stale.has(repository)) await this.#reload(repository)
    const state =
      this.#states.get(repository) ?? emptyState(repository, repositoryId(this.#identity.realm, repository))
    const heads = new Map<string, readonly Version[]>()
    for (const change of changes) {
      const key = effectKey(change)
      heads.set(key, await readHeads(this.#rows, state.id, key))
    }
    const effects = effectsOf(changes, heads)
    if (effects.length === 0) return []
    const batch = this.#sign(state, effects, heads, user)
    await this.#write(repository, batch)
    this.#commit(state, batch)
    return effects.flatMap(({ name, tag }) => state.view.find(name, tag) ?? [])
  }

  #sign(
    state: RepositoryState,
    effects: readonly Effect[],
    heads: ReadonlyMap<string, readonly Version[]>,
    user: User,
  ): OperationBatch {
    const { node, realm, rootVersion } = this.#identity
    const id = toLatin1(logId(state.id, node.publicKey, this.#incarnation))
    const log = state.logs.get(id)
    const signed: SignedOperation = signOperation(
      {
        realm,
        repository: state.name,
        author: node.publicKey,
        incarnation: this.#incarnation,
        sequence: (log?.sequence ?? 0) + 1,
        previous: log?.heads[0],
        time: this.#clock.next(),
        effects,
        user: { sub: user.sub, idp: user.idp },
        rootVersion,
      },
      node,
    )
    const otherHeads = [...state.logs].flatMap(([other, row]) =>
      other === id ? row.heads.slice(1) : row.heads,
    )
    const { operations } = state
    const arrivedS = Math.floor(this.#wall() / 1000)
    return operationBatch({
      signed,
      heads,
      log,
      otherHeads,
      operations,
      arrivedS,
      change: this.#nextChange++,
    })
  }

  /**
   * A batch that failed may be on the disk all the same, or half of it. Its sequence number must not be signed twice,
   * so the next operation begins a new log.
   */
  async #write(repository: string, { changes }: OperationBatch): Promise<void> {
    try {
      await this.#rows.write([...changes, incarnationChange(this.#incarnation)])
    } catch (error) {
      this.#incarnation = createIncarnation()
      this.#stale.add(repository)
      throw error
    }
  }

  #commit(state: RepositoryState, { log, views }: OperationBatch): void {
    if (!this.#states.has(state.name)) this.#addState(state)
    state.logs.set(toLatin1(logId(state.id, log.author, log.incarnation)), log)
    state.operations++
    state.updatedS = Math.floor(this.#wall() / 1000)
    this.#totalRevision++
    for (const [key, view] of views) show(state, key, view)
  }

  #addState(state: RepositoryState): RepositoryState {
    this.#states.set(state.name, state)
    this.#names = undefined
    return state
  }
}

function emptyState(name: string, id: Uint8Array): RepositoryState {
  return { name, id, view: new RepositoryView(), logs: new Map(), operations: 0, updatedS: 0 }
}

function show(state: RepositoryState, key: string, row: ViewRow | undefined): void {
  const { name, tag } = splitEffectKey(key)
  if (row === undefined) {
    state.view.delete(name, tag)
    return
  }
  const entry = { repository: state.name, name, ...row }
  state.view.set(tag === undefined ? entry : { ...entry, tag })
}

function checkChanges(changes: readonly Change[]): void {
  if (changes.length > MAX_EFFECTS) throw new LimitError('changes at once', MAX_EFFECTS, 'names')
  if (new Set(changes.map(effectKey)).size < changes.length)
    throw new InvalidInputError('a name is changed twice')
  for (const change of changes) {
    const { name, tag } = change
    parseTagName(name)
    if (tag !== undefined) parseTagName(tag)
    if (change.type === 'put' && !isTargetOf(change, change.target))
      throw new InvalidInputError('invalid name')
  }
}

/** Each effect replaces all that stands under its name, as far as an operation may name it. */
function effectsOf(changes: readonly Change[], heads: ReadonlyMap<string, readonly Version[]>): Effect[] {
  let left = MAX_SUPERSEDED
  return changes.flatMap((change): Effect[] => {
    const standing = heads.get(effectKey(change)) ?? []
    if (change.type === 'delete' && standing[0]?.target === undefined) return []
    const supersedes = standing
      .slice(0, left)
      .map(({ operation }) => operation)
      .sort(compareBytes)
    left -= supersedes.length
    const { type, name, tag } = change
    const effect = { type, name, ...(tag !== undefined && { tag }), supersedes }
    if (change.type === 'delete') return [effect]
    const { target, updatedS } = change
    return [{ ...effect, target, ...(updatedS !== undefined && { updatedS }) }]
  })
}
