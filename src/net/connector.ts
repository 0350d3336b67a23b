import { InvalidInputError, UnavailableError } from '../errors.ts'
import { Bell } from '../util/bell.ts'
import { equalBytes, toHex } from '../util/bytes.ts'
import { withDeadline } from '../util/deadline.ts'
import type { Logger } from '../util/logger.ts'
import type { Scheduler } from '../util/scheduler.ts'
import { MINUTE_MS, SECOND_MS } from '../util/units.ts'
import { Contacts } from './contacts.ts'
import type { AddressSource, Contact, RealmMember } from './contacts.ts'
import { backOffMs, nextDials } from './dial-plan.ts'
import type { PeerBook } from './peer-book.ts'
import type { PeerHost } from './peer-host.ts'
import { Search } from './search.ts'
import type { Finder, FoundPeer } from './search.ts'

export interface ConnectorDeps {
  readonly host: PeerHost
  readonly book: PeerBook
  readonly scheduler: Scheduler
  readonly log: Logger
  /** Nodes that may connect; this one may be among them. Asked at the start and at each review. */
  readonly members: () => readonly RealmMember[]
  /** Asked while neighbours are missing, and now and then. */
  readonly finders: readonly Finder[]
}

export interface ConnectorOptions {
  /** Multiaddrs to keep connected. */
  readonly peers: readonly string[]
  /** Multiaddrs of rendezvous nodes, connected before each search. */
  readonly bootstrap: readonly string[]
  /** Members to be connected with, static ones among them. */
  readonly neighbours?: number
}

const NEIGHBOURS = 16
const MAX_DIALS = 4
const DIAL_MS = 10 * SECOND_MS
/** A connection that breaks sooner counts as a failure to connect. */
const STABLE_MS = 30 * SECOND_MS
/** Once one that was lost is back, the others are tried again within this; not more often than the second. */
const HEALED_MS = 2 * SECOND_MS
const HEALED_PAUSE_MS = 10 * SECOND_MS
/** A node with neighbours enough meets one more so often: two halves of a realm must not stay apart. */
const EXPLORE_MS = 2 * MINUTE_MS
const FLUSH_MS = 30 * SECOND_MS
/** Between two rounds at least: what rings without end must not keep the node from anything else. */
const ROUND_MS = 5

/**
 * Keeps this node connected: with every static peer, and with members up to a number, those that were there lately
 * first. Who is lost is called again, and replaced meanwhile. Knows nothing of what peers say to each other.
 */
export class Connector {
  readonly #deps: ConnectorDeps
  readonly #neighbours: number
  readonly #contacts: Contacts
  readonly #search: Search
  readonly #bell: Bell
  readonly #stopping = new AbortController()
  readonly #running = new Set<Promise<void>>()
  /** Whom this node called, of those that are connected. */
  readonly #called = new Set<string>()
  #unsubscribe: () => void = () => {}
  #ended: Promise<void> = Promise.resolve()
  #exploreMs: number
  #flushMs: number
  #healedMs = -Infinity

  constructor(deps: ConnectorDeps, { peers, bootstrap, neighbours = NEIGHBOURS }: ConnectorOptions) {
    this.#deps = deps
    this.#neighbours = neighbours
    this.#contacts = new Contacts(deps.host.key, peers)
    this.#search = new Search({ ...deps, onFound: (found) => this.hint(found) }, bootstrap)
    this.#bell = new Bell(deps.scheduler)
    this.#exploreMs = deps.scheduler.now() + EXPLORE_MS * (0.5 + deps.scheduler.random())
    this.#flushMs = deps.scheduler.now() + FLUSH_MS
  }

  /** After the host. */
  async start(): Promise<void> {
    const { host, book, members } = this.#deps
    this.#contacts.review(members())
    await book.delete(this.#contacts.load(await book.all()))
    this.#unsubscribe = host.subscribe({
      connected: (peer) => this.#connected(peer),
      disconnected: (peer) => this.#disconnected(peer),
      reachableAt: (peer, addresses) => this.#learn(peer, addresses, 'peer'),
    })
    for (const { key } of host.peers()) this.#connected(key)
    for (const { peer } of this.#contacts.members) this.#teach(peer)
    this.#ended = this.#run()
  }

