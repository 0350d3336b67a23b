import { UnavailableError } from '../errors.ts'
import type { Clock } from '../repo/hybrid-clock.ts'
import type { SignedRepositories } from '../repo/repositories.ts'
import type { RowStore } from '../store/row-store.ts'
import type { ChunkSource, ChunkStore } from '../store/chunk-store.ts'
import type { FlistId, FetchedFlists, FlistStore, Leases, ServedFlists } from '../store/flist-store.ts'
import type { PeerHost } from '../net/peer-host.ts'
import type { TrafficTotals } from '../net/traffic.ts'
import { toHex } from '../util/bytes.ts'
import type { Logger } from '../util/logger.ts'
import type { Scheduler } from '../util/scheduler.ts'
import { share } from '../util/share.ts'
import { SECOND_MS } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'
import { ChunkFetcher } from './chunk-fetcher.ts'
import { ChunkServer, heldChunks } from './chunk-server.ts'
import type { HeldChunks } from './chunk-server.ts'
import { waitFor, within } from './deadline.ts'
import type { FetchItem } from './fetch-item.ts'
import { FlistFetcher } from './flist-fetcher.ts'
import { FlistQueue } from './flist-queue.ts'
import { MissingChunks } from './missing-chunks.ts'
import type { PeerReport, Replicated, RepositoryReport } from './replicated.ts'
import { createReplicator } from './create-replicator.ts'
import type { ReplicatedRealm } from './create-replicator.ts'
import { ReplicationReport } from './replication-report.ts'
import type { Replicator } from './replicator.ts'
import type { Subscription } from './subscription.ts'

export interface ReplicationDeps {
  readonly host: PeerHost & {
    /** Bytes of messages since the start, by protocol; a simulated one has none. */
    traffic?(): ReadonlyMap<string, TrafficTotals>
  }
  readonly realm: ReplicatedRealm
  readonly rows: RowStore
  readonly chunks: ChunkStore
  readonly flists: FlistStore & FetchedFlists & ServedFlists
  readonly leases: Leases
  readonly repositories: SignedRepositories
  readonly scheduler: Scheduler
  readonly log: Logger
  /** @throws {DiskFullError} when storing so many bytes would leave less than the mark. */
  readonly space: { require(bytes: number): Promise<void> }
  readonly clock: Clock
  /** What peers are given; without it what is here. */
  readonly held?: HeldChunks
}

export interface ReplicationOptions {
  readonly subscription: Subscription
  /** Of chunks outside the subscription; 0 = no bound. */
  readonly quotaBytes: number
  /** Bytes of chunks a second, to all peers; 0 = no bound. */
  readonly rateUp: number
  /** From all peers, as `rateUp`. */
  readonly rateDown: number
}

/** A client that waits for a flist or a chunk is told after so long that nobody has it (replication.md 2.12). */
const READ_MS = 30 * SECOND_MS

/** One node's part in its realm: operations, flists and chunks, asked for and answered. */
export class Replication implements Replicated {
  readonly isShared = true
  readonly #deps: ReplicationDeps
  readonly #replicator: Replicator
  readonly #server: ChunkServer
  readonly #fetcher: ChunkFetcher
  readonly #missing: MissingChunks
  readonly #flistFetcher: FlistFetcher
  readonly #queue: FlistQueue
  readonly #stopping = new AbortController()
  #loading: Promise<void> = Promise.resolve()
  readonly #report: ReplicationReport
  readonly #fetchOnce: (flist: string) => Promise<void>
  #unsubscribe: () => void = () => {}

