/** What must not exist: said to the realm, and dropped here as soon as the realm says so, also after a crash. */
import { equalBytes, toHex } from './util/bytes.ts'
import type { PurgeReport, Purges } from './http/deps.ts'
import type { Change, Entry, HistoryItem, User } from './repo/entry.ts'
import type { RealmAdmin } from './repo/realm-admin.ts'
import type { Realm } from './repo/realm.ts'
import type { SignedRepositories } from './repo/repositories.ts'
import type { FlistId } from './store/flist-store.ts'
import { discardChunks, purgeFlist, type Purged, type PurgeDeps } from './store/purge.ts'
import type { Logger } from './util/logger.ts'

export interface PurgerDeps {
  readonly realm: Pick<Realm, 'governance' | 'subscribe'>
  readonly admin: Pick<RealmAdmin, 'mayAdmit' | 'purge'>
  readonly repositories: SignedRepositories
  readonly store: PurgeDeps
  readonly log: Logger
}

const NOTHING: Purged = { chunks: 0, bytes: 0, kept: 0 }

export class Purger implements Purges {
  readonly #deps: PurgerDeps
  readonly #stopping = new AbortController()
  /** What of each purged flist was dropped since the start. */
  readonly #dropped = new Map<string, Purged>()
  #unsubscribe = () => {}
  #running: Promise<void> | undefined

  constructor(deps: PurgerDeps) {
    this.#deps = deps
  }

  /** What a crash left is dropped when it resolves. */
  async start(): Promise<void> {
    this.#unsubscribe = this.#deps.realm.subscribe(() => this.#settleLater())
    await this.#settled().catch((error: unknown) => this.#report(error))
  }

  async stop(): Promise<void> {
    this.#unsubscribe()
    this.#stopping.abort()
    await this.#running?.catch(() => {})
  }

  isPurged(flist: FlistId): boolean {
    return this.#deps.realm.governance.isPurged(flist)
  }

  /** Names first, so that none leads to nothing; then the record, durable; then the content, on every node. */
  async purge(flist: FlistId, user: User): Promise<PurgeReport> {
    const { admin } = this.#deps
    if (!admin.mayAdmit) await admin.purge(flist) // says who may
    const names = await this.#takeFromNames(flist, user)
    await admin.purge(flist)
    await this.#settled()
    return { names, ...(this.#dropped.get(toHex(flist)) ?? NOTHING) }
  }

  discard(chunkIds: readonly Uint8Array[]): Promise<void> {
    return discardChunks(this.#deps.store, chunkIds)
  }

  #settleLater(): void {
    if (this.#due().length === 0) return
    this.#settled().catch((error: unknown) => this.#report(error))
  }

  /** It is tried again at the next change of the realm, and at the next start. */
  #report(error: unknown): void {
    if (!this.#stopping.signal.aborted) this.#deps.log.error('dropping what was purged', {}, error)
  }

  #settled(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async #run(): Promise<void> {
    const { repositories, store, log } = this.#deps
    const { signal } = this.#stopping
    for (let due = this.#due(); due.length > 0; due = this.#due()) {
      await repositories.hidePurged()
      for (const id of due) {
        const purged = await purgeFlist(store, id, { signal })
        this.#dropped.set(toHex(id), purged ?? NOTHING)
        if (purged !== undefined) log.info('purged a flist', { flist: toHex(id), ...purged })
      }
    }
  }

  #due(): FlistId[] {
    return this.#deps.realm.governance.purged.filter((id) => !this.#dropped.has(toHex(id)))
  }

  /** Every name that shows it, or has it in a conflict, in any repository. */
  async #takeFromNames(flist: FlistId, user: User): Promise<string[]> {
    const { repositories } = this.#deps
    const names: string[] = []
    for (const repository of repositories.list()) {
      for (const entry of repositories.entries(repository)) {
        const change = await this.#changeOf(entry, flist)
        if (change === undefined) continue
        await repositories.apply(repository, [change], user)
        names.push(`${repository}/${entry.name}`)
      }
    }
    return names
  }

  /** The name goes, or shows the best of its other versions where there is a conflict. */
  async #changeOf(entry: Entry, flist: FlistId): Promise<Change | undefined> {
    const { repository, name, conflicts } = entry
    if (conflicts === 0) return isOf(entry, flist) ? { type: 'delete', name } : undefined
    const items = await this.#deps.repositories.history(repository, name)
    const standing = items.filter(({ state }) => state === 'current' || state === 'conflict')
    if (!standing.some((item) => isOf(item, flist))) return undefined
    const others = standing.filter((item) => !isOf(item, flist) && !this.#isGone(item))
    const target = (others.find(({ state }) => state === 'current') ?? others[0])?.target
    return target === undefined ? { type: 'delete', name } : { type: 'put', name, target }
  }

  #isGone({ target }: HistoryItem): boolean {
    return target?.kind === 'file' && this.isPurged(target.flist)
  }
}

function isOf({ target }: Pick<HistoryItem, 'target'>, flist: FlistId): boolean {
  return target?.kind === 'file' && equalBytes(target.flist, flist)
}
