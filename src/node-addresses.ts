/** Where other nodes find this one, as far as it can tell. */
import { networkInterfaces } from 'node:os'
import type { FarmSettings } from './config.ts'
import { InvalidInputError } from './errors.ts'

type Interfaces = ReturnType<typeof networkInterfaces>

/** What others are told: what the operator says, else where it listens. */
export function ownAddresses({
  announce,
  listen,
}: Pick<FarmSettings, 'announce' | 'listen'>): readonly string[] {
  return announce.length > 0 ? announce : listenAddresses(listen)
}

/** Multiaddrs of what it listens on, each interface for all of them, without `/p2p/…`; a port that is not yet known tells nothing. */
export function listenAddresses(
  listen: readonly string[],
  interfaces: Interfaces = networkInterfaces(),
): string[] {
  const found = listen.flatMap((address) => {
    const match = /^\/ip(4|6)\/([^/]+)\/tcp\/(\d+)$/.exec(address)
    const [, family, host, port] = match ?? []
    if (host === undefined || port === '0') return match === null ? [address] : []
    if (host !== '0.0.0.0' && host !== '::') return [address]
    return hostsOf(interfaces, `IPv${family}`).map((one) => `/ip${family}/${one}/tcp/${port}`)
  })
  return [...new Set(found)]
}

/** What other machines reach; where there is nothing of the kind, this machine. */
function hostsOf(interfaces: Interfaces, family: string): string[] {
  const all = Object.values(interfaces).flatMap((list) => list ?? [])
  const usable = all.filter((one) => one.family === family && !one.address.startsWith('fe80'))
  const outward = usable.filter(({ internal }) => !internal)
  return (outward.length > 0 ? outward : usable).map(({ address }) => address)
}

/**
 * An address with the key that must answer there.
 * @throws {InvalidInputError} for what is no multiaddr of ours.
 */
export function withPeer(address: string, peer: string): string {
  if (!/^\/(ip4|ip6|dns|dns4|dns6)\/[^/\s]+\/tcp\/\d{1,5}(\/p2p\/\w+)?$/.test(address)) {
    throw new InvalidInputError(`${JSON.stringify(address)} is no address, like /ip4/10.0.0.2/tcp/9901`)
  }
  return address.includes('/p2p/') ? address : `${address}/p2p/${peer}`
}
