import { effectKey, splitEffectKey } from '../format/effect.ts'
import type { Effect } from '../format/effect.ts'
import { logId, repositoryId, signOperation } from '../format/operation.ts'
import type { SignedOperation } from '../format/operation.ts'
import type { FlistId } from '../store/flist-store.ts'
import type { RowChange, RowStore } from '../store/row-store.ts'
import { EMPTY, equalBytes, toLatin1 } from '../util/bytes.ts'
import { KeyedMutex } from '../util/mutex.ts'
import type { AbortOptions } from '../util/units.ts'
import type { Authority } from './authority.ts'
import { checkChanges, effectsOf } from './changes.ts'
import { checkOperations } from './check.ts'
import type { CheckOptions, OperationProblem } from './check.ts'
import type { Change, Entry, HistoryItem, NamePlace, Repositories, Resolved, User } from './entry.ts'
import { liveFlists, readHeads, readHistory, readPast, readQuarantined, settledKeys } from './history.ts'
import type { Retention } from './history.ts'
import type { Holding, Holds } from './held-revision.ts'
import { HybridClock } from './hybrid-clock.ts'
import type { Clock } from './hybrid-clock.ts'
import { createIncarnation, incarnationChange } from './identity.ts'
import type { Identity } from './identity.ts'
import { followLinks } from './links.ts'
import { parseRepositoryName } from './names.ts'
import { nameDeltas } from './name-delta.ts'
import { logBatch, supersededChanges, viewChange, viewOf } from './operation-batch.ts'
import { readOperations } from './operation-reader.ts'
import {
  emptyState,
  emptyView,
  entryOf,
  loadRepositories,
  heldViews,
  loadRepository,
  showAll,
} from './repository-memory.ts'
import type { RepositoryMemory, RepositoryState } from './repository-memory.ts'
import { decodeViewRow, placeValue, SPACES, viewKey } from './rows.ts'
import type { ViewRow } from './rows.ts'
import { siftOperations } from './sift.ts'
import { placeEffects } from './state.ts'
import type { Version } from './state.ts'
import { formerRealms } from './realm-change.ts'
import { remakeState } from './state-rows.ts'

export interface RepositoriesDeps {
  readonly rows: RowStore
  readonly identity: Identity
  readonly clock: Clock
  /** Whose operations count, as governance is now. */
  readonly authority: () => Authority
  /** Without it every flist counts as held. */
  readonly holds?: Holds
  /** Must a flist not exist? Its names are not shown. */
  readonly isPurged?: (flist: FlistId) => boolean
  /** @throws {ForbiddenError} where what this node signs counts nowhere: it was cut. */
  readonly requireStanding?: () => void
}

/** What became of operations that a peer sent. */
export interface Received {
  /** How many were new. */
  readonly added: number
  /** The first that follows one which is not here; it and those after it were not taken. */
  readonly gap?: SignedOperation
}

export async function openRepositories(deps: RepositoriesDeps): Promise<SignedRepositories> {
  const { repositories, nextChange } = await loadRepositories(deps.rows, holdingOf(deps))
  return new SignedRepositories(deps, repositories, nextChange, await formerRealms(deps.rows))
}

/**
 * The repositories of this node: changed by operations that its key signs, and by those of others. Memory follows the
 * rows: it changes only once a batch is durable.
 */
export class SignedRepositories implements Repositories {
  readonly #rows: RowStore
  readonly #identity: Identity
  readonly #wall: Clock
  readonly #authority: () => Authority
  readonly #holding: Holding
  readonly #requireStanding: () => void
  readonly #clock: HybridClock
  readonly #memory: RepositoryMemory
  /** Realms that this folder was in before. */
  readonly #former: readonly Uint8Array[]
  readonly #turns = new KeyedMutex()
  /** Repositories whose rows may say more than memory. */
  readonly #stale = new Set<string>()
  readonly #listeners = new Set<(repository: string) => void>()
  #incarnation: Uint8Array
  #nextChange: number

  constructor(
    deps: RepositoriesDeps,
    memory: RepositoryMemory,
    nextChange: number,
    former: readonly Uint8Array[] = [],
  ) {
    const { rows, identity, clock, authority } = deps
    this.#rows = rows
    this.#identity = identity
    this.#wall = clock
    this.#authority = authority
    this.#holding = holdingOf(deps)
    this.#requireStanding = deps.requireStanding ?? (() => {})
    this.#clock = new HybridClock(clock)
    this.#incarnation = identity.incarnation
    this.#memory = memory
    this.#nextChange = nextChange
    this.#former = former
    for (const { logs } of memory.states()) {
      for (const { time } of logs.values()) this.#clock.observe(time)
    }
  }

