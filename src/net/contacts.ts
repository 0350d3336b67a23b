import { equalBytes, toHex } from '../util/bytes.ts'
import type { DialTarget } from './dial-plan.ts'
import { MAX_ADDRESSES, MAX_ADDRESS_CHARS } from './peer-book.ts'
import type { KnownPeer } from './peer-book.ts'

/** A node of the realm, as its records name it. */
export interface RealmMember {
  readonly node: Uint8Array
  readonly addresses: readonly string[]
}

/** How an address came here. Each source has a place of its own, so that none can push out another's. */
const SOURCES = ['peer', 'realm', 'hint'] as const
export type AddressSource = (typeof SOURCES)[number]

interface Attempts extends DialTarget {
  seenMs: number
  dueMs: number
  failures: number
  isDialing: boolean
  hasAddress: boolean
  /** Since when it is connected, unix milliseconds. */
  sinceMs: number | undefined
  /** Why it could not be reached the last time. */
  failure: string | undefined
}

interface MemberContact extends Attempts {
  readonly isStatic: false
  readonly peer: Uint8Array
  readonly address: undefined
}

interface StaticContact extends Attempts {
  readonly isStatic: true
  /** Who answered there the last time. */
  peer: Uint8Array | undefined
  readonly address: string
}

/** Somebody to be connected with: a member by its key, or whoever is at a static address. */
export type Contact = MemberContact | StaticContact

/** Hints come from anybody: few of them. */
const MAX_HINTS = 4

/** Who is in the realm and where each was, is, or is said to be. */
export class Contacts {
  readonly #own: string
  readonly #statics: readonly StaticContact[]
  readonly #members = new Map<string, MemberContact>()
  readonly #addresses = new Map<string, Map<AddressSource, readonly string[]>>()
  /** Of whom more is known here than in the book. */
  readonly #changed = new Set<string>()

  constructor(own: Uint8Array, staticAddresses: readonly string[]) {
    this.#own = toHex(own)
    this.#statics = [...new Set(staticAddresses)].map((address) => ({
      ...fresh(),
      isStatic: true,
      hasAddress: true,
      peer: undefined,
      address,
    }))
  }

  get all(): readonly Contact[] {
    return [...this.#statics, ...this.#members.values()]
  }

  get members(): readonly Contact[] {
    return [...this.#members.values()]
  }

  find(peer: Uint8Array): (Contact & { readonly peer: Uint8Array }) | undefined {
    return this.#members.get(toHex(peer))
  }

  /** A member, and the static addresses where it answered. */
  of(peer: Uint8Array): readonly Contact[] {
    const statics = this.#statics.filter((one) => one.peer !== undefined && equalBytes(one.peer, peer))
    const member = this.#members.get(toHex(peer))
    return member === undefined ? statics : [...statics, member]
  }

  isStatic(peer: Uint8Array): boolean {
    return this.of(peer).some(({ isStatic }) => isStatic)
  }

  /** A member whose static address is being tried, or was not found wanting yet, is not called at others. */
  isCalledAsStatic(contact: Contact): boolean {
    if (contact.isStatic) return false
    return this.#statics.some(
      ({ peer, isDialing, failures }) =>
        peer !== undefined && equalBytes(peer, contact.peer) && (isDialing || failures <= 1),
    )
  }

  /** Takes in who is a member now; answers who no longer is one. */
  review(members: readonly RealmMember[]): Uint8Array[] {
    const now = new Set<string>()
    for (const { node, addresses } of members) {
      const id = toHex(node)
      if (id === this.#own) continue
      now.add(id)
      if (!this.#members.has(id))
        this.#members.set(id, { ...fresh(), isStatic: false, peer: node, address: undefined })
      this.learn(node, addresses, 'realm')
    }
    const gone = [...this.#members].filter(([id]) => !now.has(id))
    for (const [id] of gone) {
      this.#members.delete(id)
      this.#addresses.delete(id)
      this.#changed.delete(id)
    }
    return gone.map(([, { peer }]) => peer)
  }

  /** What the book says of members; answers of whom it should not say anything. */
  load(known: readonly KnownPeer[]): Uint8Array[] {
    const strangers: Uint8Array[] = []
    for (const { peer, addresses, seenMs } of known) {
      const contact = this.#members.get(toHex(peer))
      if (contact === undefined) strangers.push(peer)
      else {
        contact.seenMs = seenMs
        this.#keep(peer, usable(addresses, MAX_ADDRESSES), 'peer')
      }
    }
    return strangers
  }

  /** In place of what that source said before; passed over for who is no member. True when it is something new. */
  learn(peer: Uint8Array, addresses: readonly string[], source: AddressSource): boolean {
    const heard = usable(addresses, source === 'hint' ? MAX_HINTS : MAX_ADDRESSES)
    if (!this.#members.has(toHex(peer)) || heard.length === 0) return false
    if (this.#addresses.get(toHex(peer))?.get(source)?.join(' ') === heard.join(' ')) return false
    this.#keep(peer, heard, source)
    if (source === 'peer') this.#changed.add(toHex(peer))
    return true
  }

  /** Of a member what it said itself first. */
  addressesOf({ peer, address }: Contact): readonly string[] {
    if (address !== undefined) return [address]
    const sources = peer && this.#addresses.get(toHex(peer))
    return [...new Set(SOURCES.flatMap((source) => sources?.get(source) ?? []))]
  }

  /** It is there, or was until now. */
  seen(peer: Uint8Array, nowMs: number): void {
    const contact = this.#members.get(toHex(peer))
    if (contact === undefined) return
    contact.seenMs = nowMs
    this.#changed.add(toHex(peer))
  }

  get hasChanges(): boolean {
    return this.#changed.size > 0
  }

  /** What the book should be told; it counts as told. */
  takeChanges(): KnownPeer[] {
    const changed = [...this.#changed]
    this.#changed.clear()
    return changed.flatMap((id): KnownPeer[] => {
      const contact = this.#members.get(id)
      if (contact === undefined) return []
      const addresses = this.#addresses.get(id)?.get('peer') ?? []
      return [{ peer: contact.peer, addresses, seenMs: contact.seenMs }]
    })
  }

  #keep(peer: Uint8Array, addresses: readonly string[], source: AddressSource): void {
    const contact = this.#members.get(toHex(peer))
    if (addresses.length === 0 || contact === undefined) return
    contact.hasAddress = true
    const sources = this.#addresses.get(toHex(peer)) ?? new Map<AddressSource, readonly string[]>()
    this.#addresses.set(toHex(peer), sources.set(source, addresses))
  }
}

function fresh(): Omit<Attempts, 'isStatic'> {
  return {
    seenMs: 0,
    dueMs: 0,
    failures: 0,
    isDialing: false,
    hasAddress: false,
    sinceMs: undefined,
    failure: undefined,
  }
}

function usable(addresses: readonly string[], most: number): readonly string[] {
  return [...new Set(addresses)].filter(({ length }) => length <= MAX_ADDRESS_CHARS).slice(0, most)
}
