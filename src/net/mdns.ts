import { createHash } from 'node:crypto'
import { mdns } from '@libp2p/mdns'
import type { Libp2p } from '@libp2p/interface'
import type { Gate } from './gate.ts'
import type { HostPart } from './libp2p-node.ts'
import { keyOfPeer } from './peer-key.ts'
import type { FoundPeer } from './search.ts'

/** Half of a hash: enough to tell realms apart, and nobody can tell from it which realm it is. */
const TAG_DIGITS = 32

/** The name that members of a realm look for each other by on a local network. */
export function serviceTag(realm: Uint8Array): string {
  const digest = createHash('sha256').update('zhub-mdns').update(realm).digest('hex')
  return `_zhub-${digest.slice(0, TAG_DIGITS)}._udp.local`
}

/** Finds members on the local network by multicast: hints, as all that is found. Sends on every interface. */
export function mdnsPart(realm: Uint8Array, onFound: (found: FoundPeer) => void): HostPart {
  return {
    discovery: mdns({ serviceTag: serviceTag(realm) }),
    attach: (libp2p: Libp2p, gate: Gate) => {
      libp2p.addEventListener('peer:discovery', ({ detail: { id, multiaddrs } }) => {
        const peer = keyOfPeer(id)
        if (peer !== undefined && gate.admits(peer)) onFound({ peer, addresses: multiaddrs.map(String) })
      })
    },
  }
}
