import type { Connection, Libp2p, PeerId, Stream } from '@libp2p/interface'
import { multiaddr } from '@multiformats/multiaddr'
import { InvalidInputError, UnavailableError } from '../errors.ts'
import { MINUTE_MS } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'
import type { Gate } from './gate.ts'
import { createLibp2pNode, HANDSHAKE_MS } from './libp2p-node.ts'
import type { Libp2pNode, Libp2pNodeOptions } from './libp2p-node.ts'
import { keyOfPeer, peerIdOf } from './peer-key.ts'
import type { Channel, PeerHost, PeerInfo, ProtocolOptions } from './peer-host.ts'
import { StreamChannel } from './stream-channel.ts'
import { Traffic } from './traffic.ts'
import type { TrafficTotals } from './traffic.ts'

export interface Libp2pHostOptions extends Libp2pNodeOptions {
  /** How long a guest that called may stay connected. */
  readonly guestMs?: number
  /** How long who is no longer admitted stays connected, to hear so; no time by default. */
  readonly farewellMs?: number
}

/** A `PeerHost` with what only a real network has. */
export interface NetworkHost extends PeerHost {
  /** Shows out who is no longer admitted, and meets who is now: to be called when the membership changed. */
  review(): Promise<void>
  /** Bytes of messages since the start, by protocol. */
  traffic(): ReadonlyMap<string, TrafficTotals>
}

const GUEST_MS = MINUTE_MS

type Listener = Parameters<PeerHost['subscribe']>[0]

/** Peers over TCP, noise and yamux. */
export async function openLibp2pHost(options: Libp2pHostOptions): Promise<NetworkHost> {
  return new Libp2pHost(await createLibp2pNode(options), options)
}

class Libp2pHost implements NetworkHost {
  readonly key: Uint8Array
  readonly #libp2p: Libp2p
  readonly #gate: Gate
  readonly #guestMs: number
  readonly #farewellMs: number
  readonly #traffic = new Traffic()
  readonly #listeners = new Set<Listener>()
  readonly #addresses = new Map<string, readonly string[]>()
  /** Of whose connection the listeners were told. */
  readonly #members = new Map<string, Uint8Array>()
  /** Channels that peers opened, by protocol and peer. */
  readonly #inbound = new Map<string, number>()

