import { publicKeyFromRaw } from '@libp2p/crypto/keys'
import type { PeerId } from '@libp2p/interface'
import { peerIdFromPublicKey, peerIdFromString } from '@libp2p/peer-id'
import { PUBLIC_KEY_BYTES } from '../format/ed25519.ts'

/** The peer id of a node's Ed25519 key: the key itself, in libp2p's clothes. */
export function peerIdOf(key: Uint8Array): PeerId {
  return peerIdFromPublicKey(publicKeyFromRaw(key))
}

/** The Ed25519 key of a peer; `undefined` for a peer with a key of another kind, which is no node of ours. */
export function keyOfPeer({ type, publicKey }: PeerId): Uint8Array | undefined {
  if (type !== 'Ed25519' || publicKey?.raw.length !== PUBLIC_KEY_BYTES) return undefined
  return publicKey.raw
}

/** The keys that addresses name after `/p2p/`; those that name none are passed over. */
export function keysOf(addresses: readonly string[]): Uint8Array[] {
  return addresses.flatMap((address) => {
    const id = /\/p2p\/([^/]+)$/.exec(address)?.[1]
    try {
      return (id !== undefined && keyOfPeer(peerIdFromString(id))) || []
    } catch {
      return []
    }
  })
}
