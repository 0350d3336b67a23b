import { createHash } from 'node:crypto'
import type { Libp2p, PeerId } from '@libp2p/interface'
import { kadDHT, passthroughMapper } from '@libp2p/kad-dht'
import type { KadDHT } from '@libp2p/kad-dht'
import { linkTo } from '../format/dag-cbor.ts'
import { Bell } from '../util/bell.ts'
import { concat, fromHex, fromUtf8, toHex } from '../util/bytes.ts'
import { withDeadline } from '../util/deadline.ts'
import type { Logger } from '../util/logger.ts'
import type { Scheduler } from '../util/scheduler.ts'
import { DAY_MS, MINUTE_MS, SECOND_MS } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'
import type { Gate } from './gate.ts'
import type { HostPart } from './libp2p-node.ts'
import { keyOfPeer } from './peer-key.ts'
import type { Finder, FoundPeer } from './search.ts'

/** Our own network, apart from that of IPFS, as the DHT's specification asks for. */
export const KAD_PROTOCOL = '/zhub/kad/1'
/** Repositories that a node says it holds; replication.md 2.10. */
export const MAX_PROVIDED = 5000
/** A record lives so long where it is kept; it is renewed after half of it. */
const VALIDITY_MS = DAY_MS
const RENEW_MS = VALIDITY_MS / 2
/** Between two keys: some 50 messages each. */
const PAUSE_MS = SECOND_MS
const PROVIDE_MS = 30 * SECOND_MS
/** With nothing to tell, or nobody. */
const IDLE_MS = 5 * SECOND_MS
/** After a connection, until the peer is known to speak the protocol. */
const READY_STEPS = 10
const READY_STEP_MS = 200
const MAX_FOUND = 64
const MAX_STREAMS = 8

export interface DhtDeps {
  readonly scheduler: Scheduler
  readonly log: Logger
}

export interface DhtOptions {
  readonly realm: Uint8Array
  /** Answers others, and keeps their records: not where nobody can connect to it. */
  readonly isServer: boolean
}

type WithTable = KadDHT & { readonly routingTable: { readonly size: number } }

/** Where the members of a realm meet: a key that only they know. Replication.md 2.10; one shard is enough below 200 nodes. */
export function rendezvousKey(realm: Uint8Array, shard = 0): Uint8Array {
  return createHash('sha256')
    .update(concat([fromUtf8('zhub-rdv'), realm, Uint8Array.of(shard)]))
    .digest()
}

/** The DHT of libp2p as every node of ours runs it: on private networks, for provider records and nothing else. */
export function ownKad(isServer: boolean): ReturnType<typeof kadDHT> {
  return kadDHT({
    protocol: KAD_PROTOCOL,
    clientMode: !isServer,
    peerInfoMapper: passthroughMapper,
    allowQueryWithZeroPeers: true,
    validators: { pk: refuse, ipns: refuse },
    maxInboundStreams: MAX_STREAMS,
    // Renewing is ours, one key after the other; what has run out it still sweeps.
    reprovide: { validity: VALIDITY_MS, threshold: 0, interval: 10 * MINUTE_MS },
  })
}

function refuse(): void {
  throw new Error('no values are kept here')
}

/** Finds members through the DHT, and tells it what this node is and holds. All of it hints. */
export class Dht implements HostPart, Finder {
  readonly #deps: DhtDeps
  readonly #options: DhtOptions
  readonly #bell: Bell
  readonly #stopping = new AbortController()
  /** When each key was told last, unix milliseconds; hex of the key. */
  readonly #provided = new Map<string, number>()
  #libp2p: Libp2p | undefined
  #gate: Gate | undefined
  #ended: Promise<void> = Promise.resolve()

  constructor(deps: DhtDeps, options: DhtOptions) {
    this.#deps = deps
    this.#bell = new Bell(deps.scheduler)
    this.#options = options
  }

