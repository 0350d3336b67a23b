import type { AbortOptions } from '../util/units.ts'

/** A framed two-way stream to one peer: each message whole, in order. */
export interface Channel {
  /** Ed25519 public key of the other end, proved by the handshake; 32 bytes. */
  readonly peer: Uint8Array
  /** Resolves when there is room for more. @throws once the channel is closed. */
  send(message: Uint8Array | readonly Uint8Array[], options?: AbortOptions): Promise<void>
  /**
   * Once. Ends when the other side closed, throws when the channel broke. Pulling is what makes room: who does not pull
   * stops the sender.
   */
  messages(): AsyncIterable<Uint8Array>
  close(): Promise<void>
  abort(reason: Error): void
}

export interface ProtocolOptions {
  readonly maxMessageBytes: number
  readonly maxChannelsPerPeer: number
  /** Also for who is no member, where the host lets guests in. */
  readonly forGuests?: boolean
}

export interface PeerInfo {
  readonly key: Uint8Array
  readonly address: string
  readonly sinceMs: number
  /** Bytes of messages. */
  readonly receivedBytes?: number
  readonly sentBytes?: number
  /** Round trip, once it was measured. */
  readonly rttMs?: number
}

/** How bytes come to peers and from them. */
export interface PeerHost {
  /** Public key of this node. */
  readonly key: Uint8Array
  /** Multiaddrs, each with `/p2p/…`. */
  addresses(): readonly string[]
  start(): Promise<void>
  /** After it no handle is left. */
  stop(): Promise<void>
  handle(protocol: string, options: ProtocolOptions, onChannel: (channel: Channel) => void): void
  /** Connects first where it must. @throws {UnavailableError} when the peer cannot be reached. */
  open(peer: Uint8Array, protocol: string, options: AbortOptions & ProtocolOptions): Promise<Channel>
  /**
   * Answers the key that was there.
   * @throws {InvalidInputError} for what is no address, and for one of this node itself.
   * @throws {UnavailableError} when nobody is there, or nobody who may be.
   */
  connect(address: string, options?: AbortOptions): Promise<Uint8Array>
  /** Connects to a peer at the addresses learnt, unless it is connected. @throws {UnavailableError} */
  reach(peer: Uint8Array, options?: AbortOptions): Promise<void>
  disconnect(peer: Uint8Array): Promise<void>
  peers(): readonly PeerInfo[]
  subscribe(listener: {
    connected?(peer: Uint8Array): void
    disconnected?(peer: Uint8Array): void
    /** A member that has just connected says where else it can be reached. */
    reachableAt?(peer: Uint8Array, addresses: readonly string[]): void
  }): () => void
  /** Addresses to try for a peer, in place of those that were given before. */
  learn(peer: Uint8Array, addresses: readonly string[]): void
}