  /** Before the host. */
  async stop(): Promise<void> {
    this.#unsubscribe()
    this.#stopping.abort()
    await this.#ended
    await Promise.all(this.#running)
    const { host, book, scheduler } = this.#deps
    for (const { key } of host.peers()) this.#contacts.seen(key, scheduler.now())
    await book.put(this.#contacts.takeChanges())
  }

  /** The membership may have changed. */
  async review(): Promise<void> {
    const gone = this.#contacts.review(this.#deps.members())
    for (const { peer } of this.#contacts.members) this.#teach(peer)
    this.#search.soon()
    this.#bell.ring()
    await this.#deps.book.delete(gone)
  }

  /** Somebody says that a peer is there: believed of members only, and only as far as trying goes. */
  hint({ peer, addresses }: FoundPeer): void {
    this.#learn(peer, addresses, 'hint')
  }

  /** Static addresses and members, with what is known of each: for people. */
  contacts(): ReadonlyArray<Readonly<Contact> & { readonly addresses: readonly string[] }> {
    return this.#contacts.all.map((contact) => ({
      ...contact,
      addresses: this.#contacts.addressesOf(contact),
    }))
  }

  async #run(): Promise<void> {
    const { scheduler } = this.#deps
    const { signal } = this.#stopping
    while (!signal.aborted) {
      const now = scheduler.now()
      this.#dial(now)
      if (this.#search.dueMs <= now) this.#track(this.#search.run(signal, () => this.#missing() > 0))
      if (this.#flushMs <= now) this.#flush(now)
      await this.#bell.wait(Math.max(1, this.#nextMs(now) - now), { signal }).catch(() => {})
      await scheduler.sleep(ROUND_MS, { signal }).catch(() => {})
    }
  }

  /** When there will be something to do that no event tells. */
  #nextMs(now: number): number {
    const due = this.#candidates().flatMap(({ dueMs }) => (dueMs > now ? dueMs : []))
    return Math.min(this.#search.dueMs, this.#exploreMs, this.#flushMs, ...due)
  }

  #dial(now: number): void {
    const { scheduler } = this.#deps
    const isExploring = this.#exploreMs <= now
    const missing = this.#missing()
    const chosen = nextDials(this.#candidates(), {
      nowMs: now,
      slots: MAX_DIALS - this.#contacts.all.filter(({ isDialing }) => isDialing).length,
      missing: isExploring ? Math.max(1, missing) : missing,
      random: () => scheduler.random(),
    })
    for (const contact of chosen) this.#track(this.#call(contact))
    if (!isExploring) return
    this.#exploreMs = now + EXPLORE_MS * (0.5 + scheduler.random())
    this.#track(this.#thin())
  }

  /** Members that could be neighbours and are not, as far as there are places for them. */
  #missing(): number {
    const here = this.#contacts.all.filter(({ isDialing, sinceMs }) => isDialing || sinceMs !== undefined)
    const ids = new Set(here.map(({ peer, address }) => (peer === undefined ? address : toHex(peer))))
    return Math.min(this.#neighbours, this.#contacts.members.length) - ids.size
  }

  /** Who is neither connected nor called just now, and can be called. */
  #candidates(): readonly Contact[] {
    const own = new Set(this.#deps.host.addresses().map(withoutPeer))
    return this.#contacts.all.filter(
      (contact) =>
        contact.hasAddress &&
        !contact.isDialing &&
        contact.sinceMs === undefined &&
        (contact.address === undefined || !own.has(withoutPeer(contact.address))) &&
        !this.#contacts.isCalledAsStatic(contact),
    )
  }

  async #call(contact: Contact): Promise<void> {
    const { scheduler, log } = this.#deps
    const { signal } = this.#stopping
    contact.isDialing = true
    try {
      await withDeadline({ scheduler, ms: DIAL_MS, signal }, (whole) => this.#reach(contact, whole))
      contact.failure = undefined
    } catch (error) {
      contact.failures++
      const isHopeless = error instanceof InvalidInputError // no address at all, or our own
      contact.dueMs = isHopeless
        ? Infinity
        : scheduler.now() + backOffMs(contact.failures, scheduler.random())
      contact.failure = error instanceof Error ? error.message : String(error)
      if (!signal.aborted) log.debug(`a peer is not there: ${contact.failure}`, { address: contact.address })
    } finally {
      contact.isDialing = false
      this.#bell.ring()
    }
  }

  async #reach(contact: Contact, signal: AbortSignal): Promise<void> {
    const { host, scheduler } = this.#deps
    if (contact.address === undefined) {
      await host.reach(contact.peer, { signal })
      this.#called.add(toHex(contact.peer))
    } else contact.peer = await host.connect(contact.address, { signal })
    const { peer } = contact
    const isHere = host.peers().some(({ key }) => peer !== undefined && equalBytes(key, peer))
    // Without a failure it would be called again at once, for ever.
    if (!isHere && contact.sinceMs === undefined) throw new UnavailableError('who answers there is no member')
    contact.sinceMs ??= scheduler.now()
  }

  /** With far more neighbours than wanted, hangs up on some that this node called and nobody named. */
  async #thin(): Promise<void> {
    const { host, scheduler } = this.#deps
    const surplus = host.peers().length - 2 * this.#neighbours
    const dispensable = host
      .peers()
      .filter(({ key }) => this.#called.has(toHex(key)) && !this.#contacts.isStatic(key))
      .map(({ key }) => ({ key, order: scheduler.random() }))
      .sort((a, b) => a.order - b.order)
    for (const { key } of dispensable.slice(0, Math.max(0, surplus))) await host.disconnect(key)
  }

  #connected(peer: Uint8Array): void {
    const now = this.#deps.scheduler.now()
    const contacts = this.#contacts.of(peer)
    for (const contact of contacts) contact.sinceMs = now
    this.#contacts.seen(peer, now)
    if (contacts.some(({ failures }) => failures > 0)) this.#healed(now)
    this.#bell.ring()
  }

  #disconnected(peer: Uint8Array): void {
    const { scheduler } = this.#deps
    const now = scheduler.now()
    this.#called.delete(toHex(peer))
    for (const contact of this.#contacts.of(peer)) {
      const wasStable = now - (contact.sinceMs ?? now) >= STABLE_MS
      contact.failures = wasStable ? 1 : contact.failures + 1
      contact.dueMs = now + backOffMs(contact.failures, scheduler.random())
      contact.sinceMs = undefined
    }
    this.#contacts.seen(peer, now)
    this.#search.soon()
    this.#bell.ring()
  }

  /** A line that was cut stands again, perhaps: whoever was behind it should not wait for the rest of a minute. */
  #healed(now: number): void {
    if (now < this.#healedMs + HEALED_PAUSE_MS) return
    this.#healedMs = now
    for (const contact of this.#contacts.all) {
      const soonMs = now + HEALED_MS * this.#deps.scheduler.random()
      if (contact.dueMs < Infinity) contact.dueMs = Math.min(contact.dueMs, soonMs)
    }
  }

  #learn(peer: Uint8Array, addresses: readonly string[], source: AddressSource): void {
    if (!this.#contacts.learn(peer, addresses, source)) return
    this.#teach(peer)
    this.#bell.ring()
  }

  /** Others than this part may want to reach a member, too. */
  #teach(peer: Uint8Array | undefined): void {
    const contact = peer && this.#contacts.find(peer)
    if (contact) this.#deps.host.learn(contact.peer, this.#contacts.addressesOf(contact))
  }

  #flush(now: number): void {
    this.#flushMs = now + FLUSH_MS
    if (!this.#contacts.hasChanges) return
    const { book, log } = this.#deps
    const writing = book.put(this.#contacts.takeChanges())
    this.#track(
      writing.catch((error: unknown) => log.warn(`addresses of peers were not kept: ${String(error)}`)),
    )
  }

  #track(work: Promise<void>): void {
    const running = work.finally(() => this.#running.delete(running))
    this.#running.add(running)
  }
}

function withoutPeer(address: string): string {
  return address.split('/p2p/')[0] ?? address
}