  services(): ReturnType<NonNullable<HostPart['services']>> {
    return { dht: ownKad(this.#options.isServer) }
  }

  attach(libp2p: Libp2p, gate: Gate): void {
    this.#libp2p = libp2p
    this.#gate = gate
  }

  /** After the host. */
  start(): void {
    this.#ended = this.#renew()
  }

  /** Before the host. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#ended
  }

  /**
   * Ids of the repositories held whole, in place of those given before; the first `MAX_PROVIDED` count. They are told one
   * after the other, over hours.
   */
  provide(keys: Iterable<Uint8Array>): void {
    const wanted = new Set([...keys].slice(0, MAX_PROVIDED).map(toHex))
    this.#bell.ring()
    for (const id of wanted) if (!this.#provided.has(id)) this.#provided.set(id, -Infinity)
    for (const id of [...this.#provided.keys()]) {
      if (wanted.has(id)) continue
      this.#provided.delete(id)
      void this.#kad.cancelReprovide(linkTo(fromHex(id) ?? new Uint8Array(0))).catch(() => {})
    }
  }

  /** Says that this node is here, and answers which members are. */
  async find({ signal }: AbortOptions = {}): Promise<FoundPeer[]> {
    const key = rendezvousKey(this.#options.realm)
    const { scheduler } = this.#deps
    for (let step = 0; step < READY_STEPS && this.#isAlone; step++) {
      await scheduler.sleep(READY_STEP_MS, { signal })
    }
    await this.#tell(key, signal)
    return await this.findKey(key, { signal })
  }

  /** Members that say they hold something: a hint. */
  async findKey(key: Uint8Array, { signal }: AbortOptions = {}): Promise<FoundPeer[]> {
    const found = new Map<string, FoundPeer>()
    for await (const event of this.#kad.findProviders(linkTo(key), {
      signal: signal ?? this.#stopping.signal,
    })) {
      if (event.name !== 'PROVIDER') continue
      for (const { id, multiaddrs } of event.providers) {
        const peer = this.#memberOf(id)
        if (peer === undefined) continue
        found.set(toHex(peer), { peer, addresses: multiaddrs.map(String) })
        if (found.size === MAX_FOUND) return [...found.values()]
      }
    }
    signal?.throwIfAborted()
    return [...found.values()]
  }

  #memberOf(id: PeerId): Uint8Array | undefined {
    if (this.#libp2p?.peerId.equals(id) === true) return undefined
    return keyOfPeer(id) && this.#gate?.member(id)
  }

  get #kad(): WithTable {
    const kad = this.#libp2p?.services['dht']
    if (kad === undefined) throw new TypeError('the DHT is a part of no host')
    return kad as WithTable
  }

  get #isAlone(): boolean {
    return this.#kad.routingTable.size === 0
  }

  async #tell(key: Uint8Array, signal: AbortSignal = this.#stopping.signal): Promise<void> {
    for await (const _ of this.#kad.provide(linkTo(key), { signal })) signal.throwIfAborted()
  }

  async #renew(): Promise<void> {
    const { scheduler, log } = this.#deps
    const { signal } = this.#stopping
    try {
      for (;;) {
        const id = this.#isAlone ? undefined : this.#nextDue(scheduler.now())
        if (id === undefined) {
          await this.#bell.wait(IDLE_MS, { signal })
          continue
        }
        this.#provided.set(id, scheduler.now())
        await withDeadline({ scheduler, ms: PROVIDE_MS, signal }, (whole) =>
          this.#tell(fromHex(id) ?? new Uint8Array(0), whole),
        ).catch((error: unknown) => log.debug(`the DHT was not told of a repository: ${String(error)}`))
        await scheduler.sleep(PAUSE_MS, { signal })
      }
    } catch {
      // stopped
    }
  }

  #nextDue(now: number): string | undefined {
    for (const [id, atMs] of this.#provided) if (atMs + RENEW_MS <= now) return id
    return undefined
  }
}
