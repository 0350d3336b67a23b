/** Goes over to the realm of an invite: now, or as soon as its inviter answers. */
import type { FarmSettings } from './config.ts'
import { ForbiddenError, UnavailableError } from './errors.ts'
import { parseInvite } from './format/invite.ts'
import type { Invite } from './format/invite.ts'
import { readRealm, enterChanges, isFinal } from './repo/realm-change.ts'
import type { PendingJoin } from './repo/pending-join.ts'
import type { GovernanceSet } from './repo/governance-set.ts'
import { MAX_ADDRESSES } from './net/peer-book.ts'
import { RowPeerBook } from './sync/row-peer-book.ts'
import type { RowStore } from './store/row-store.ts'
import type { Logger } from './util/logger.ts'
import { systemScheduler } from './util/scheduler.ts'
import { MINUTE_MS, SECOND_MS } from './util/units.ts'
import { ownAddresses } from './node-addresses.ts'

const FIRST_WAIT_MS = SECOND_MS
const LONGEST_WAIT_MS = 5 * MINUTE_MS

export interface JoinerDeps {
  readonly rows: RowStore
  readonly farm: FarmSettings
  /** Of the node's key. */
  readonly seed: () => Promise<Uint8Array>
  readonly node: Uint8Array
  readonly tokenKey: Uint8Array
  /** The realm that the node is in until then. */
  readonly realm: Uint8Array
  readonly pending: PendingJoin
  /** The node is to open again, in the realm that it has come into. */
  readonly reopen: () => void
  readonly log: Logger
}

export class Joiner {
  readonly #deps: JoinerDeps
  readonly #stopping = new AbortController()
  #running: Promise<void> = Promise.resolve()
  #attempt: Promise<GovernanceSet | undefined> | undefined

  constructor(deps: JoinerDeps) {
    this.#deps = deps
  }

  /** Keeps asking, in the background, while an invite is pending. */
  start(): void {
    this.#running = this.#run()
  }

  /** An attempt under way ends; the invite stays. */
  async stop(): Promise<void> {
    this.#stopping.abort(new UnavailableError('this node stops'))
    await this.#running
    await this.#attempt?.catch(() => {})
  }

  /**
   * One attempt: the realm that the node has come into, or `undefined` when no invite is pending.
   * @throws {UnavailableError} when the inviter does not answer; the invite stays.
   * @throws what the inviter refuses with, after which the invite is forgotten.
   */
  attempt(): Promise<GovernanceSet | undefined> {
    this.#attempt ??= this.#once().finally(() => (this.#attempt = undefined))
    return this.#attempt
  }

  async #once(): Promise<GovernanceSet | undefined> {
    const { pending, rows, realm, reopen } = this.#deps
    const wanted = pending.get()
    if (wanted === undefined) return undefined
    try {
      const set = await this.#ask(parseInvite(wanted.invite), wanted.name)
      await rows.write([...enterChanges(realm, set), pending.forgotten])
      reopen()
      return set
    } catch (error) {
      if (isFinal(error)) await rows.write([pending.forgotten])
      throw error
    }
  }

  async #ask(invite: Invite, name: string): Promise<GovernanceSet> {
    const { farm, seed, node, tokenKey, rows } = this.#deps
    if (invite.expiresS * SECOND_MS <= Date.now()) {
      throw new ForbiddenError('the invite has ended: ask for another one')
    }
    const [{ openLibp2pHost }, { requestJoin }] = await Promise.all([
      import('./net/libp2p-host.ts'),
      import('./sync/join.ts'),
    ])
    const { signal } = this.#stopping
    const addresses = ownAddresses(farm).slice(0, 32)
    // It calls only addresses with a key in them, which the handshake proves, and nobody can call it.
    const host = await openLibp2pHost({ seed: await seed(), listen: [], admits: () => true })
    try {
      await host.start()
      const { records, inviter } = await requestJoin(host, invite, { tokenKey, name, addresses }, { signal })
      const set = readRealm(invite.realm, node, records)
      const found = { peer: inviter, addresses: invite.addresses.slice(0, MAX_ADDRESSES), seenMs: Date.now() }
      await new RowPeerBook(rows).put([found])
      return set
    } finally {
      await host.stop()
    }
  }

  async #run(): Promise<void> {
    const { pending, log } = this.#deps
    const { signal } = this.#stopping
    for (let waitMs = FIRST_WAIT_MS; !signal.aborted; waitMs = Math.min(waitMs * 2, LONGEST_WAIT_MS)) {
      if (pending.get() === undefined) return
      try {
        await this.attempt()
        return
      } catch (error) {
        if (signal.aborted) return
        if (!(error instanceof UnavailableError)) {
          log.error('this node does not join the realm', {}, error)
          return
        }
        log.warn('the inviter does not answer; this node asks again', { afterMs: waitMs, why: error.message })
      }
      await systemScheduler.sleep(waitMs, { signal }).catch(() => {})
    }
  }
}
