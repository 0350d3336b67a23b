import { InvalidInputError, UnavailableError } from '../../src/errors.ts'
import type { Channel, PeerHost, PeerInfo, ProtocolOptions } from '../../src/net/peer-host.ts'
import { concat, fromHex, toHex } from '../../src/util/bytes.ts'
import type { AbortOptions } from '../../src/util/units.ts'
import type { Simulation } from './simulation.ts'

type Listener = Parameters<PeerHost['subscribe']>[0]

/** How messages go from one host to another. */
export interface LinkQuality {
  readonly minMs: number
  readonly maxMs: number
  /** Chance that a message breaks the connection, as a lost link does. */
  readonly loss: number
  /** What a host can send, to all peers together, and receive; without it, all at once. */
  readonly bytesPerMs?: number
  /** Shorter messages take nothing of that: where chunks are smaller than real ones, and questions are not. */
  readonly freeBytes?: number
}

/** A sender waits while more than this is before it. */
const FULL_MS = 50

/** Hosts in one process, with links that delay, break, and can be cut in one direction or both. */
export class SimulatedNetwork {
  readonly simulation: Simulation
  quality: LinkQuality = { minMs: 1, maxMs: 40, loss: 0 }
  readonly #hosts = new Map<string, SimulatedHost>()
  readonly #cut = new Set<string>()

  constructor(simulation: Simulation) {
    this.simulation = simulation
  }

  host(key: Uint8Array): SimulatedHost {
    return this.add(new SimulatedHost(this, key))
  }

  add<T extends SimulatedHost>(host: T): T {
    this.#hosts.set(toHex(host.key), host)
    return host
  }

  find(key: Uint8Array): SimulatedHost | undefined {
    const host = this.#hosts.get(toHex(key))
    return host?.isRunning === true ? host : undefined
  }

  /** Nothing goes between two hosts any more, and what is open breaks. */
  cut(a: Uint8Array, b: Uint8Array): void {
    this.#cut.add(linkOf(a, b))
    this.#hosts.get(toHex(a))?.lose(b)
    this.#hosts.get(toHex(b))?.lose(a)
  }

  heal(a: Uint8Array, b: Uint8Array): void {
    this.#cut.delete(linkOf(a, b))
  }

  isOpen(a: Uint8Array, b: Uint8Array): boolean {
    return !this.#cut.has(linkOf(a, b))
  }
}

function linkOf(a: Uint8Array, b: Uint8Array): string {
  return [toHex(a), toHex(b)].sort().join(' ')
}

/** One host; connections are symmetric and known to both ends at once. */
export class SimulatedHost implements PeerHost {
  readonly key: Uint8Array
  readonly network: SimulatedNetwork
  isRunning = false
  readonly #handlers = new Map<string, (channel: Channel) => void>()
  readonly #listeners = new Set<Listener>()
  readonly #connected = new Map<string, PeerInfo>()
  readonly #channels = new Set<SimulatedChannel>()
  readonly #learnt = new Map<string, readonly string[]>()
  readonly #uplink = new Line()
  readonly #downlink = new Line()

  constructor(network: SimulatedNetwork, key: Uint8Array) {
    this.network = network
    this.key = key
  }

  addresses(): readonly string[] {
    return [`/sim/${toHex(this.key)}`]
  }

  async start(): Promise<void> {
    this.isRunning = true
  }

  async stop(): Promise<void> {
    this.isRunning = false
    for (const { key } of this.peers()) {
      this.lose(key)
      this.network.find(key)?.lose(this.key)
    }
    this.#listeners.clear()
    this.#handlers.clear()
  }

  handle(protocol: string, _options: ProtocolOptions, onChannel: (channel: Channel) => void): void {
    this.#handlers.set(protocol, onChannel)
  }

  async connect(address: string): Promise<Uint8Array> {
    const key = fromHex(address.replace('/sim/', ''))
    const other = key && this.network.find(key)
    if (!this.isRunning || other === undefined || !this.network.isOpen(this.key, other.key)) {
      throw new UnavailableError('nobody answers there')
    }
    if (other === this) throw new InvalidInputError('that is the address of this node itself')
    this.meet(other.key)
    other.meet(this.key)
    return other.key
  }

  async open(peer: Uint8Array, protocol: string, { signal }: AbortOptions): Promise<Channel> {
    signal?.throwIfAborted()
    await this.connect(`/sim/${toHex(peer)}`)
    const other = this.network.find(peer)
    const handler = other?.accepting(protocol)
    if (other === undefined || handler === undefined)
      throw new UnavailableError(`the peer has no ${protocol}`)
    const [here, there] = SimulatedChannel.pair(this, other)
    this.#channels.add(here)
    other.#channels.add(there)
    this.network.simulation.after(1, () => handler(there))
    return here
  }

  accepting(protocol: string): ((channel: Channel) => void) | undefined {
    return this.#handlers.get(protocol)
  }

  async disconnect(peer: Uint8Array): Promise<void> {
    this.lose(peer)
    this.network.find(peer)?.lose(this.key)
  }

