import type { Libp2p } from '@libp2p/interface'
import { MINUTE_MS } from '../util/units.ts'
import { ownKad } from './dht.ts'
import { createLibp2pNode } from './libp2p-node.ts'

export interface RendezvousOptions {
  /** Of its own Ed25519 key, 32 bytes. */
  readonly seed: Uint8Array
  /** Multiaddrs, as the next. */
  readonly listen: readonly string[]
  readonly announce?: readonly string[]
  readonly limits?: Partial<RendezvousLimits>
}

export interface RendezvousLimits {
  readonly maxConnections: number
  readonly maxOfAddress: number
  readonly maxNewPerSecond: number
  /** A connection is closed after so long: who needs it comes again. */
  readonly visitMs: number
}

const LIMITS: RendezvousLimits = {
  maxConnections: 500,
  maxOfAddress: 32,
  maxNewPerSecond: 10,
  visitMs: 10 * MINUTE_MS,
}
/** Some 100 MB when all of it is taken. */
const MEMORY = { maxPeers: 4000, maxRecords: 100_000, maxRecordsOfKey: 512, maxRecordsOfPeer: 1000 }

/**
 * A node at which members of any realm find each other: it keeps who provides which key, and answers. It belongs to no
 * realm, so everybody is a guest, and nothing but identify, ping and the DHT is spoken.
 */
export interface RendezvousServer {
  /** Multiaddrs, each with `/p2p/…`. */
  addresses(): readonly string[]
  connections(): number
  stop(): Promise<void>
}

export async function startRendezvousServer(options: RendezvousOptions): Promise<RendezvousServer> {
  const limits = { ...LIMITS, ...options.limits }
  const { libp2p } = await createLibp2pNode({
    seed: options.seed,
    listen: options.listen,
    ...(options.announce && { announce: options.announce }),
    admits: () => false,
    admitsGuest: () => true,
    maxGuests: limits.maxConnections,
    maxOfAddress: limits.maxOfAddress,
    maxConnections: limits.maxConnections,
    maxNewPerSecond: limits.maxNewPerSecond,
    memory: MEMORY,
    parts: [{ services: () => ({ dht: ownKad(true) }), attach: (node) => limitVisits(node, limits.visitMs) }],
  })
  await libp2p.start()
  return {
    addresses: () => libp2p.getMultiaddrs().map(String),
    connections: () => libp2p.getConnections().length,
    stop: async () => {
      await libp2p.stop()
    },
  }
}

function limitVisits(libp2p: Libp2p, visitMs: number): void {
  libp2p.addEventListener('connection:open', ({ detail: connection }) => {
    const timer = setTimeout(() => void connection.close().catch(() => {}), visitMs)
    timer.unref()
    connection.addEventListener('close', () => clearTimeout(timer))
  })
}
