import type { KnownPeer, PeerBook } from '../../src/net/peer-book.ts'
import { toHex } from '../../src/util/bytes.ts'

export class MemoryPeerBook implements PeerBook {
  readonly known = new Map<string, KnownPeer>()
  writes = 0

  async all(): Promise<KnownPeer[]> {
    return [...this.known].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, known]) => known)
  }

  async put(peers: readonly KnownPeer[]): Promise<void> {
    this.writes++
    for (const known of peers) this.known.set(toHex(known.peer), known)
  }

  async delete(peers: readonly Uint8Array[]): Promise<void> {
    for (const peer of peers) this.known.delete(toHex(peer))
  }
}
