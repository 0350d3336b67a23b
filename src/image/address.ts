import { isIP } from 'node:net'

/**
 * Where a connection would lead. `public`: the internet. `private`: this machine or the networks of a site, for
 * registries that the operator lists as such. `never`: metadata services, other link-local addresses, multicast and
 * what is reserved; nothing is fetched from there.
 */
export type AddressKind = 'public' | 'private' | 'never'

type Range = readonly [prefix: string, bits: number, kind: AddressKind]

/** IANA special-purpose registries (RFC 6890 and after); the first that fits. */
const RANGES_V4: readonly Range[] = [
  ['0.0.0.0', 8, 'never'],
  ['10.0.0.0', 8, 'private'],
  ['100.100.100.200', 32, 'never'], // metadata of Alibaba Cloud
  ['100.64.0.0', 10, 'private'],
  ['127.0.0.0', 8, 'private'],
  ['168.63.129.16', 32, 'never'], // the host of a machine at Azure
  ['169.254.0.0', 16, 'never'],
  ['172.16.0.0', 12, 'private'],
  ['192.0.0.0', 24, 'never'],
  ['192.0.2.0', 24, 'never'],
  ['192.88.99.0', 24, 'never'],
  ['192.168.0.0', 16, 'private'],
  ['198.18.0.0', 15, 'private'],
  ['198.51.100.0', 24, 'never'],
  ['203.0.113.0', 24, 'never'],
  ['224.0.0.0', 3, 'never'],
]

const RANGES_V6: readonly Range[] = [
  ['::1', 128, 'private'],
  ['2001::', 23, 'never'],
  ['2001:db8::', 32, 'never'],
  ['2000::', 3, 'public'],
  ['fd00:ec2::254', 128, 'never'], // metadata of Amazon EC2
  ['fc00::', 7, 'private'],
]

/** Prefixes whose addresses carry an IPv4 address, and where: that one decides (RFC 4291, 6052, 3056). */
const CARRIERS: ReadonlyArray<readonly [prefix: string, bits: number, at: number]> = [
  ['::ffff:0:0', 96, 12],
  ['64:ff9b::', 96, 12],
  ['2002::', 16, 2],
]

/** Of an address as text, as the system resolves names to; anything else is `never`. */
export function kindOfAddress(address: string): AddressKind {
  const plain = address.replace(/^\[(.*)\]$/, '$1').replace(/%.*$/, '')
  if (isIP(plain) === 4) return kindOfV4(bytesOfV4(plain))
  if (isIP(plain) !== 6) return 'never'
  const bytes = bytesOfV6(plain)
  const carrier = CARRIERS.find(([prefix, bits]) => hasPrefix(bytes, bytesOfV6(prefix), bits))
  if (carrier !== undefined) return kindOfV4(bytes.slice(carrier[2], carrier[2] + 4))
  return RANGES_V6.find(([prefix, bits]) => hasPrefix(bytes, bytesOfV6(prefix), bits))?.[2] ?? 'never'
}

function kindOfV4(bytes: readonly number[]): AddressKind {
  return RANGES_V4.find(([prefix, bits]) => hasPrefix(bytes, bytesOfV4(prefix), bits))?.[2] ?? 'public'
}

function bytesOfV4(text: string): number[] {
  return text.split('.').map(Number)
}

/** Sixteen bytes of a text that `isIP` has taken. */
function bytesOfV6(text: string): number[] {
  const [head = '', tail] = text.split('::')
  const before = groups(head)
  const after = tail === undefined ? [] : groups(tail)
  const zeros = new Array<number>(16 - before.length - after.length).fill(0)
  return [...before, ...zeros, ...after]
}

function groups(text: string): number[] {
  if (text === '') return []
  return text.split(':').flatMap((group) => {
    if (group.includes('.')) return bytesOfV4(group)
    const value = parseInt(group, 16)
    return [value >> 8, value & 0xff]
  })
}

function hasPrefix(bytes: readonly number[], prefix: readonly number[], bits: number): boolean {
  for (let bit = 0; bit < bits; bit += 8) {
    const mask = bits - bit >= 8 ? 0xff : 0xff & (0xff << (8 - (bits - bit)))
    const at = bit / 8
    if (((bytes[at] ?? 0) & mask) !== ((prefix[at] ?? 0) & mask)) return false
  }
  return true
}
