import { setImmediate as breathe } from 'node:timers/promises'
import { ConflictError, LimitError, MalformedError } from '../errors.ts'
import { descriptorId } from '../format/descriptor.ts'
import { decodeOperation, logId, operationHash, repositoryId } from '../format/operation.ts'
import type { SignedOperation } from '../format/operation.ts'
import { MAX_OBJECTS } from '../format/sync-message.ts'
import type { Hello, LogEnd, RepositoryDigest } from '../format/sync-message.ts'
import { readArrival } from '../repo/arrival.ts'
import type { Authority } from '../repo/authority.ts'
import type { OperationReader } from '../repo/operation-reader.ts'
import type { Received } from '../repo/repositories.ts'
import { EMPTY, equalBytes, toHex } from '../util/bytes.ts'
import { MIB } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'
import type { GovernanceRecords } from './sync-answers.ts'
import type { SyncClient } from './sync-client.ts'

/** What of this node takes in what peers have. */
export interface Replica {
  readonly realm: Uint8Array
  readonly operations: OperationReader
  readonly authority: () => Authority
  readonly repositories: {
    receive(repository: string, operations: readonly SignedOperation[]): Promise<Received>
  }
  readonly governance: GovernanceRecords & {
    /** Checks, keeps, and judges anew what they change. */
    receive(records: readonly Uint8Array[]): Promise<unknown>
  }
  readonly state: () => Promise<Uint8Array>
}

/** How far this node has followed the changes in one run of a peer. */
export interface Cursor {
  readonly database: Uint8Array
  readonly change: number
}

export interface Pulled {
  readonly hello: Hello
  readonly cursor: Cursor
  /** New operations, by repository. */
  readonly added: ReadonlyMap<string, number>
}

/** Of the governance that a peer has and this node lacks: what a realm may come to, see repo/governance-set.ts. */
const MAX_RECORDS = 100_000
const MAX_RECORDS_BYTES = 32 * MIB

/** Operations verified between two breaths: 100 take 7 ms. */
const BREATH = 100

/**
 * Brings over what a peer has and this node lacks: governance, then the operations of each repository that differs
 * (replication design 2.8). Nothing is lost where it breaks off: the next pull goes on with what is here by then.
 * @throws {ConflictError} when the peer is of another realm.
 * @throws {MalformedError | LimitError | CorruptError | ForbiddenError} when the peer sends what must not be taken.
 * @throws {UnavailableError} when it does not answer.
 */
export async function pull(
  peer: SyncClient,
  replica: Replica,
  cursor: Cursor | undefined,
  options: AbortOptions & { readonly hello: Hello },
): Promise<Pulled> {
  const pulling = new Pull(peer, replica, options)
  const added = new Map<string, number>()
  const hello = await pulling.hello(options.hello)
  await pulling.governance(hello)
  if (!equalBytes(hello.state, await replica.state())) {
    for await (const repository of pulling.differing(cursor)) {
      const { name, count } = await pulling.repository(repository)
      if (count > 0) added.set(name, (added.get(name) ?? 0) + count)
    }
  }
  return { hello, added, cursor: { database: hello.database, change: hello.change } }
}

class Pull {
  readonly #peer: SyncClient
  readonly #replica: Replica
  readonly #options: AbortOptions

  constructor(peer: SyncClient, replica: Replica, options: AbortOptions) {
    this.#peer = peer
    this.#replica = replica
    this.#options = options
  }

  async hello(own: Hello): Promise<Hello> {
    const hello = await this.#peer.call('hello', own, this.#options)
    if (!equalBytes(hello.realm, this.#replica.realm)) {
      throw new ConflictError('the peer is of another realm')
    }
    return hello
  }

  async governance({ governance: theirs }: Hello): Promise<void> {
    const { governance } = this.#replica
    if (equalBytes(theirs, governance.digest())) return
    const known = new Set(governance.hashes().map(toHex))
    const missing: Uint8Array[] = []
    let after: Uint8Array = EMPTY
    for (let hasMore = true; hasMore;) {
      const page = await this.#peer.call('governance', { after }, this.#options)
      hasMore = page.hasMore && page.hashes.length > 0
      after = page.hashes.at(-1) ?? after
      for (const hash of page.hashes) if (!known.has(toHex(hash))) missing.push(hash)
      if (missing.length > MAX_RECORDS) throw new LimitError('governance of a peer', MAX_RECORDS, 'records')
    }
    await this.#records(missing)
  }

  /** All of them are taken at once: a record may rest on one that comes last. */
  async #records(missing: readonly Uint8Array[]): Promise<void> {
    const received: Uint8Array[] = []
    let bytes = 0
    for (let from = 0; from < missing.length;) {
      const ids = missing.slice(from, from + MAX_OBJECTS)
      const { items } = await this.#peer.call('records', { ids }, this.#options)
      if (items.length === 0 || items.length > ids.length) throw unasked('governance records')
      const records = items.filter((record) => record.length > 0)
      for (const record of records) {
        if (!ids.some((id) => equalBytes(id, descriptorId(record)))) throw unasked('governance records')
        bytes += record.length
        received.push(record)
      }
      if (bytes > MAX_RECORDS_BYTES) throw new LimitError('governance of a peer', MAX_RECORDS_BYTES, 'bytes')
      from += items.length
    }
    if (received.length > 0) await this.#replica.governance.receive(received)
  }

