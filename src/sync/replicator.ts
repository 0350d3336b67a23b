import { isAbort, LimitError, MalformedError } from '../errors.ts'
import { MAX_SYNC_BYTES } from '../format/sync-message.ts'
import type { Hello } from '../format/sync-message.ts'
import type { Channel, PeerHost } from '../net/peer-host.ts'
import { Bell } from '../util/bell.ts'
import { toHex } from '../util/bytes.ts'
import type { Logger } from '../util/logger.ts'
import type { Scheduler } from '../util/scheduler.ts'
import { MINUTE_MS, SECOND_MS } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'
import { Accusations } from './accusations.ts'
import { ObjectSource } from './object-source.ts'
import { pull } from './pull.ts'
import type { Cursor, Pulled, Replica } from './pull.ts'
import { SyncClient } from './sync-client.ts'
import { serveSync } from './sync-server.ts'
import type { SyncAnswers } from './sync-server.ts'

export const SYNC_PROTOCOL = '/zhub/sync/1.0.0'
const PROTOCOL_OPTIONS = { maxMessageBytes: MAX_SYNC_BYTES, maxChannelsPerPeer: 2 }

/** Between two pulls from a peer that says nothing, half as much more or less. Replication.md 2.8, as the next. */
const PERIOD_MS = MINUTE_MS
/** What changes within this time is one hint. */
const DEBOUNCE_MS = 200
const FIRST_RETRY_MS = SECOND_MS

export interface ReplicatorDeps {
  readonly host: PeerHost
  readonly replica: Replica
  readonly answers: SyncAnswers
  /** What this node says of itself. */
  readonly hello: () => Promise<Hello>
  readonly scheduler: Scheduler
  readonly log: Logger
  /** May a peer be asked and answered? */
  readonly isMember: (peer: Uint8Array) => boolean
  /** Tells of each change of a repository, and of governance; answers how to end that. */
  readonly onChange: (listener: () => void) => () => void
  readonly onPulled: (peer: Uint8Array, pulled: Pulled) => void
}

/** What is known of a peer that is connected. */
export interface PeerState {
  readonly peer: Uint8Array
  /** Unix milliseconds of the last whole pull. */
  readonly pulledMs: number | undefined
  /** Why the last one failed. */
  readonly failure: string | undefined
  /** What it did within the hour that no honest peer does. */
  readonly accused: string | undefined
  /** Operations that it has said it has, and that have not come from it yet. */
  readonly lagOps: number
}

interface Neighbour {
  readonly bell: Bell
  readonly stopping: AbortController
  client: SyncClient | undefined
  pulledMs: number | undefined
  failure: string | undefined
  lagOps: number
  ended: Promise<void>
}

/**
 * Keeps this node's operations equal to those of its peers: pulls from each as soon as it is connected, when it hints
 * that something changed, and now and then anyway; hints when something changes here. Each node pulls for itself, so
 * what one of them does not do costs the others nothing.
 */
export class Replicator {
  readonly #deps: ReplicatorDeps
  readonly #neighbours = new Map<string, Neighbour>()
  /** How far each peer's changes were followed; it outlives a connection, and neither process. */
  readonly #cursors = new Map<string, Cursor>()
  readonly #accusations: Accusations
  readonly #objects: ObjectSource
  readonly #change: Bell
  readonly #stopping = new AbortController()
  readonly #unsubscribe: Array<() => void> = []
  #announcing: Promise<void> = Promise.resolve()

  constructor(deps: ReplicatorDeps) {
    this.#deps = deps
    this.#accusations = new Accusations(deps.scheduler, deps.log)
    this.#objects = new ObjectSource(deps.scheduler, this.#accusations)
    this.#change = new Bell(deps.scheduler)
  }

