import type { AbortOptions } from '../util/units.ts'

/** Where a peer was the last time it was connected. */
export interface KnownPeer {
  /** Public key, 32 bytes. */
  readonly peer: Uint8Array
  /** Multiaddrs, at most `MAX_ADDRESSES`. */
  readonly addresses: readonly string[]
  /** Unix milliseconds; 0 = never connected. */
  readonly seenMs: number
}

/** Of one peer. Ours: a machine has a few interfaces, and a peer may say what it likes. */
export const MAX_ADDRESSES = 16
/** Characters of one. */
export const MAX_ADDRESS_CHARS = 255

/** What was learnt of peers and outlives the process. Hints: what is lost here can be found again. */
export interface PeerBook {
  /** Everybody, in order of key. Entries that cannot be read are left out. */
  all(options?: AbortOptions): Promise<KnownPeer[]>
  /** In place of what was known of these peers. */
  put(peers: readonly KnownPeer[]): Promise<void>
  delete(peers: readonly Uint8Array[]): Promise<void>
}
