import './promise-with-resolvers.ts'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { identify } from '@libp2p/identify'
import type { Libp2p, PeerDiscovery } from '@libp2p/interface'
import { ping } from '@libp2p/ping'
import { tcp } from '@libp2p/tcp'
import { createLibp2p } from 'libp2p'
import type { Libp2pOptions } from 'libp2p'
import { DAY_MS, MIB, SECOND_MS } from '../util/units.ts'
import { BoundedDatastore } from './bounded-datastore.ts'
import type { DatastoreLimits } from './bounded-datastore.ts'
import { Gate } from './gate.ts'
import type { Admission } from './gate.ts'
import { peerIdOf } from './peer-key.ts'

/** A way to find peers or to tell them something, next to the channels. */
export interface HostPart {
  /** By name; libp2p starts and stops them. What it hands to such a factory, and to the next, has no common type. */
  readonly services?: (gate: Gate) => Readonly<Record<string, (components: never) => unknown>>
  readonly discovery?: (components: never) => PeerDiscovery
  /** Before the start. */
  attach(libp2p: Libp2p, gate: Gate): void
}

export interface Libp2pNodeOptions extends Admission {
  /** Of the node's Ed25519 key, 32 bytes. */
  readonly seed: Uint8Array
  /** Multiaddrs, `/ip4/0.0.0.0/tcp/9901`. */
  readonly listen: readonly string[]
  /** What others are told instead of where it listens. */
  readonly announce?: readonly string[]
  readonly parts?: readonly HostPart[]
  /** Replication.md 2.14, as the next two. */
  readonly maxConnections?: number
  /** New connections of one address in a second. */
  readonly maxNewPerSecond?: number
  /** What is remembered of others. */
  readonly memory?: DatastoreLimits
}

export interface Libp2pNode {
  readonly libp2p: Libp2p
  readonly gate: Gate
  /** Public key of the node. */
  readonly key: Uint8Array
}

/** What a dial with its handshake, or an incoming handshake, may take. */
export const HANDSHAKE_MS = 10 * SECOND_MS
const MAX_CONNECTIONS = 200
const MAX_NEW_PER_SECOND = 5
const MAX_PENDING = 10
/** A peer may send so much on a stream before it is read: enough for 300 KiB chunks over 60 ms. */
const WINDOW_BYTES = 4 * MIB
/** Streams that one connection may open here; channels, questions of the DHT and gossip take some tens. */
const MAX_STREAMS = 128

const MEMORY: DatastoreLimits = {
  maxPeers: 5000,
  maxRecords: 100_000,
  maxRecordsOfKey: 512,
  maxRecordsOfPeer: 6000,
}
/** Longer than provider records live (dht.ts): what is provided by who is nowhere is no answer. */
const PEER_AGE_MS = 2 * DAY_MS

/** A libp2p of ours, not started: TCP, noise, yamux, a gate, and the parts' services. */
export async function createLibp2pNode(options: Libp2pNodeOptions): Promise<Libp2pNode> {
  const privateKey = await generateKeyPairFromSeed('Ed25519', options.seed)
  const gate = new Gate(options)
  const parts = options.parts ?? []
  const services = Object.assign({}, ...parts.map((part) => part.services?.(gate) ?? {})) as NonNullable<
    Libp2pOptions['services']
  >
  const discovery = parts.flatMap((part) => part.discovery ?? []) as Libp2pOptions['peerDiscovery']
  const libp2p: Libp2p = await createLibp2p({
    privateKey,
    start: false,
    nodeInfo: { userAgent: 'zhub' },
    addresses: { listen: [...options.listen], announce: [...(options.announce ?? [])] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [
      yamux({ maxInboundStreams: MAX_STREAMS, streamOptions: { maxStreamWindowSize: WINDOW_BYTES } }),
    ],
    connectionManager: {
      maxConnections: options.maxConnections ?? MAX_CONNECTIONS,
      inboundConnectionThreshold: options.maxNewPerSecond ?? MAX_NEW_PER_SECOND,
      maxIncomingPendingConnections: MAX_PENDING,
      inboundUpgradeTimeout: HANDSHAKE_MS,
      dialTimeout: HANDSHAKE_MS,
    },
    connectionGater: gate.gater,
    services: { ping: ping(), identify: identify(), ...services },
    datastore: new BoundedDatastore(String(peerIdOf(privateKey.publicKey.raw)), options.memory ?? MEMORY),
    peerStore: { maxAddressAge: PEER_AGE_MS, maxPeerAge: PEER_AGE_MS },
    ...(discovery && { peerDiscovery: discovery }),
  })
  gate.watch(() => libp2p.getConnections())
  for (const part of parts) part.attach(libp2p, gate)
  return { libp2p, gate, key: privateKey.publicKey.raw }
}