  start(): void {
    const { host, onChange } = this.#deps
    host.handle(SYNC_PROTOCOL, PROTOCOL_OPTIONS, (channel) => void this.#serve(channel))
    this.#unsubscribe.push(
      onChange(() => this.#change.ring()),
      host.subscribe({
        connected: (peer) => this.#meet(peer),
        disconnected: (peer) => void this.#leave(peer),
      }),
    )
    for (const { key } of host.peers()) this.#meet(key)
    this.#announcing = this.#announce()
  }

  async stop(): Promise<void> {
    for (const unsubscribe of this.#unsubscribe.splice(0)) unsubscribe()
    this.#stopping.abort()
    await Promise.all([...this.#neighbours.keys()].map((id) => this.#end(id)))
    await this.#announcing
  }

  peers(): PeerState[] {
    return [...this.#neighbours].map(([id, { pulledMs, failure, lagOps }]) => {
      const peer = Buffer.from(id, 'hex')
      return { peer, pulledMs, failure, accused: this.#accusations.against(peer), lagOps }
    })
  }

  /** Pulls soon from a member that has something new; from all neighbours when it is none of them. */
  ring(peer: Uint8Array): void {
    const neighbour = this.#neighbours.get(toHex(peer))
    if (neighbour === undefined) this.hurry()
    else neighbour.bell.ring()
  }

  /** Who is a member may have changed: who is none is told, and left; who has become one is met. */
  review(): void {
    const { host, isMember } = this.#deps
    for (const id of [...this.#neighbours.keys()]) {
      if (isMember(Buffer.from(id, 'hex'))) continue
      // Its own channel stands until the connection ends: it asks what has changed, and hears that it was cut.
      this.#neighbours
        .get(id)
        ?.client?.hint()
        .catch(() => {})
      void this.#end(id)
    }
    for (const { key } of host.peers()) this.#meet(key)
  }

  /** Pulls from every peer soon, without waiting for a hint. */
  hurry(): void {
    for (const { bell } of this.#neighbours.values()) bell.ring()
  }

  /**
   * A descriptor or a page of a chunk list, by SHA-256, of whichever peer has it.
   * @throws {UnavailableError} when none of those that are connected has it. @throws the signal's reason.
   */
  async object(id: Uint8Array, options: AbortOptions = {}): Promise<Uint8Array> {
    const clients = [...this.#neighbours.values()].flatMap(({ client }) => client ?? [])
    return await this.#objects.fetch(id, clients, options)
  }

  async #serve(channel: Channel): Promise<void> {
    const { answers, isMember, log } = this.#deps
    const { peer } = channel
    if (!isMember(peer) || this.#accusations.isAvoided(peer)) {
      channel.abort(new Error('not a member of this realm, or one that breaks its rules'))
      return
    }
    try {
      await serveSync(channel, answers, () => this.#neighbours.get(toHex(peer))?.bell.ring())
    } catch (error) {
      if (isLie(error)) this.#accusations.accuse(peer, messageOf(error))
      else log.debug(`a sync channel ended: ${messageOf(error)}`, { peer: toHex(peer) })
    }
  }

  #meet(peer: Uint8Array): void {
    const id = toHex(peer)
    if (this.#neighbours.has(id) || this.#stopping.signal.aborted || !this.#deps.isMember(peer)) return
    const neighbour: Neighbour = {
      bell: new Bell(this.#deps.scheduler),
      stopping: new AbortController(),
      client: undefined,
      pulledMs: undefined,
      failure: undefined,
      lagOps: 0,
      ended: Promise.resolve(),
    }
    this.#neighbours.set(id, neighbour)
    neighbour.ended = this.#follow(peer, neighbour)
  }

  async #leave(peer: Uint8Array): Promise<void> {
    await this.#end(toHex(peer))
  }

  async #end(id: string): Promise<void> {
    const neighbour = this.#neighbours.get(id)
    if (neighbour === undefined) return
    this.#neighbours.delete(id)
    neighbour.stopping.abort()
    await neighbour.client?.close()
    await neighbour.ended
  }

  /** One peer, for as long as it is connected. */
  async #follow(peer: Uint8Array, neighbour: Neighbour): Promise<void> {
    const { scheduler, log } = this.#deps
    const { signal } = neighbour.stopping
    let retryMs = FIRST_RETRY_MS
    while (!signal.aborted) {
      try {
        await this.#pull(peer, neighbour, signal)
        neighbour.failure = undefined
        retryMs = FIRST_RETRY_MS
        // Who hints without end is asked five times a second.
        await scheduler.sleep(DEBOUNCE_MS, { signal })
        await neighbour.bell.wait(PERIOD_MS * (0.5 + scheduler.random()), { signal })
      } catch (error) {
        if (signal.aborted || isAbort(error, signal)) return
        neighbour.failure = messageOf(error)
        if (isLie(error)) this.#accusations.accuse(peer, neighbour.failure)
        else log.warn(`cannot follow a peer: ${neighbour.failure}`, { peer: toHex(peer) })
        await neighbour.client?.close()
        neighbour.client = undefined
        await scheduler.sleep(retryMs * (0.5 + scheduler.random()), { signal }).catch(() => {})
        retryMs = Math.min(2 * retryMs, PERIOD_MS)
      }
    }
  }

  async #pull(peer: Uint8Array, neighbour: Neighbour, signal: AbortSignal): Promise<void> {
    const { host, replica, hello, scheduler, onPulled } = this.#deps
    neighbour.client ??= new SyncClient(
      await host.open(peer, SYNC_PROTOCOL, { ...PROTOCOL_OPTIONS, signal }),
      scheduler,
    )
    const cursor = this.#cursors.get(toHex(peer))
    neighbour.lagOps = 0
    const onLag = (operations: number) => void (neighbour.lagOps += operations)
    const pulled = await pull(neighbour.client, replica, cursor, { signal, hello: await hello(), onLag })
    this.#cursors.set(toHex(peer), pulled.cursor)
    for (const id of pulled.poisoned)
      this.#deps.log.warn('a log has too many branches: cut its node', { log: id })
    neighbour.pulledMs = scheduler.now()
    onPulled(peer, pulled)
  }

  /** One hint to every peer for all that changes within a moment. */
  async #announce(): Promise<void> {
    const { scheduler } = this.#deps
    const { signal } = this.#stopping
    while (!signal.aborted) {
      try {
        if (!(await this.#change.wait(PERIOD_MS, { signal }))) continue
        await scheduler.sleep(DEBOUNCE_MS, { signal })
      } catch {
        return
      }
      for (const { client } of this.#neighbours.values()) client?.hint().catch(() => {})
    }
  }
}

/** Not what happens to honest peers. */
function isLie(error: unknown): boolean {
  return error instanceof MalformedError || error instanceof LimitError
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
