import { gossipsub, TopicValidatorResult } from '@libp2p/gossipsub'
import type { GossipSub, Message } from '@libp2p/gossipsub'
import type { Libp2p, PeerId } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { SigningKey } from '../format/ed25519.ts'
import { MAX_HEAD_BYTES, MAX_HEAD_ITEMS, signHead } from '../format/head-hint.ts'
import type { HeadHint, HeadItem } from '../format/head-hint.ts'
import { Bell } from '../util/bell.ts'
import { toHex } from '../util/bytes.ts'
import type { Logger } from '../util/logger.ts'
import type { Scheduler } from '../util/scheduler.ts'
import { HOUR_MS, KIB, SECOND_MS } from '../util/units.ts'
import type { Gate } from './gate.ts'
import { HeadFilter } from './head-filter.ts'
import type { HostPart } from './libp2p-node.ts'
import { keyOfPeer } from './peer-key.ts'

export interface GossipDeps {
  /** Of this node, as libp2p knows it. */
  readonly key: SigningKey
  readonly realm: Uint8Array
  readonly scheduler: Scheduler
  readonly log: Logger
}

/** Of the hints of one node. Replication.md 2.9. */
const PAUSE_MS = 2 * SECOND_MS
/** Below what gossipsub takes for a reason to hear nothing from a peer any more (its default). */
const SILENCED = -1000
/** Some messages of 4 KiB, with what stands around them. */
const MAX_RPC_BYTES = 16 * MAX_HEAD_BYTES

/** Tells all members, also those that are no neighbours, that there is something new here; and hears it of them. */
export class HeadGossip implements HostPart {
  readonly #deps: GossipDeps
  readonly #topic: string
  readonly #bell: Bell
  readonly #stopping = new AbortController()
  readonly #listeners = new Set<(head: HeadHint) => void>()
  readonly #accepted = new WeakMap<Message, HeadHint>()
  /** What changed since the last hint, by repository. */
  readonly #changed = new Map<string, HeadItem>()
  #change = 0
  #lastMs = 0
  #gossip: GossipSub | undefined
  #ended: Promise<void> = Promise.resolve()

  constructor(deps: GossipDeps) {
    this.#deps = deps
    this.#topic = `zhub/heads/1/${toHex(deps.realm)}`
    this.#bell = new Bell(deps.scheduler)
  }

  services(gate: Gate): ReturnType<NonNullable<HostPart['services']>> {
    return { gossip: ownGossipsub(this.#topic, gate) }
  }

  attach(libp2p: Libp2p, gate: Gate): void {
    const { realm, scheduler } = this.#deps
    const isMember = (peer: Uint8Array) => gate.admits(peer)
    const filter = new HeadFilter({ realm, isMember, now: () => scheduler.now() })
    const gossip = libp2p.services['gossip'] as GossipSub
    gossip.topicValidators.set(this.#topic, (source, message) => this.#judge(filter, source, message))
    gossip.addEventListener('message', ({ detail }) => {
      const head = this.#accepted.get(detail)
      if (head !== undefined) for (const listener of [...this.#listeners]) listener(head)
    })
    this.#gossip = gossip
  }

  /** After the host. */
  start(): void {
    this.#gossip?.subscribe(this.#topic)
    this.#ended = this.#run()
  }

  /** Before the host. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    await this.#ended
    this.#listeners.clear()
  }

  /** Told of each hint of another member, in which nothing is to be believed but that it has something new. */
  subscribe(listener: (head: HeadHint) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** These repositories changed here. What comes within two seconds is one hint; it has room for the last 32. */
  announce(items: readonly HeadItem[], change: number): void {
    this.#change = change
    for (const item of items) {
      const id = toHex(item.repository)
      this.#changed.delete(id)
      this.#changed.set(id, item)
    }
    for (const id of this.#changed.keys()) {
      if (this.#changed.size <= MAX_HEAD_ITEMS) break
      this.#changed.delete(id)
    }
    this.#bell.ring()
  }

  #judge(filter: HeadFilter, source: PeerId, message: Message): TopicValidatorResult {
    const author = message.type === 'signed' ? keyOfPeer(message.from) : undefined
    const verdict = filter.judge({ bytes: message.data, author, source: keyOfPeer(source) })
    switch (verdict.is) {
      case 'accepted':
        this.#accepted.set(message, verdict.head)
        return TopicValidatorResult.Accept
      case 'ignore':
        return TopicValidatorResult.Ignore
      case 'reject':
        return TopicValidatorResult.Reject
    }
  }

  async #run(): Promise<void> {
    const { scheduler } = this.#deps
    const { signal } = this.#stopping
    try {
      for (;;) {
        if (!(await this.#bell.wait(HOUR_MS, { signal }))) continue
        await this.#publish()
        await scheduler.sleep(PAUSE_MS, { signal })
      }
    } catch {
      // stopped
    }
  }

  async #publish(): Promise<void> {
    const { realm, key, scheduler, log } = this.#deps
    this.#lastMs = Math.max(scheduler.now(), this.#lastMs + 1)
    const items = [...this.#changed.values()]
    this.#changed.clear()
    const bytes = signHead({ realm, atMs: this.#lastMs, items, change: this.#change }, key)
    try {
      await this.#gossip?.publish(this.#topic, bytes)
    } catch (error) {
      log.debug(`a hint was not sent: ${error instanceof Error ? error.message : String(error)}`)
    }
  }
}

/** libp2p's gossipsub for one topic, bounded, deaf to guests. */
function ownGossipsub(topic: string, gate: Gate): ReturnType<typeof gossipsub> {
  return gossipsub({
    globalSignaturePolicy: 'StrictSign',
    fallbackToFloodsub: false,
    allowPublishToZeroTopicPeers: true,
    allowedTopics: [topic],
    doPX: false,
    maxInboundStreams: 2,
    maxOutboundStreams: 2,
    maxInboundDataLength: MAX_RPC_BYTES,
    maxOutboundBufferSize: 256 * KIB,
    maxTopicBytesPerPeer: 4 * KIB,
    decodeRpcLimits: {
      maxSubscriptions: 4,
      maxMessages: 16,
      maxIhaveMessageIDs: 500,
      maxIwantMessageIDs: 500,
      maxIdontwantMessageIDs: 500,
      maxControlMessages: 16,
      maxPeerInfos: 4,
    },
    scoreParams: {
      IPColocationFactorWeight: 0, // a farm may be behind one address
      appSpecificWeight: 1,
      appSpecificScore: (peer) => (gate.member(peerIdFromString(peer)) === undefined ? SILENCED : 0),
      topics: { [topic]: onlyBlame() },
    },
  })
}

/** A topic where silence costs nothing, as in a farm where nothing is published, and three invalid messages everything. */
function onlyBlame() {
  return {
    topicWeight: 1,
    timeInMeshWeight: 0,
    timeInMeshQuantum: 1,
    timeInMeshCap: 1,
    firstMessageDeliveriesWeight: 0,
    firstMessageDeliveriesDecay: 0.5,
    firstMessageDeliveriesCap: 1,
    meshMessageDeliveriesWeight: 0,
    meshMessageDeliveriesDecay: 0.5,
    meshMessageDeliveriesCap: 1,
    meshMessageDeliveriesThreshold: 1,
    meshMessageDeliveriesWindow: 10,
    meshMessageDeliveriesActivation: SECOND_MS,
    meshFailurePenaltyWeight: 0,
    meshFailurePenaltyDecay: 0.5,
    invalidMessageDeliveriesWeight: -10,
    invalidMessageDeliveriesDecay: 0.9,
  }
}