  peers(): readonly PeerInfo[] {
    return [...this.#connected.values()]
  }

  subscribe(listener: Listener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  learn(peer: Uint8Array, addresses: readonly string[]): void {
    this.#learnt.set(toHex(peer), addresses)
  }

  learntOf(peer: Uint8Array): readonly string[] {
    return this.#learnt.get(toHex(peer)) ?? []
  }

  async reach(peer: Uint8Array): Promise<void> {
    if (this.#connected.has(toHex(peer))) return
    const address = `/sim/${toHex(peer)}`
    if (!this.learntOf(peer).includes(address)) {
      throw new UnavailableError('no address of the peer is right')
    }
    await this.connect(address)
  }

  /** A connection stands. */
  meet(peer: Uint8Array): void {
    if (this.#connected.has(toHex(peer))) return
    this.#connected.set(toHex(peer), {
      key: peer,
      address: `/sim/${toHex(peer)}`,
      sinceMs: this.network.simulation.now(),
    })
    for (const { connected } of this.#listeners) connected?.(peer)
    const addresses = this.network.find(peer)?.addresses() ?? []
    for (const { reachableAt } of this.#listeners) reachableAt?.(peer, addresses)
  }

  /** The connection breaks, and all channels of it. */
  lose(peer: Uint8Array): void {
    if (!this.#connected.delete(toHex(peer))) return
    for (const channel of [...this.#channels]) {
      if (toHex(channel.peer) === toHex(peer)) channel.break(new UnavailableError('the connection broke'))
    }
    for (const { disconnected } of this.#listeners) disconnected?.(peer)
  }

  /** Until a message of so many bytes has left, behind all that this host sends. */
  uplinkMs(bytes: number): number {
    const { simulation, quality } = this.network
    return this.#uplink.passMs(bytes, simulation.now(), quality)
  }

  /** Until one whose last byte would be here now has got through behind all that this host is sent. */
  downlinkMs(bytes: number): number {
    const { simulation, quality } = this.network
    const takesMs = bytes / (quality.bytesPerMs ?? Infinity)
    return Math.max(0, this.#downlink.passMs(bytes, simulation.now() - takesMs, quality) - takesMs)
  }

  forget(channel: SimulatedChannel): void {
    this.#channels.delete(channel)
  }
}

/** One thing after another. */
class Line {
  #busyUntilMs = 0

  passMs(bytes: number, nowMs: number, { bytesPerMs = Infinity, freeBytes = 0 }: LinkQuality): number {
    if (bytes > 0 && bytes < freeBytes) return 0
    this.#busyUntilMs = Math.max(this.#busyUntilMs, nowMs) + bytes / bytesPerMs
    return this.#busyUntilMs - nowMs
  }
}

/** One end of a channel: messages arrive in order, each after a while. */
class SimulatedChannel implements Channel {
  readonly peer: Uint8Array
  readonly host: SimulatedHost
  #other: SimulatedChannel | undefined
  readonly #inbox: Uint8Array[] = []
  #wake: (() => void) | undefined
  #end: Error | 'closed' | undefined
  #lastMs = 0

  constructor(host: SimulatedHost, peer: Uint8Array) {
    this.host = host
    this.peer = peer
  }

  static pair(a: SimulatedHost, b: SimulatedHost): [SimulatedChannel, SimulatedChannel] {
    const here = new SimulatedChannel(a, b.key)
    const there = new SimulatedChannel(b, a.key)
    here.#other = there
    there.#other = here
    return [here, there]
  }

  async send(message: Uint8Array | readonly Uint8Array[]): Promise<void> {
    if (this.#end !== undefined) throw new UnavailableError('the channel is over')
    const { network } = this.host
    if (network.simulation.random() < network.quality.loss) {
      void this.host.disconnect(this.peer)
      throw new UnavailableError('the connection broke')
    }
    const bytes = Uint8Array.from(message instanceof Uint8Array ? message : concat(message))
    const uplinkMs = this.host.uplinkMs(bytes.length)
    this.#deliver(() => this.#other?.take(bytes), uplinkMs, bytes.length)
    if (uplinkMs > FULL_MS) await network.simulation.sleep(uplinkMs - FULL_MS)
  }

  async *messages(): AsyncGenerator<Uint8Array> {
    for (;;) {
      const message = this.#inbox.shift()
      if (message !== undefined) yield message
      else if (this.#end === 'closed') return
      else if (this.#end !== undefined) throw this.#end
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  async close(): Promise<void> {
    this.#deliver(() => this.#other?.break('closed'))
    this.break('closed')
  }

  abort(reason: Error): void {
    this.#deliver(() => this.#other?.break(new UnavailableError('the peer broke the channel')))
    this.break(reason)
  }

  break(end: Error | 'closed'): void {
    this.#end ??= end
    this.host.forget(this)
    this.#wake?.()
  }

  take(message: Uint8Array): void {
    if (this.#end !== undefined) return
    this.#inbox.push(message)
    this.#wake?.()
  }

  /** After all that was sent before it. */
  #deliver(happen: () => void, uplinkMs = 0, bytes = 0): void {
    const { simulation, quality } = this.host.network
    const delayMs = uplinkMs + quality.minMs + simulation.random() * (quality.maxMs - quality.minMs)
    this.#lastMs = Math.max(this.#lastMs, simulation.now() + delayMs)
    simulation.after(this.#lastMs - simulation.now(), () => {
      const waitMs = this.#other?.host.downlinkMs(bytes) ?? 0
      if (waitMs > 0) simulation.after(waitMs, happen)
      else happen()
    })
  }
}