  get totalRevision(): number {
    return this.#memory.totalRevision
  }

  list(): readonly string[] {
    return this.#memory.names()
  }

  has(repository: string): boolean {
    return this.#memory.get(repository) !== undefined
  }

  updatedS(repository: string): number {
    return this.#memory.get(repository)?.updatedS ?? 0
  }

  revision(repository: string): number {
    return this.#memory.get(repository)?.revision ?? 0
  }

  entries(repository: string): readonly Entry[] {
    return this.#memory.get(repository)?.view.entries() ?? []
  }

  tags(repository: string): readonly string[] {
    return this.#memory.get(repository)?.view.tags() ?? []
  }

  tagEntries(repository: string, tag: string): readonly Entry[] | undefined {
    return this.#memory.get(repository)?.view.tagEntries(tag)
  }

  find(repository: string, name: string, tag?: string): Entry | undefined {
    return this.#memory.get(repository)?.view.find(name, tag)
  }

  resolve(repository: string, name: string, tag?: string): Resolved | undefined {
    const start = this.find(repository, name, tag) ?? this.pending(repository, name, tag)
    return followLinks(
      start,
      (inRepository, to) => this.find(inRepository, to) ?? this.pending(inRepository, to),
    )
  }

  pending(repository: string, name: string, tag?: string): Entry | undefined {
    const key = effectKey({ name, tag })
    const state = this.#memory.get(repository)
    if (state?.awaited.has(key) !== true || state.view.find(name, tag) !== undefined) return undefined
    const row = this.#rows.get(SPACES.view, viewKey(repository, key))
    return row && entryOf(state, key, decodeViewRow(row))
  }

