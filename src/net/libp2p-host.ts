import './promise-with-resolvers.ts'
import { noise } from '@chainsafe/libp2p-noise'
import { yamux } from '@chainsafe/libp2p-yamux'
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import type { Connection, Libp2p, PeerId } from '@libp2p/interface'
import { tcp } from '@libp2p/tcp'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { InvalidInputError, UnavailableError } from '../errors.ts'
import { MIB, SECOND_MS } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'
import { keyOfPeer, peerIdOf } from './peer-key.ts'
import type { Channel, PeerHost, PeerInfo, ProtocolOptions } from './peer-host.ts'
import { StreamChannel } from './stream-channel.ts'

export interface Libp2pHostOptions {
  /** Of the node's Ed25519 key, 32 bytes. */
  readonly seed: Uint8Array
  /** Multiaddrs, `/ip4/0.0.0.0/tcp/9901`. */
  readonly listen: readonly string[]
  /** Asked once the handshake has proved who a peer is, in both directions. */
  readonly admits: (peer: Uint8Array) => boolean
  /** New connections of one address in a second. */
  readonly maxNewPerSecond?: number
}

/** Connections at most. Replication.md 2.14, as the next. */
const MAX_CONNECTIONS = 200
const MAX_NEW_PER_SECOND = 5
const HANDSHAKE_MS = 10 * SECOND_MS
/** A peer may send so much on a stream before it is read: enough for 300 KiB chunks over 60 ms. */
const WINDOW_BYTES = 4 * MIB

type Listener = Parameters<PeerHost['subscribe']>[0]

/** Peers over TCP, noise and yamux. */
export async function openLibp2pHost(options: Libp2pHostOptions): Promise<PeerHost> {
  const { seed, listen, admits, maxNewPerSecond = MAX_NEW_PER_SECOND } = options
  const privateKey = await generateKeyPairFromSeed('Ed25519', seed)
  const isStranger = (peer: PeerId) => {
    const key = keyOfPeer(peer)
    return key === undefined || !admits(key)
  }
  const libp2p = await createLibp2p({
    privateKey,
    start: false,
    addresses: { listen: [...listen] },
    transports: [tcp()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux({ streamOptions: { maxStreamWindowSize: WINDOW_BYTES } })],
    connectionManager: {
      maxConnections: MAX_CONNECTIONS,
      inboundConnectionThreshold: maxNewPerSecond,
      maxIncomingPendingConnections: 10,
      inboundUpgradeTimeout: HANDSHAKE_MS,
      dialTimeout: HANDSHAKE_MS,
    },
    connectionGater: {
      // Farms are on private networks: addresses say nothing, keys do.
      denyDialMultiaddr: () => false,
      denyInboundEncryptedConnection: isStranger,
      denyOutboundEncryptedConnection: isStranger,
    },
  })
  return new Libp2pHost(libp2p, privateKey.publicKey.raw)
}

class Libp2pHost implements PeerHost {
  readonly key: Uint8Array
  readonly #libp2p: Libp2p
  readonly #listeners = new Set<Listener>()
  readonly #addresses = new Map<string, readonly string[]>()

  constructor(libp2p: Libp2p, key: Uint8Array) {
    this.#libp2p = libp2p
    this.key = key
    libp2p.addEventListener('peer:connect', ({ detail }) => this.#tell('connected', detail))
    libp2p.addEventListener('peer:disconnect', ({ detail }) => this.#tell('disconnected', detail))
  }

  addresses(): readonly string[] {
    return this.#libp2p.getMultiaddrs().map(String)
  }

  async start(): Promise<void> {
    await this.#libp2p.start()
  }

  async stop(): Promise<void> {
    await this.#libp2p.stop()
    this.#listeners.clear()
  }

  handle(protocol: string, options: ProtocolOptions, onChannel: (channel: Channel) => void): void {
    const accept = (stream: Parameters<Parameters<Libp2p['handle']>[1]>[0], { remotePeer }: Connection) => {
      const peer = keyOfPeer(remotePeer)
      if (peer === undefined) stream.abort(new Error('no node of ours'))
      else onChannel(new StreamChannel(stream, peer, options.maxMessageBytes))
    }
    const { maxChannelsPerPeer: most } = options
    void this.#libp2p.handle(protocol, accept, { maxInboundStreams: most, maxOutboundStreams: most })
  }

  async open(
    peer: Uint8Array,
    protocol: string,
    { signal, maxMessageBytes, maxChannelsPerPeer }: AbortOptions & ProtocolOptions,
  ): Promise<Channel> {
    const { whole, end } = deadline(signal)
    try {
      await this.#reach(peer, whole)
      const stream = await this.#libp2p.dialProtocol(peerIdOf(peer), protocol, {
        signal: whole,
        maxOutboundStreams: maxChannelsPerPeer,
      })
      return new StreamChannel(stream, peer, maxMessageBytes)
    } catch (cause) {
      signal?.throwIfAborted()
      throw unreachable(cause)
    } finally {
      end()
    }
  }

