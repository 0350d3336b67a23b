import { BlockList, isIP } from 'node:net'

/** Tells the client's address from that of the proxies in front of us. */
export type ClientAddress = (socketAddress: string, forwardedFor: string | undefined) => string

/**
 * Walks X-Forwarded-For from the right while the speaker is trusted. `trusted` are addresses or `address/bits`.
 * What an untrusted speaker claims is never believed.
 */
export function clientAddress(trusted: readonly string[]): ClientAddress {
  const list = blockList(trusted)
  const isTrusted = (address: string) => {
    const version = isIP(address)
    return version !== 0 && list.check(address, version === 6 ? 'ipv6' : 'ipv4')
  }
  return (socketAddress, forwardedFor) => {
    let address = plainAddress(socketAddress)
    const hops = forwardedFor?.split(',') ?? []
    while (hops.length > 0 && isTrusted(address)) {
      const hop = plainAddress((hops.pop() ?? '').trim())
      if (isIP(hop) === 0) break
      address = hop
    }
    return address
  }
}

function blockList(trusted: readonly string[]): BlockList {
  const list = new BlockList()
  for (const one of trusted) {
    const [address = '', bits] = one.split('/')
    const family = isIP(address) === 6 ? 'ipv6' : 'ipv4'
    if (isIP(address) === 0) continue
    if (bits === undefined) list.addAddress(address, family)
    else list.addSubnet(address, Number(bits), family)
  }
  return list
}

/** IPv4 in IPv6 clothes is IPv4. */
function plainAddress(address: string): string {
  return address.startsWith('::ffff:') && isIP(address.slice(7)) === 4 ? address.slice(7) : address
}
