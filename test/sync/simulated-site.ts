import type { SignedRepositories } from '../../src/repo/repositories.ts'
import { RowLeases } from '../../src/store/leases.ts'
import { MemoryChunkStore } from '../../src/store/memory-chunk-store.ts'
import { RowFlistStore } from '../../src/store/row-flist-store.ts'
import type { RowStore } from '../../src/store/row-store.ts'
import { CHUNK_PROTOCOL, CHUNK_PROTOCOL_OPTIONS, ChunkFetcher } from '../../src/sync/chunk-fetcher.ts'
import { serveChunks } from '../../src/sync/chunk-server.ts'
import type { HeldChunks } from '../../src/sync/chunk-server.ts'
import { FlistFetcher } from '../../src/sync/flist-fetcher.ts'
import { FlistQueue } from '../../src/sync/flist-queue.ts'
import type { Replicator } from '../../src/sync/replicator.ts'
import { SILENT } from '../../src/util/logger.ts'
import type { SimulatedHost } from '../doubles/simulated-network.ts'
import type { Simulation } from '../doubles/simulation.ts'

interface SiteDeps {
  readonly host: SimulatedHost
  readonly replicator: Replicator
  readonly repositories: SignedRepositories
  readonly simulation: Simulation
  readonly isMember: () => boolean
}

/** What a simulated node keeps of flists and chunks, and how it serves and fetches them. */
export class SimulatedSite {
  readonly chunks = new MemoryChunkStore()
  flists!: RowFlistStore
  leases!: RowLeases
  /** Bytes of chunks that were sent. */
  sentBytes = 0
  /** What this node says of its chunks in place of the truth. */
  alter: (bytes: Uint8Array) => Uint8Array | undefined = (bytes) => bytes
  #rows: RowStore | undefined
  #fetcher: ChunkFetcher | undefined
  #queue: FlistQueue | undefined

  open(rows: RowStore, clock: () => number): void {
    this.#rows = rows
    this.flists = new RowFlistStore(rows, this.chunks)
    this.leases = new RowLeases(rows, clock)
  }

  start({ host, replicator, repositories, simulation, isMember }: SiteDeps): void {
    const { chunks, flists, leases } = this
    const held: HeldChunks = {
      has: (naming, id) => (naming === 'chunk' ? chunks.info(id) : this.#rows?.get('part', id)) !== undefined,
      read: (naming, id) => {
        const stored = naming === 'chunk' ? id : this.#rows?.get('part', id)
        const bytes = stored && chunks.read(stored)
        const sent = bytes && this.alter(bytes)
        this.sentBytes += sent?.length ?? 0
        return sent
      },
    }
    host.handle(
      CHUNK_PROTOCOL,
      CHUNK_PROTOCOL_OPTIONS,
      (channel) => void serveChunks(channel, held).catch(() => {}),
    )
    const fetcher = new ChunkFetcher({
      host,
      scheduler: simulation,
      log: SILENT,
      isMember,
      keep: (arrived) => chunks.write(arrived.map(([{ id, sha256 }, bytes]) => ({ id, bytes, sha256 }))),
    })
    const flist = new FlistFetcher({
      chunks,
      flists,
      leases,
      fetcher,
      object: (id, options) => replicator.object(id, options),
    })
    this.#fetcher = fetcher
    this.#queue = new FlistQueue({
      awaited: () => repositories.awaited(),
      fetch: (id, options) => flist.fetch(id, options),
      arrived: (id) => repositories.arrived(id),
      scheduler: simulation,
      log: SILENT,
    })
    fetcher.start()
    this.#queue.start()
  }

  ring(): void {
    this.#queue?.ring()
  }

  stop(): void {
    void this.#queue?.stop().catch(() => {})
    void this.#fetcher?.stop().catch(() => {})
  }
}
