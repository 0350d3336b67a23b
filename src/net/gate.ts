import type { Connection, ConnectionGater, PeerId } from '@libp2p/interface'
import { toHex } from '../util/bytes.ts'
import { keyOfPeer } from './peer-key.ts'

export interface Admission {
  /** Asked once the handshake has proved who a peer is, in both directions, and again for each of its channels. */
  readonly admits: (peer: Uint8Array) => boolean
  /**
   * Asked for who is not admitted: true lets it in as a guest, who may use only protocols that are for guests (to join, to
   * find peers), is not listed and may be shown out. Nobody by default.
   */
  readonly admitsGuest?: (peer: Uint8Array) => boolean
  /** Guests at a time. */
  readonly maxGuests?: number
  /** Connections of one IP address at a time; no bound by default: a farm may be behind one. */
  readonly maxOfAddress?: number
}

type Connected = Pick<Connection, 'remotePeer' | 'remoteAddr'>
type Deny = NonNullable<ConnectionGater['denyInboundEncryptedConnection']>

const MAX_GUESTS = 8
/** Connections of one peer at a time: two that dial each other at once have two. */
const MAX_CONNECTIONS_OF_PEER = 3

/** Who may connect, decided by keys. Farms are on private networks: addresses say nothing. */
export class Gate {
  readonly #admission: Admission
  /** Set once there are connections. */
  #connections: () => readonly Connected[] = () => []

  constructor(admission: Admission) {
    this.#admission = admission
  }

  /** What libp2p asks. */
  get gater(): ConnectionGater {
    const deny: Deny = (peer) => this.#refuses(peer)
    return {
      denyDialMultiaddr: () => false,
      // The DHT would call whoever somebody names: a stranger costs no packet.
      denyDialPeer: (peer) => !this.mayStay(peer),
      denyInboundConnection: ({ remoteAddr }) => this.#hasShare(remoteAddr),
      denyInboundEncryptedConnection: deny,
      denyOutboundEncryptedConnection: deny,
    }
  }

  watch(connections: () => readonly Connected[]): void {
    this.#connections = connections
  }

  admits(key: Uint8Array): boolean {
    return this.#admission.admits(key)
  }

  /** The key of a member; `undefined` for a guest or a stranger. */
  member(peer: PeerId): Uint8Array | undefined {
    const key = keyOfPeer(peer)
    return key !== undefined && this.#admission.admits(key) ? key : undefined
  }

  /** True for a member, and for a guest that is still welcome. */
  mayStay(peer: PeerId): boolean {
    const key = keyOfPeer(peer)
    if (key === undefined) return false
    return this.#admission.admits(key) || this.#admission.admitsGuest?.(key) === true
  }

  /** Does an address have as many connections as it may? */
  #hasShare(address: Connected['remoteAddr']): boolean {
    const { maxOfAddress } = this.#admission
    if (maxOfAddress === undefined) return false
    const host = hostOf(address)
    const ofHost = this.#connections().filter(({ remoteAddr }) => hostOf(remoteAddr) === host)
    return ofHost.length >= maxOfAddress
  }

  #refuses(peer: PeerId): boolean {
    if (!this.mayStay(peer)) return true
    const connected = this.#connections().map(({ remotePeer }) => remotePeer)
    if (connected.filter((other) => other.equals(peer)).length >= MAX_CONNECTIONS_OF_PEER) return true
    if (this.member(peer) !== undefined) return false
    const guests = new Set(connected.filter((other) => this.member(other) === undefined).map(idOf))
    return !guests.has(idOf(peer)) && guests.size >= (this.#admission.maxGuests ?? MAX_GUESTS)
  }
}

function hostOf(address: Connected['remoteAddr']): string {
  return String(address).split('/').slice(0, 3).join('/')
}

function idOf(peer: PeerId): string {
  const key = keyOfPeer(peer)
  return key === undefined ? String(peer) : toHex(key)
}