  async history(repository: string, name: string, tag?: string): Promise<HistoryItem[]> {
    const key = effectKey({ name, tag })
    const logs = this.#memory.get(repository)?.logs ?? new Map<string, never>()
    const quarantined = await readQuarantined(this.#rows, logs, this.#authority(), key)
    const ids = this.#former.map((realm) => repositoryId(realm, repository))
    const former = await Promise.all(ids.map((id) => readPast(this.#rows, id, key)))
    return await readHistory(this.#rows, this.#idOf(repository), key, quarantined, former.flat())
  }

  async settled(repository: string): Promise<NamePlace[]> {
    return (await settledKeys(this.#rows, this.#idOf(repository))).map(splitEffectKey)
  }

  /** For the collector: the flists that must stay. */
  liveFlists(retention: Retention, options?: AbortOptions): AsyncIterable<FlistId> {
    return liveFlists(this.#rows, retention, this.#wall(), options)
  }

  /** For `fsck`: every operation read, checked, and the state made from them anew and compared. */
  checkOperations(options: CheckOptions): AsyncIterable<OperationProblem> {
    const exclusive = <T>(name: string, work: () => Promise<T>) => this.#turns.run(name, work)
    const realm = { realm: this.#identity.realm, authority: this.#authority() }
    const own = this.#identity.node.publicKey
    // What others published may still be on its way, or is fetched when somebody asks for it.
    const holds = (flist: FlistId, author: Uint8Array) =>
      !equalBytes(author, own) || options.holds(flist, author)
    return checkOperations(this.#rows, realm, exclusive, { ...options, holds })
  }

  /** Tells of each change of a repository, once it is durable and seen. Answers how to end that. */
  subscribe(listener: (repository: string) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async apply(repository: string, changes: readonly Change[], user: User): Promise<Entry[]> {
    parseRepositoryName(repository)
    checkChanges(changes)
    return this.#turns.run(repository, async () => {
      this.#requireStanding()
      const state = await this.#state(repository)
      const effects = await this.#effectsOf(state, changes)
      if (effects.length === 0) return []
      await this.#sign(state, effects, user)
      return effects.flatMap(({ name, tag }) => this.find(repository, name, tag) ?? [])
    })
  }

  /**
   * Takes operations of one repository that `readArrival` let in, each log's in its order, in one synced batch. Known
   * ones are passed over.
   * @throws {LimitError} when a log has too many branches. @throws {MalformedError} for one out of place in its log.
   */
  async receive(repository: string, operations: readonly SignedOperation[]): Promise<Received> {
    return this.#turns.run(repository, async () => {
      const state = await this.#state(repository)
      const { fresh, gap } = siftOperations(state.id, operations, (hash) =>
        this.#rows.get(SPACES.places, hash),
      )
      if (fresh.length > 0) await this.#takeForeign(state, fresh)
      return { added: fresh.length, ...(gap && { gap }) }
    })
  }

  /** Judges every repository anew that has a log of one of these nodes, after governance has changed. */
  async recount(nodes: readonly Uint8Array[], options: AbortOptions = {}): Promise<void> {
    const isAffected = ({ logs }: RepositoryState) =>
      [...logs.values()].some(({ author }) => nodes.some((node) => equalBytes(node, author)))
    const known = [...this.#memory.states()].filter(isAffected).map(({ name }) => name)
    // What is on its way to the disk was judged before the change.
    for (const name of new Set([...known, ...this.#turns.keys()])) {
      options.signal?.throwIfAborted()
      await this.#turns.run(name, async () => {
        const state = await this.#state(name)
        if (!isAffected(state)) return
        const { changes, views } = await this.#remake(state, [])
        await this.#write(name, changes)
        await this.#replace(state, views)
      })
    }
  }

  /** Flists that names of a repository, or of all, lead to and that are not here whole; one may come more than once. */
  *awaited(repository?: string): Generator<FlistId> {
    const one = repository === undefined ? undefined : this.#memory.get(repository)
    const states = repository === undefined ? this.#memory.states() : one === undefined ? [] : [one]
    for (const { awaited } of states) yield* awaited.values()
  }

  /** Shows what can be shown of the names that wait for a flist, now that more of it is here. */
  async arrived(flist: FlistId): Promise<void> {
    const waiting = ({ awaited }: RepositoryState) =>
      [...awaited.values()].some((id) => equalBytes(id, flist))
    for (const { name } of [...this.#memory.states()].filter(waiting)) {
      await this.#turns.run(name, async () => {
        const state = await this.#state(name)
        const views = [...state.awaited].flatMap(
          ([key, id]): Array<readonly [string, ViewRow | undefined]> => {
            const row = equalBytes(id, flist) ? this.#rows.get(SPACES.view, viewKey(name, key)) : undefined
            return row === undefined ? [] : [[key, decodeViewRow(row)]]
          },
        )
        if (views.length > 0) await this.#show(state, new Map(views))
      })
    }
  }

  /** Takes names out of sight whose flist has been purged since they were shown, and makes caches look again. */
  async hidePurged(): Promise<void> {
    const { isPurged } = this.#holding
    this.#memory.touch()
    for (const { name } of [...this.#memory.states()]) {
      await this.#turns.run(name, async () => {
        const state = await this.#state(name)
        const shown = state.view
          .entries()
          .flatMap(({ name: one, target }) =>
            target.kind === 'file' && isPurged(target.flist) ? [effectKey({ name: one })] : [],
          )
        const awaited = [...state.awaited].flatMap(([key, id]) => (isPurged(id) ? [key] : []))
        const rows = [...new Set([...shown, ...awaited])].map(
          (key): readonly [string, ViewRow | undefined] => {
            const row = this.#rows.get(SPACES.view, viewKey(name, key))
            return [key, row && decodeViewRow(row)]
          },
        )
        if (rows.length > 0) await this.#show(state, new Map(rows))
      })
    }
  }

  #idOf(repository: string): Uint8Array {
    return repositoryId(this.#identity.realm, repository)
  }

  /** What is known of a repository; read again where a write failed, which may have landed. */
  async #state(name: string): Promise<RepositoryState> {
    const empty = emptyState(name, this.#idOf(name))
    if (this.#stale.has(name)) {
      const state = await loadRepository(this.#rows, empty, this.#holding)
      if (state !== undefined) this.#memory.add(state)
      this.#stale.delete(name)
    }
    return this.#memory.get(name) ?? empty
  }

  async #effectsOf(state: RepositoryState, changes: readonly Change[]): Promise<Effect[]> {
    const heads = new Map<string, readonly Version[]>()
    for (const change of changes) {
      const key = effectKey(change)
      heads.set(key, await readHeads(this.#rows, state.id, key))
    }
    return effectsOf(changes, heads)
  }

  async #sign(state: RepositoryState, effects: readonly Effect[], user: User): Promise<void> {
    const { node, realm, rootVersion } = this.#identity
    const id = logId(state.id, node.publicKey, this.#incarnation)
    const log = state.logs.get(toLatin1(id))
    const end = placeValue(id, log?.sequence ?? 0)
    const isEnd = (head: Uint8Array) => equalBytes(this.#rows.get(SPACES.places, head) ?? EMPTY, end)
    const signed = signOperation(
      {
        realm,
        repository: state.name,
        author: node.publicKey,
        incarnation: this.#incarnation,
        sequence: (log?.sequence ?? 0) + 1,
        // Of several branches the longest: an operation has the number after that of the one before it.
        previous: log?.heads.find(isEnd),
        time: this.#clock.next(),
        effects,
        user: { sub: user.sub, idp: user.idp },
        rootVersion,
      },
      node,
    )
    try {
      await this.#take(state, [signed], [incarnationChange(this.#incarnation)])
    } catch (error) {
      // The batch may be on the disk all the same: its sequence number must not be signed twice.
      this.#incarnation = createIncarnation()
      throw error
    }
  }

  /** An operation of this data folder that is not in it: the folder is an older copy, and goes on under a new name. */
  async #takeForeign(state: RepositoryState, fresh: readonly SignedOperation[]): Promise<void> {
    const isOwn = fresh.some(
      ({ operation: { author, incarnation } }) =>
        equalBytes(author, this.#identity.node.publicKey) && equalBytes(incarnation, this.#incarnation),
    )
    if (isOwn) this.#incarnation = createIncarnation()
    await this.#take(state, fresh, isOwn ? [incarnationChange(this.#incarnation)] : [])
    for (const { operation } of fresh) this.#clock.observe(operation.time)
  }

  /** Stores operations, and what they change of those that count, in one batch; then readers see it. */
  async #take(
    state: RepositoryState,
    operations: readonly SignedOperation[],
    also: readonly RowChange[],
  ): Promise<void> {
    const arrivedS = Math.max(state.updatedS, Math.floor(this.#wall() / 1000))
    const batch = logBatch(state, operations, {
      arrivedS,
      nextChange: () => this.#nextChange++,
      limitsOf: (author, log) => this.#authority().limitsOf(author, log),
    })
    const judged = this.#judge(state, operations)
    const made =
      judged === undefined ? await this.#remake(state, operations) : await this.#extend(state, judged)
    await this.#write(state.name, [...batch.changes, ...made.changes, ...also])
    state.logs = batch.logs
    state.operations = batch.operations
    state.updatedS = arrivedS
    if (judged === undefined) await this.#replace(state, made.views)
    else await this.#show(state, made.views)
  }

  /** Those that count; `undefined` when only the whole log can tell. */
  #judge(state: RepositoryState, operations: readonly SignedOperation[]): SignedOperation[] | undefined {
    const authority = this.#authority()
    const counted: SignedOperation[] = []
    for (const signed of operations) {
      const { author, incarnation, sequence } = signed.operation
      const limits = authority.limitsOf(author, logId(state.id, author, incarnation))
      if (limits === 'all') counted.push(signed)
      // Up to a limit it may count, or lead to the operation that is the limit, before which others count.
      else if (limits !== 'none' && limits.some((limit) => sequence <= limit.sequence)) return undefined
    }
    return counted
  }

  async #extend(state: RepositoryState, counted: readonly SignedOperation[]): Promise<Made> {
    const deltas = await nameDeltas(this.#rows, state.id, counted.flatMap(placeEffects))
    const views = new Map<string, ViewRow | undefined>()
    const changes: RowChange[] = supersededChanges(counted)
    for (const { key, heads, changes: ofName } of deltas) {
      const view = viewOf(heads)
      views.set(key, view)
      for (const change of ofName) changes.push(change)
      changes.push(viewChange(state.name, key, view))
    }
    return { changes, views }
  }

  async #remake(state: RepositoryState, also: readonly SignedOperation[]): Promise<Made> {
    const operations: SignedOperation[] = [...also]
    for await (const signed of readOperations(this.#rows, state.logs.keys())) operations.push(signed)
    return await remakeState(this.#rows, state, operations, this.#authority())
  }

  async #write(repository: string, changes: readonly RowChange[]): Promise<void> {
    try {
      await this.#rows.write(changes)
    } catch (error) {
      this.#stale.add(repository)
      throw error
    }
  }

  async #show(state: RepositoryState, views: Made['views']): Promise<void> {
    const shown = await heldViews(this.#rows, state, views, this.#holding)
    this.#memory.commit(state, () => showAll(state, shown))
    this.#announce(state.name)
  }

  /** The whole view is another one. */
  async #replace(before: RepositoryState, views: Made['views']): Promise<void> {
    const state = { ...before, ...emptyView(), revision: before.revision + 1 }
    showAll(state, await heldViews(this.#rows, state, views, this.#holding))
    this.#memory.add(state)
    this.#announce(state.name)
  }

  #announce(repository: string): void {
    for (const listener of this.#listeners) listener(repository)
  }
}

function holdingOf({ holds = () => 'whole', isPurged = () => false }: RepositoriesDeps): Holding {
  return { holds, isPurged }
}

/** Rows that operations change, and what lists show of the names afterwards. */
interface Made {
  readonly changes: readonly RowChange[]
  readonly views: ReadonlyMap<string, ViewRow | undefined>
}
