import type { ChunkSource } from '../store/chunk-store.ts'
import type { FlistId } from '../store/flist-store.ts'
import type { AbortOptions } from '../util/units.ts'

/** A member of the realm, as this node sees it. */
export interface PeerReport {
  /** Ed25519 public key, 64 hex digits. */
  readonly node: string
  readonly name: string
  readonly connected: boolean
  /** Multiaddrs. */
  readonly addrs: readonly string[]
  /** Operations that it has and this node lacks, as far as it has said. */
  readonly lagOps: number
  /** Of what names here lead to and this node lacks. */
  readonly missingBytes: number
  /** Until `missingBytes` is 0 at the rate of now; `null` when nothing moves. */
  readonly etaSeconds: number | null
  /** Unix seconds; `null` = never since the start. */
  readonly lastSeen: number | null
}

export interface RepositoryReport {
  readonly name: string
  /** Subscribed, and nothing is missing. */
  readonly held: boolean
  readonly flists: number
  readonly missingFlists: number
  readonly missingChunks: number
  readonly missingBytes: number
}

/** What the API, the chunk port and the command line see of replication. */
export interface Replicated {
  readonly isShared: boolean
  /** Multiaddrs, each with `/p2p/…`. */
  readonly addresses: readonly string[]
  peers(): readonly PeerReport[]
  repositories(): Promise<readonly RepositoryReport[]>
  /** Age of what is known of other nodes: seconds since the oldest last pull from a member that is connected, or from anybody when none is; 0 for a node alone. */
  frontierAgeS(): number
  /** Are all chunks of a flist here? False also when its flist is not. Synchronous. */
  isComplete(flist: FlistId): boolean
  /**
   * Brings a flist here from a peer, its file and chunk list, not its chunks. Joined: those who want one flist share one
   * fetch.
   * @throws {UnavailableError} when no peer has it. @throws the signal's reason.
   */
  fetchFlist(flist: FlistId, options?: AbortOptions): Promise<void>
  /** Chunks that a chunk list known here names, from peers, verified and kept; `undefined` at once for any other. */
  readonly chunks: ChunkSource
  /** `/metrics`, with the prefix `zhub_`. */
  metrics(): ReadonlyArray<{
    readonly name: string
    readonly help: string
    readonly value: number
    readonly labels?: Readonly<Record<string, string>>
  }>
}

/** A node without peers: everything it knows of is here. */
export const ALONE: Replicated = {
  isShared: false,
  addresses: [],
  peers: () => [],
  repositories: () => Promise.resolve([]),
  frontierAgeS: () => 0,
  isComplete: () => true,
  fetchFlist: () => Promise.resolve(),
  chunks: { get: () => Promise.resolve(undefined) },
  metrics: () => [],
}