  constructor({ libp2p, gate, key }: Libp2pNode, { guestMs = GUEST_MS, farewellMs = 0 }: Libp2pHostOptions) {
    this.#libp2p = libp2p
    this.#gate = gate
    this.#guestMs = guestMs
    this.#farewellMs = farewellMs
    this.key = key
    libp2p.addEventListener('peer:connect', ({ detail }) => this.#tell('connected', detail))
    libp2p.addEventListener('peer:disconnect', ({ detail }) => {
      this.#tell('disconnected', detail)
      this.#traffic.forget(String(detail))
    })
    libp2p.addEventListener('peer:identify', ({ detail: { peerId, listenAddrs } }) => {
      const member = this.#gate.member(peerId)
      if (member === undefined) return
      for (const { reachableAt } of [...this.#listeners]) reachableAt?.(member, listenAddrs.map(String))
    })
    libp2p.addEventListener('connection:open', ({ detail }) => this.#timeGuest(detail))
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
    const { maxChannelsPerPeer: most } = options
    const accept = (stream: Stream, { remotePeer }: Connection) => {
      const peer = options.forGuests === true ? keyOfPeer(remotePeer) : this.#gate.member(remotePeer)
      if (peer === undefined) stream.abort(new Error('not for guests'))
      else if (!this.#takeIn(stream, `${protocol} ${remotePeer}`, most)) stream.abort(new Error('too many'))
      else onChannel(this.#channel(stream, peer, protocol, options))
    }
    void this.#libp2p.handle(protocol, accept, { maxInboundStreams: most, maxOutboundStreams: most })
  }

  async open(
    peer: Uint8Array,
    protocol: string,
    { signal, maxMessageBytes, maxChannelsPerPeer }: AbortOptions & ProtocolOptions,
  ): Promise<Channel> {
    return await within(signal, async (whole) => {
      await this.#reach(peer, whole)
      const stream = await this.#libp2p.dialProtocol(peerIdOf(peer), protocol, {
        signal: whole,
        maxOutboundStreams: maxChannelsPerPeer,
      })
      return this.#channel(stream, peer, protocol, { maxMessageBytes })
    })
  }

  async connect(address: string, { signal }: AbortOptions = {}): Promise<Uint8Array> {
    return await within(signal, async (whole) => {
      const { remotePeer } = await this.#libp2p.dial(parseAddress(address), { signal: whole })
      const key = keyOfPeer(remotePeer)
      if (key === undefined) throw new UnavailableError('who answers there is no node of ours')
      return key
    })
  }

  async reach(peer: Uint8Array, { signal }: AbortOptions = {}): Promise<void> {
    await within(signal, (whole) => this.#reach(peer, whole))
  }

  async disconnect(peer: Uint8Array): Promise<void> {
    await this.#libp2p.hangUp(peerIdOf(peer)).catch(() => {})
  }

  peers(): readonly PeerInfo[] {
    const peers = new Map<string, PeerInfo>()
    for (const { remotePeer, remoteAddr, timeline, rtt } of this.#libp2p.getConnections()) {
      const key = this.#gate.member(remotePeer)
      if (key === undefined) continue
      peers.set(String(remotePeer), {
        key,
        address: String(remoteAddr),
        sinceMs: timeline.open,
        ...this.#traffic.ofPeer(String(remotePeer)),
        ...(rtt !== undefined && { rttMs: rtt }),
      })
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

  async review(): Promise<void> {
    if (this.#farewellMs === 0) this.#showOut()
    else setTimeout(() => this.#showOut(), this.#farewellMs).unref()
    // A guest that was connected when it became a member is met now.
    for (const peer of this.#libp2p.getPeers()) {
      if (!this.#members.has(String(peer))) this.#tell('connected', peer)
    }
  }

  traffic(): ReadonlyMap<string, TrafficTotals> {
    return this.#traffic.byProtocol
  }

  #showOut(): void {
    for (const connection of this.#libp2p.getConnections()) {
      if (!this.#gate.mayStay(connection.remotePeer))
        connection.abort(new UnavailableError('no longer admitted'))
    }
  }

  #channel(
    stream: Stream,
    peer: Uint8Array,
    protocol: string,
    { maxMessageBytes }: Pick<ProtocolOptions, 'maxMessageBytes'>,
  ): Channel {
    return new StreamChannel(
      stream,
      peer,
      maxMessageBytes,
      this.#traffic.count(String(peerIdOf(peer)), protocol),
    )
  }

  /** False when the peer has its share of channels, over all of its connections. */
  #takeIn(stream: Stream, place: string, most: number): boolean {
    const taken = this.#inbound.get(place) ?? 0
    if (taken >= most) return false
    this.#inbound.set(place, taken + 1)
    stream.addEventListener('close', () => {
      const left = (this.#inbound.get(place) ?? 1) - 1
      if (left > 0) this.#inbound.set(place, left)
      else this.#inbound.delete(place)
    })
    return true
  }

  /** A guest that called may stay for a while; who became a member meanwhile stays. */
  #timeGuest(connection: Connection): void {
    if (connection.direction !== 'inbound' || this.#gate.member(connection.remotePeer) !== undefined) return
    const timer = setTimeout(() => {
      if (this.#gate.member(connection.remotePeer) === undefined) void connection.close().catch(() => {})
    }, this.#guestMs)
    timer.unref()
    connection.addEventListener('close', () => clearTimeout(timer))
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
    const key = what === 'connected' ? this.#gate.member(peer) : this.#members.get(String(peer))
    if (key === undefined) return
    if (what === 'connected') this.#members.set(String(peer), key)
    else this.#members.delete(String(peer))
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

/** Work that takes no longer than a connection may. @throws {InvalidInputError | UnavailableError} or the caller's reason. */
async function within<T>(
  signal: AbortSignal | undefined,
  work: (whole: AbortSignal) => Promise<T>,
): Promise<T> {
  const { whole, end } = deadline(signal)
  try {
    return await work(whole)
  } catch (cause) {
    signal?.throwIfAborted()
    if (cause instanceof InvalidInputError) throw cause
    if (isSelf(cause)) throw new InvalidInputError('that is the address of this node itself', { cause })
    throw unreachable(cause)
  } finally {
    end()
  }
}

/** libp2p has no class for it: `Tried to dial self` before the handshake, `Can not dial self` after it. */
function isSelf(cause: unknown): boolean {
  return cause instanceof Error && /\bdial self$/.test(cause.message)
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