  /** Repositories that are not here as they are there: those changed since the last time, or of all. */
  async *differing(cursor: Cursor | undefined): AsyncGenerator<Uint8Array> {
    if (cursor !== undefined) {
      const isWhole = yield* this.#changed(cursor)
      if (isWhole) return
    }
    let after: Uint8Array = EMPTY
    for (let hasMore = true; hasMore;) {
      const page = await this.#peer.call('repositories', { after }, this.#options)
      hasMore = page.hasMore && page.items.length > 0
      after = page.items.at(-1)?.repository ?? after
      yield* this.#unequal(page.items)
    }
  }

  /** False when the peer's numbers are not those of the cursor. */
  async *#changed({ database, change }: Cursor): AsyncGenerator<Uint8Array, boolean> {
    let since = change
    for (;;) {
      const page = await this.#peer.call('changes', { database, since }, this.#options)
      if (page.isReset) return false
      yield* this.#unequal(page.items)
      if (!page.hasMore || page.next <= since) return true
      since = page.next
    }
  }

  *#unequal(items: readonly RepositoryDigest[]): Generator<Uint8Array> {
    for (const { repository, digest } of items) {
      const own = this.#replica.operations.repository(repository)
      if (own === undefined || !equalBytes(own.digest, digest)) yield repository
    }
  }

  async repository(repository: Uint8Array): Promise<{ readonly name: string; readonly count: number }> {
    const { name, logs } = await this.#peer.call('logs', { repository }, this.#options)
    if (name === '') return { name, count: 0 }
    if (!equalBytes(repositoryId(this.#replica.realm, name), repository)) throw unasked('a repository')
    const own = await this.#replica.operations.logs(repository)
    let count = 0
    for (const log of logs) {
      if (log.heads.every((head) => this.#replica.operations.holds(head))) continue
      const id = logId(repository, log.author, log.incarnation)
      const known = own.find((one) => equalBytes(one.id, id))?.sequence ?? 0
      count += await this.#log(name, { ...log, id }, Math.min(known, log.sequence) + 1)
    }
    return { name, count }
  }

  /**
   * What this node lacks of a log. When the first new operation follows one that is not here, or a branch is still
   * missing at the end, the log has forked before: it is read again from 1, 2, 4 … operations earlier.
   */
  async #log(name: string, log: LogEnd & { readonly id: Uint8Array }, first: number): Promise<number> {
    let count = 0
    for (let from = first, step = 1; ; from = Math.max(1, from - step), step *= 2) {
      count += await this.#operations(name, log.id, from)
      const isWhole = log.heads.every((head) => this.#replica.operations.holds(head))
      if (isWhole) return count
      if (from === 1) throw unasked('the end of a log, without the log,')
    }
  }

  /** Everything of a log from a sequence number on, page by page; up to a gap. */
  async #operations(name: string, log: Uint8Array, first: number): Promise<number> {
    let count = 0
    let from = first
    let skip = 0
    for (;;) {
      const { items, hasMore } = await this.#peer.call('operations', { log, from, skip }, this.#options)
      const operations = await this.#arrivals(items, log, from)
      const { added, gap } = await this.#replica.repositories.receive(name, operations)
      count += added
      const last = operations.at(-1)?.operation.sequence
      if (!hasMore || gap !== undefined || last === undefined) return count
      const same = operations.filter(({ operation }) => operation.sequence === last).length
      skip = last === from ? skip + same : same
      from = last
    }
  }

  async #arrivals(items: readonly Uint8Array[], log: Uint8Array, from: number): Promise<SignedOperation[]> {
    const operations: SignedOperation[] = []
    let before = from
    for (const [index, bytes] of items.entries()) {
      if (index % BREATH === BREATH - 1) await breathe()
      const isKnown = this.#replica.operations.holds(operationHash(bytes))
      const signed = isKnown
        ? decodeOperation(bytes)
        : readArrival(bytes, this.#replica.realm, this.#replica.authority())
      const { realm, repository, author, incarnation, sequence } = signed.operation
      const isOfLog = equalBytes(log, logId(repositoryId(realm, repository), author, incarnation))
      if (!isOfLog || sequence < before) throw unasked('operations')
      before = sequence
      operations.push(signed)
    }
    return operations
  }
}

function unasked(what: string): MalformedError {
  return new MalformedError('sync message', `the peer sent ${what} that it was not asked for`)
}
