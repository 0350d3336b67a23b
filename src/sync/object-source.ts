import { UnavailableError } from '../errors.ts'
import { descriptorId } from '../format/descriptor.ts'
import { Bell } from '../util/bell.ts'
import { equalBytes, toHex } from '../util/bytes.ts'
import type { Scheduler } from '../util/scheduler.ts'
import type { AbortOptions } from '../util/units.ts'
import type { Accusations } from './accusations.ts'
import { ANSWER_MS, HEDGE_MS } from './deadlines.ts'
import type { SyncClient } from './sync-client.ts'

/** Descriptors and pages of chunk lists, of whichever peer gives them first. */
export class ObjectSource {
  readonly #scheduler: Scheduler
  readonly #accusations: Accusations
  /** How often in a row a peer did not give what another one gave, by its key. */
  readonly #behind = new Map<string, number>()

  constructor(scheduler: Scheduler, accusations: Accusations) {
    this.#scheduler = scheduler
    this.#accusations = accusations
  }

  /**
   * Asks one peer after the other, those first that gave something before: the next one when one has it not, or after
   * 250 ms. Who gives something else has lied.
   * @throws {UnavailableError} when none of them has it. @throws the signal's reason.
   */
  async fetch(
    id: Uint8Array,
    peers: readonly SyncClient[],
    { signal }: AbortOptions = {},
  ): Promise<Uint8Array> {
    signal?.throwIfAborted()
    const over = new AbortController()
    const stop = () => over.abort(signal?.reason)
    signal?.addEventListener('abort', stop, { once: true })
    const rest = this.#inOrder(peers)
    const asked = new Set<SyncClient>()
    const bell = new Bell(this.#scheduler)
    let found: Uint8Array | undefined
    const ask = async (peer: SyncClient): Promise<void> => {
      asked.add(peer)
      const bytes = await this.#ask(peer, id, { signal: over.signal })
      asked.delete(peer)
      this.#note(peer, bytes !== undefined)
      found ??= bytes
      bell.ring()
    }
    try {
      while (found === undefined && rest.length + asked.size > 0) {
        const next = rest.shift()
        if (next !== undefined) void ask(next)
        await bell.wait(rest.length > 0 ? HEDGE_MS : ANSWER_MS, { signal: over.signal })
      }
    } finally {
      signal?.removeEventListener('abort', stop)
      for (const peer of asked) this.#note(peer, false)
      over.abort()
    }
    if (found !== undefined) return found
    throw new UnavailableError(`no peer that is connected has ${toHex(id)}`)
  }

  #inOrder(peers: readonly SyncClient[]): SyncClient[] {
    const behind = ({ peer }: SyncClient) => this.#behind.get(toHex(peer)) ?? 0
    return peers
      .filter(({ peer }) => !this.#accusations.isAvoided(peer))
      .sort((a, b) => behind(a) - behind(b))
  }

  #note({ peer }: SyncClient, hasGiven: boolean): void {
    if (hasGiven) this.#behind.delete(toHex(peer))
    else this.#behind.set(toHex(peer), (this.#behind.get(toHex(peer)) ?? 0) + 1)
  }

  /** `undefined` for whatever is not the object. */
  async #ask(peer: SyncClient, id: Uint8Array, options: AbortOptions): Promise<Uint8Array | undefined> {
    try {
      const { items } = await peer.call('objects', { ids: [id] }, options)
      const [bytes, ...others] = items
      if (bytes === undefined || bytes.length === 0) return undefined
      if (others.length === 0 && equalBytes(descriptorId(bytes), id)) return bytes
      this.#accusations.accuse(peer.peer, 'it sent another object than the one asked for')
    } catch {
      // It refuses, is gone or does not answer: those who follow it say so.
    }
    return undefined
  }
}
