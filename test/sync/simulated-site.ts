import { RowLeases } from '../../src/store/leases.ts'
import { MemoryChunkStore } from '../../src/store/memory-chunk-store.ts'
import { RowFlistStore } from '../../src/store/row-flist-store.ts'
import type { RowStore } from '../../src/store/row-store.ts'
import { heldChunks } from '../../src/sync/chunk-server.ts'
import { Replication } from '../../src/sync/replication.ts'
import type { ReplicationDeps } from '../../src/sync/replication.ts'
import { MIRROR } from '../../src/sync/subscription.ts'
import type { Subscription } from '../../src/sync/subscription.ts'

type SiteDeps = Omit<ReplicationDeps, 'chunks' | 'flists' | 'leases' | 'space' | 'held'>

/** What a simulated node keeps of flists and chunks, and how it serves and fetches them. */
export class SimulatedSite {
  readonly chunks = new MemoryChunkStore()
  readonly subscription: Subscription
  flists!: RowFlistStore
  leases!: RowLeases
  replication: Replication | undefined
  /** Bytes of chunks that were sent. */
  sentBytes = 0
  /** What this node says of its chunks in place of the truth. */
  alter: (bytes: Uint8Array) => Uint8Array | undefined = (bytes) => bytes

  constructor(subscription = MIRROR) {
    this.subscription = subscription
  }

  open(rows: RowStore, clock: () => number): void {
    this.flists = new RowFlistStore(rows, this.chunks)
    this.leases = new RowLeases(rows, clock)
  }

  start(deps: SiteDeps): void {
    const { chunks, flists, leases, subscription } = this
    const held = heldChunks(chunks, flists)
    const read: typeof held.read = (naming, id) => {
      const bytes = held.read(naming, id)
      const sent = bytes && this.alter(bytes)
      this.sentBytes += sent?.length ?? 0
      return sent
    }
    this.replication = new Replication(
      {
        ...deps,
        chunks,
        flists,
        leases,
        space: { require: () => Promise.resolve() },
        held: { has: held.has, read },
      },
      { subscription, quotaBytes: 0, rateUp: 0, rateDown: 0 },
    )
    this.replication.start()
  }

  stop(): void {
    void this.replication?.stop().catch(() => {})
  }
}