  async connect(address: string, { signal }: AbortOptions = {}): Promise<Uint8Array> {
    const { whole, end } = deadline(signal)
    try {
      const { remotePeer } = await this.#libp2p.dial(parseAddress(address), { signal: whole })
      const key = keyOfPeer(remotePeer)
      if (key === undefined) throw new UnavailableError('who answers there is no node of ours')
      return key
    } catch (cause) {
      signal?.throwIfAborted()
      if (cause instanceof InvalidInputError) throw cause
      throw unreachable(cause)
    } finally {
      end()
    }
  }

  async disconnect(peer: Uint8Array): Promise<void> {
    await this.#libp2p.hangUp(peerIdOf(peer)).catch(() => {})
  }

  peers(): readonly PeerInfo[] {
    const peers = new Map<string, PeerInfo>()
    for (const { remotePeer, remoteAddr, timeline } of this.#libp2p.getConnections()) {
      const key = keyOfPeer(remotePeer)
      if (key !== undefined)
        peers.set(String(remotePeer), { key, address: String(remoteAddr), sinceMs: timeline.open })
    }
    return [...peers.values()]
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  learn(peer: Uint8Array, addresses: readonly string[]): void {
    this.#addresses.set(String(peerIdOf(peer)), addresses)
  }

  /** Connects to a peer whose addresses were learnt, unless it is connected. */
  async #reach(peer: Uint8Array, signal: AbortSignal): Promise<void> {
    const id = peerIdOf(peer)
    if (this.#libp2p.getConnections(id).length > 0) return
    const known = this.#addresses.get(String(id)) ?? []
    if (known.length === 0) throw new UnavailableError('no address of the peer is known')
    const addresses = known.map((address) =>
      parseAddress(address.includes('/p2p/') ? address : `${address}/p2p/${id}`),
    )
    await this.#libp2p.dial(addresses, { signal })
  }

  #tell(what: 'connected' | 'disconnected', peer: PeerId): void {
    const key = keyOfPeer(peer)
    if (key === undefined) return
    for (const listener of [...this.#listeners]) listener[what]?.(key)
  }
}

/** @throws {InvalidInputError} for what is no multiaddr. */
function parseAddress(address: string): ReturnType<typeof multiaddr> {
  try {
    return multiaddr(address)
  } catch (cause) {
    throw new InvalidInputError(`${JSON.stringify(address)} is no address, like /ip4/10.0.0.2/tcp/9901`, {
      cause,
    })
  }
}

function unreachable(cause: unknown): UnavailableError {
  if (cause instanceof UnavailableError) return cause
  return new UnavailableError(
    `the peer cannot be reached: ${cause instanceof Error ? cause.message : String(cause)}`,
    {
      cause,
    },
  )
}

/** A signal that ends with the caller's, or after the time that a connection may take. */
function deadline(signal: AbortSignal | undefined): {
  readonly whole: AbortSignal
  readonly end: () => void
} {
  const ending = new AbortController()
  const timer = setTimeout(() => ending.abort(new UnavailableError('it took too long')), HANDSHAKE_MS)
  const stop = () => ending.abort(signal?.reason)
  signal?.addEventListener('abort', stop, { once: true })
  if (signal?.aborted === true) stop()
  return {
    whole: ending.signal,
    end: () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', stop)
    },
  }
}
