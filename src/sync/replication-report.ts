import { setImmediate as breathe } from 'node:timers/promises'
import type { SignedRepositories } from '../repo/repositories.ts'
import type { FlistId } from '../store/flist-store.ts'
import { equalBytes, toHex } from '../util/bytes.ts'
import { SECOND_MS } from '../util/units.ts'
import type { ChunkFetcher } from './chunk-fetcher.ts'
import type { FlistQueue } from './flist-queue.ts'
import type { Missing, MissingChunks } from './missing-chunks.ts'
import type { PeerReport, Replicated, RepositoryReport } from './replicated.ts'
import type { ReplicationDeps, ReplicationOptions } from './replication.ts'
import type { Replicator } from './replicator.ts'

interface Lacking extends Missing {
  readonly flists: number
}

export interface ReportDeps extends Pick<ReplicationDeps, 'host' | 'realm' | 'repositories' | 'scheduler'> {
  readonly subscription: ReplicationOptions['subscription']
  readonly replicator: Pick<Replicator, 'peers'>
  readonly fetcher: Pick<ChunkFetcher, 'counts' | 'bytesPerS'>
  readonly queue: Pick<FlistQueue, 'failures'>
  readonly missing: MissingChunks
}

/** What this node says of replication. Sums go over what is on its way, never over what is here. */
export class ReplicationReport {
  readonly #deps: ReportDeps
  readonly #startedMs: number
  /** Names of flists by repository, as of a revision. */
  readonly #flists = new Map<string, { readonly revision: number; readonly count: number }>()
  #lacking: { readonly atMs: number; readonly all: Lacking } | undefined

  constructor(deps: ReportDeps) {
    this.#deps = deps
    this.#startedMs = deps.scheduler.now()
  }

  peers(): readonly PeerReport[] {
    const { host, realm, replicator, fetcher, scheduler } = this.#deps
    const connected = new Map(host.peers().map((info) => [toHex(info.key), info]))
    const states = new Map(replicator.peers().map((state) => [toHex(state.peer), state]))
    const { bytes: missingBytes } = this.lacking()
    const rate = fetcher.bytesPerS(scheduler.now())
    const others = realm.governance.members.filter(({ node, isCut }) => !isCut && !equalBytes(node, host.key))
    return others.map(({ node, name, addresses }) => {
      const id = toHex(node)
      const state = states.get(id)
      return {
        node: id,
        name,
        connected: connected.has(id),
        addrs: addresses,
        lagOps: state?.lagOps ?? 0,
        missingBytes,
        etaSeconds: missingBytes === 0 ? 0 : rate > 0 ? Math.ceil(missingBytes / rate) : null,
        lastSeen: state?.pulledMs === undefined ? null : Math.floor(state.pulledMs / SECOND_MS),
      }
    })
  }

  async repositories(): Promise<readonly RepositoryReport[]> {
    const { repositories, subscription } = this.#deps
    const reports: RepositoryReport[] = []
    for (const name of repositories.list()) {
      const { flists, chunks, bytes } = this.#sum(repositories.awaited(name))
      reports.push({
        name,
        held: subscription.wants(name) && flists === 0 && chunks === 0,
        flists: this.#countFlists(repositories, name),
        missingFlists: flists,
        missingChunks: chunks,
        missingBytes: bytes,
      })
      await breathe()
    }
    return reports
  }

  frontierAgeS(): number {
    const { replicator, scheduler, realm, host } = this.#deps
    const isAlone = realm.governance.members.every(({ node, isCut }) => isCut || equalBytes(node, host.key))
    if (isAlone) return 0
    const connected = new Set(host.peers().map(({ key }) => toHex(key)))
    const pulls = replicator.peers().map(({ peer, pulledMs }) => ({
      isConnected: connected.has(toHex(peer)),
      atMs: pulledMs ?? this.#startedMs,
    }))
    const now = pulls.filter(({ isConnected }) => isConnected).map(({ atMs }) => atMs)
    const known =
      now.length > 0 ? Math.min(...now) : Math.max(this.#startedMs, ...pulls.map(({ atMs }) => atMs))
    return Math.max(0, Math.floor((scheduler.now() - known) / SECOND_MS))
  }

  metrics(): ReturnType<Replicated['metrics']> {
    const { host, replicator, fetcher, queue } = this.#deps
    const { flists, chunks, bytes } = this.lacking()
    const { fetchedChunks, fetchedBytes, lies, brokenChannels } = fetcher.counts
    const lagOps = replicator.peers().reduce((sum, peer) => sum + peer.lagOps, 0)
    const traffic = [...(host.traffic?.() ?? [])].flatMap(([protocol, { receivedBytes, sentBytes }]) =>
      (['received', 'sent'] as const).map((direction) => ({
        name: 'zhub_peer_bytes_total',
        help: 'Bytes of messages from and to peers.',
        value: direction === 'received' ? receivedBytes : sentBytes,
        labels: { protocol, direction },
      })),
    )
    const one = (name: string, help: string, value: number) => ({ name: `zhub_${name}`, help, value })
    const failed = (kind: string, value: number) => ({
      ...one('fetch_errors_total', 'Fetches that failed, by what failed.', value),
      labels: { kind },
    })
    return [
      ...traffic,
      one('peers', 'Members that are connected.', host.peers().length),
      one('frontier_age_seconds', 'Age of what is known of other nodes.', this.frontierAgeS()),
      one(
        'lag_operations',
        'Operations that peers have and this node lacks, as far as they have said.',
        lagOps,
      ),
      one('missing_flists', 'Flists that names lead to and that are not here.', flists),
      one('missing_chunks', 'Chunks of flists that names lead to and that are not here.', chunks),
      one('missing_bytes', 'Bytes of those chunks.', bytes),
      one('fetched_chunks_total', 'Chunks that came from peers.', fetchedChunks),
      one('fetched_bytes_total', 'Bytes of chunks that came from peers.', fetchedBytes),
      failed('lie', lies),
      failed('channel', brokenChannels),
      failed('flist', queue.failures),
    ]
  }

  /** Of all that is subscribed, as of the last second. */
  lacking(): Lacking {
    const atMs = this.#deps.scheduler.now()
    if (this.#lacking === undefined || atMs - this.#lacking.atMs >= SECOND_MS)
      this.#lacking = { atMs, all: this.#sum(this.#deps.repositories.awaited()) }
    return this.#lacking.all
  }

  #sum(awaited: Iterable<FlistId>): Lacking {
    const sum = { flists: 0, chunks: 0, bytes: 0 }
    for (const id of new Map([...awaited].map((one) => [toHex(one), one])).values()) {
      const missing = this.#deps.missing.of(id)
      if (missing === undefined) sum.flists++
      sum.chunks += missing?.chunks ?? 0
      sum.bytes += missing?.bytes ?? 0
    }
    return sum
  }

  #countFlists(repositories: SignedRepositories, name: string): number {
    const revision = repositories.revision(name)
    const known = this.#flists.get(name)
    if (known?.revision === revision) return known.count
    const count = repositories.entries(name).filter(({ target }) => target.kind === 'file').length
    this.#flists.set(name, { revision, count })
    return count
  }
}