  constructor(deps: ReplicationDeps, options: ReplicationOptions) {
    const { host, realm, chunks, flists, leases, repositories, scheduler, log, space } = deps
    const isMember = (peer: Uint8Array) => realm.governance.isMember(peer)
    this.#deps = deps
    this.#replicator = createReplicator({ ...deps, onPulled: () => this.#queue.ring() })
    this.#server = new ChunkServer({
      host,
      held: deps.held ?? heldChunks(chunks, flists),
      isMember,
      log,
      scheduler,
      rateUp: options.rateUp,
    })
    this.#fetcher = new ChunkFetcher({
      host,
      scheduler,
      log,
      isMember,
      rateDown: options.rateDown,
      keep: (arrived) => chunks.write(arrived.map(([{ id, sha256 }, bytes]) => ({ id, bytes, sha256 }))),
    })
    this.#missing = new MissingChunks(flists)
    this.#flistFetcher = new FlistFetcher({
      chunks,
      flists,
      leases,
      isPurged: (id) => realm.governance.isPurged?.(id) === true,
      missing: this.#missing,
      fetcher: this.#fetcher,
      object: (id, options) => this.#replicator.object(id, options),
    })
    this.#queue = new FlistQueue({
      awaited: () => repositories.awaited(),
      fetchPartial: async (id, options) => {
        await space.require(0)
        await this.#flistFetcher.fetchPartial(id, options)
      },
      complete: (id, options) => this.#flistFetcher.complete(id, options),
      arrived: (id) => repositories.arrived(id),
      scheduler,
      log,
    })
    this.#report = new ReplicationReport({
      ...deps,
      ...options,
      replicator: this.#replicator,
      fetcher: this.#fetcher,
      queue: this.#queue,
      missing: this.#missing,
    })
    const late = () => new UnavailableError('no node that is connected has sent the flist in time')
    this.#fetchOnce = share((flist) => {
      const id = Buffer.from(flist, 'hex')
      return within(scheduler, READ_MS, late, (signal) => this.#flistFetcher.fetchPartial(id, { signal }))
    })
  }

  start(): void {
    this.#unsubscribe = this.#deps.realm.subscribe(() => this.#review())
    this.#loading = this.#missing.load({ signal: this.#stopping.signal })
    this.#server.start()
    this.#replicator.start()
    this.#fetcher.start()
    this.#queue.start()
  }

  /** Whoever waits for something of a peer is told that the node stops. */
  async stop(): Promise<void> {
    this.#unsubscribe()
    this.#stopping.abort()
    await this.#loading
    await this.#queue.stop()
    await this.#fetcher.stop()
    await this.#replicator.stop()
    await this.#server.stop()
  }

  /** A member says that it has something new. */
  hear(peer: Uint8Array): void {
    this.#replicator.ring(peer)
  }

  get addresses(): readonly string[] {
    return this.#deps.host.addresses()
  }

  peers(): readonly PeerReport[] {
    return this.#report.peers()
  }

  repositories(): Promise<readonly RepositoryReport[]> {
    return this.#report.repositories()
  }

  frontierAgeS(): number {
    return this.#report.frontierAgeS()
  }

  isComplete(flist: FlistId): boolean {
    return this.#deps.flists.isComplete(flist)
  }

  async fetchFlist(flist: FlistId, { signal }: AbortOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    await waitFor(this.#fetchOnce(toHex(flist)), { signal })
  }

  readonly chunks: ChunkSource = { get: (id, options) => this.#chunk(id, options) }

  metrics(): ReturnType<Replicated['metrics']> {
    return this.#report.metrics()
  }

  async #chunk(id: Uint8Array, { signal }: AbortOptions = {}): Promise<Uint8Array | undefined> {
    signal?.throwIfAborted()
    const item = await this.#missing.find(id)
    if (item === undefined) return undefined
    const { chunks, host, scheduler } = this.#deps
    const info = chunks.info(id)
    if (info !== undefined && info.isDamaged !== true) return chunks.read(id)
    if (host.peers().length === 0)
      throw new UnavailableError('the chunk is on other nodes, and none is connected')
    const late = () => new UnavailableError('no node that is connected has sent the chunk in time')
    let bytes: Uint8Array | undefined
    const onArrived = (_: FetchItem, arrived: Uint8Array) => {
      bytes = arrived
      this.#missing.arrived(item.flist, arrived.length)
    }
    await within(
      scheduler,
      READ_MS,
      late,
      (both) => this.#fetcher.fetch([item], { signal: both, isUrgent: true, onArrived }),
      { signal },
    )
    return bytes
  }

  /** Who is a member has changed, or what counts. */
  #review(): void {
    this.#replicator.review()
    this.#fetcher.review()
  }
}
