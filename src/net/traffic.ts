import type { Meter } from './stream-channel.ts'

export interface TrafficTotals {
  readonly receivedBytes: number
  readonly sentBytes: number
}

type Counts = { -readonly [K in keyof TrafficTotals]: number }

/** Bytes of messages, by protocol since the start and by peer while it is connected. */
export class Traffic {
  readonly byProtocol = new Map<string, Counts>()
  readonly #peers = new Map<string, Counts>()

  ofPeer(peer: string): TrafficTotals {
    return this.#peers.get(peer) ?? { receivedBytes: 0, sentBytes: 0 }
  }

  /** Protocols are ours, so few; peers come and go. */
  count(peer: string, protocol: string): Meter {
    const both = [countsOf(this.#peers, peer), countsOf(this.byProtocol, protocol)]
    return {
      sent: (bytes) => {
        for (const counts of both) counts.sentBytes += bytes
      },
      received: (bytes) => {
        for (const counts of both) counts.receivedBytes += bytes
      },
    }
  }

  forget(peer: string): void {
    this.#peers.delete(peer)
  }
}

function countsOf(map: Map<string, Counts>, name: string): Counts {
  const counts = map.get(name) ?? { receivedBytes: 0, sentBytes: 0 }
  map.set(name, counts)
  return counts
}
