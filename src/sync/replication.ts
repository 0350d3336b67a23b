import type { Clock } from '../repo/hybrid-clock.ts'
import type { SignedRepositories } from '../repo/repositories.ts'
import type { RowStore } from '../store/row-store.ts'
import type { ChunkSource, ChunkStore } from '../store/chunk-store.ts'
import type { FlistId, FlistStore, Leases, ServedFlists } from '../store/flist-store.ts'
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
import { FlistFetcher } from './flist-fetcher.ts'
import { FlistQueue } from './flist-queue.ts'
import type { PeerReport, Replicated, RepositoryReport } from './replicated.ts'
import { createReplicator } from './create-replicator.ts'
import type { ReplicatedRealm } from './create-replicator.ts'
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
  readonly flists: FlistStore & ServedFlists
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
  readonly #queue: FlistQueue
  readonly #startedMs: number
  readonly #fetchOnce: (flist: string) => Promise<void>
  #unsubscribe: () => void = () => {}

  constructor(deps: ReplicationDeps, _options: ReplicationOptions) {
    const { host, realm, chunks, flists, leases, repositories, scheduler, log, space } = deps
    const isMember = (peer: Uint8Array) => realm.governance.isMember(peer)
    this.#deps = deps
    this.#startedMs = scheduler.now()
    this.#replicator = createReplicator({ ...deps, onPulled: () => this.#queue.ring() })
    this.#server = new ChunkServer({ host, held: deps.held ?? heldChunks(chunks, flists), isMember, log })
    this.#fetcher = new ChunkFetcher({
      host,
      scheduler,
      log,
      isMember,
      keep: (arrived) => chunks.write(arrived.map(([{ id, sha256 }, bytes]) => ({ id, bytes, sha256 }))),
    })
    const fetcher = new FlistFetcher({
      chunks,
      flists,
      leases,
      isPurged: (id) => realm.governance.isPurged?.(id) === true,
      fetcher: this.#fetcher,
      object: (id, options) => this.#replicator.object(id, options),
    })
    this.#queue = new FlistQueue({
      awaited: () => repositories.awaited(),
      fetch: async (id, options) => {
        await space.require(0)
        await fetcher.fetch(id, options)
      },
      arrived: (id) => repositories.arrived(id),
      scheduler,
      log,
    })
    this.#fetchOnce = share((flist) =>
      fetcher.fetch(Buffer.from(flist, 'hex'), { signal: AbortSignal.timeout(READ_MS) }),
    )
  }

  start(): void {
    this.#unsubscribe = this.#deps.realm.subscribe(() => this.#review())
    this.#server.start()
    this.#replicator.start()
    this.#fetcher.start()
    this.#queue.start()
  }

  /** Whoever waits for something of a peer is told that the node stops. */
  async stop(): Promise<void> {
    this.#unsubscribe()
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
    const { host, realm } = this.#deps
    const connected = new Set(host.peers().map(({ key }) => toHex(key)))
    const states = new Map(this.#replicator.peers().map((state) => [toHex(state.peer), state]))
    const others = realm.governance.members.filter(
      ({ node, isCut }) => !isCut && toHex(node) !== toHex(host.key),
    )
    return others.map(({ node, name, addresses }) => {
      const id = toHex(node)
      const pulledMs = states.get(id)?.pulledMs
      return {
        node: id,
        name,
        connected: connected.has(id),
        addrs: addresses,
        lagOps: 0,
        missingBytes: 0,
        etaSeconds: null,
        lastSeen: pulledMs === undefined ? null : Math.floor(pulledMs / SECOND_MS),
      }
    })
  }

  async repositories(): Promise<readonly RepositoryReport[]> {
    return []
  }

  frontierAgeS(): number {
    const pulled = this.#replicator.peers().map(({ pulledMs }) => pulledMs ?? this.#startedMs)
    const oldestMs = pulled.length === 0 ? this.#startedMs : Math.min(...pulled)
    return Math.max(0, Math.floor((this.#deps.scheduler.now() - oldestMs) / SECOND_MS))
  }

  isComplete(flist: FlistId): boolean {
    return this.#deps.flists.descriptor(flist) !== undefined
  }

  async fetchFlist(flist: FlistId, { signal }: AbortOptions = {}): Promise<void> {
    signal?.throwIfAborted()
    await this.#fetchOnce(toHex(flist))
  }

  readonly chunks: ChunkSource = { get: () => Promise.resolve(undefined) }

  metrics(): ReturnType<Replicated['metrics']> {
    return []
  }

  /** Who is a member has changed, or what counts. */
  #review(): void {
    this.#replicator.review()
    this.#fetcher.review()
  }
}
