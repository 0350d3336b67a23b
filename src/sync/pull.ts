import { setImmediate as breathe } from 'node:timers/promises'
import { ConflictError, CorruptError, LimitError, MalformedError } from '../errors.ts'
import { descriptorId } from '../format/descriptor.ts'
import { decodeOperation, logId, operationHash, repositoryId } from '../format/operation.ts'
import type { SignedOperation } from '../format/operation.ts'
import { MAX_OBJECTS } from '../format/sync-message.ts'
import type { Hello, LogEnd, RepositoryDigest } from '../format/sync-message.ts'
import { readArrival } from '../repo/arrival.ts'
import type { Authority } from '../repo/authority.ts'
import type { OperationReader } from '../repo/operation-reader.ts'
import type { Received } from '../repo/repositories.ts'
import { compareBytes, EMPTY, equalBytes, toHex } from '../util/bytes.ts'
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
  /** What this node knew of governance then: with more of it, logs that were left may be taken, and all is compared. */
  readonly governance: Uint8Array
}

export interface Pulled {
  readonly hello: Hello
  readonly cursor: Cursor
  /** New operations, by repository. */
  readonly added: ReadonlyMap<string, number>
  /** Logs of which this node takes no more, in hex: they have too many branches. Whoever signed them made them so. */
  readonly poisoned: readonly string[]
}

/** Of the governance that a peer has and this node lacks: what a realm may come to, see repo/governance-set.ts. */
const MAX_RECORDS = 100_000
const MAX_RECORDS_BYTES = 32 * MIB

export interface PullOptions extends AbortOptions {
  /** So many more operations, or fewer, are known to be still to come. */
  readonly onLag?: (operations: number) => void
}

/** Operations verified between two breaths: 100 take 7 ms. */
const BREATH = 100

/**
 * Brings over what a peer has and this node lacks: governance, then the operations of each repository that differs
 * (replication design 2.8). Nothing is lost where it breaks off: the next pull goes on with what is here by then. What a
 * peer lists it must have, and its lists must advance: a pull from a liar ends, or brings something.
 * @throws {ConflictError} when the peer is of another realm.
 * @throws {MalformedError | LimitError | ForbiddenError} when the peer sends what must not be taken.
 * @throws {UnavailableError} when it does not answer.
 */
export async function pull(
  peer: SyncClient,
  replica: Replica,
  cursor: Cursor | undefined,
  options: PullOptions & { readonly hello: Hello },
): Promise<Pulled> {
  const pulling = new Pull(peer, replica, options)
  const added = new Map<string, number>()
  const hello = await pulling.hello(options.hello)
  await pulling.governance(hello)
  const governance = replica.governance.digest()
  if (!equalBytes(hello.state, await replica.state())) {
    const last = cursor && equalBytes(cursor.governance, governance) ? cursor : undefined
    for await (const repository of pulling.differing(last)) {
      const { name, count } = await pulling.repository(repository)
      if (count > 0) added.set(name, (added.get(name) ?? 0) + count)
    }
  }
  const { database, change } = hello
  return { hello, added, poisoned: pulling.poisoned, cursor: { database, change, governance } }
}

interface Lacking {
  readonly log: LogEnd & { readonly id: Uint8Array }
  /** Number of its last operation here. */
  readonly known: number
}

class Pull {
  readonly #peer: SyncClient
  readonly #replica: Replica
  readonly #options: PullOptions
  readonly poisoned: string[] = []

  constructor(peer: SyncClient, replica: Replica, options: PullOptions) {
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
      after = advance(page.hashes, after)
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
      if (items.length === 0 || items.length > ids.length)
        throw liar('governance records that it was not asked for')
      for (const [index, record] of items.entries()) {
        if (!equalBytes(ids[index] ?? EMPTY, descriptorId(record)))
          throw liar('governance records that it was not asked for')
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
      after = advance(
        page.items.map(({ repository }) => repository),
        after,
      )
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
    const own = new Map((await this.#replica.operations.logs(repository)).map((log) => [toHex(log.id), log]))
    let after: Uint8Array = EMPTY
    let count = 0
    for (;;) {
      const { name, logs, hasMore } = await this.#peer.call('logs', { repository, after }, this.#options)
      if (!equalBytes(repositoryId(this.#replica.realm, name), repository))
        throw liar('another repository than the one asked for')
      const ids = logs.map(({ author, incarnation }) => logId(repository, author, incarnation))
      if (after.length === 0 && ids.length === 0) throw liar('a repository without a log')
      after = advance(ids, after)
      const lacking = logs.flatMap((log, index): Lacking[] => {
        if (log.heads.every((head) => this.#replica.operations.holds(head))) return []
        const id = ids[index] ?? EMPTY
        return [{ log: { ...log, id }, known: own.get(toHex(id))?.sequence ?? 0 }]
      })
      const lag = lacking.reduce((sum, { log, known }) => sum + Math.max(1, log.sequence - known), 0)
      this.#options.onLag?.(lag)
      for (const { log, known } of lacking)
        count += await this.#log(name, log, Math.min(known, log.sequence) + 1)
      this.#options.onLag?.(-lag)
      if (!hasMore || logs.length === 0) return { name, count }
    }
  }

  /**
   * What this node lacks of a log. When the first new operation follows one that is not here, or a branch is still
   * missing at the end, the log has forked before: it is read again from 1, 2, 4 … operations earlier. A log with too
   * many branches is its author's doing, not the peer's: it is left, and everything else goes on.
   */
  async #log(name: string, log: LogEnd & { readonly id: Uint8Array }, first: number): Promise<number> {
    let count = 0
    try {
      for (let from = first, step = 1; ; from = Math.max(1, from - step), step *= 2) {
        for await (const added of this.#operations(name, log.id, from)) count += added
        const isWhole = log.heads.every((head) => this.#replica.operations.holds(head))
        if (isWhole) return count
        if (from === 1) throw liar('the end of a log without the log')
      }
    } catch (error) {
      if (!(error instanceof PoisonedLog)) throw error
      this.poisoned.push(toHex(log.id))
      return count
    }
  }

  /** Everything of a log from a sequence number on, page by page, up to a gap; answers how many were new, each time. */
  async *#operations(name: string, log: Uint8Array, first: number): AsyncGenerator<number> {
    let from = first
    let skip = 0
    let end: SignedOperation | undefined
    for (;;) {
      const { items, hasMore } = await this.#peer.call('operations', { log, from, skip }, this.#options)
      const operations = await this.#arrivals(items, log, from)
      const last = operations.at(-1)
      if (last !== undefined && end !== undefined && !isAfter(last, end))
        throw liar('operations that it was not asked for')
      const { added, gap } = await this.#receive(name, operations)
      yield added
      if (!hasMore || gap !== undefined || last === undefined) return
      end = last
      const { sequence } = last.operation
      const same = operations.filter(({ operation }) => operation.sequence === sequence).length
      skip = sequence === from ? skip + same : same
      from = sequence
    }
  }

  async #receive(name: string, operations: readonly SignedOperation[]): Promise<Received> {
    try {
      return await this.#replica.repositories.receive(name, operations)
    } catch (cause) {
      if (cause instanceof LimitError) throw new PoisonedLog(cause.message, { cause })
      throw cause
    }
  }

  async #arrivals(items: readonly Uint8Array[], log: Uint8Array, from: number): Promise<SignedOperation[]> {
    const operations: SignedOperation[] = []
    let before = from
    for (const [index, bytes] of items.entries()) {
      if (index % BREATH === BREATH - 1) await breathe()
      const isKnown = this.#replica.operations.holds(operationHash(bytes))
      const signed = isKnown ? decodeOperation(bytes) : this.#arrival(bytes)
      const { realm, repository, author, incarnation, sequence } = signed.operation
      const isOfLog = equalBytes(log, logId(repositoryId(realm, repository), author, incarnation))
      if (!isOfLog || sequence < before) throw liar('operations that it was not asked for')
      before = sequence
      operations.push(signed)
    }
    return operations
  }

  #arrival(bytes: Uint8Array): SignedOperation {
    try {
      return readArrival(bytes, this.#replica.realm, this.#replica.authority())
    } catch (cause) {
      if (cause instanceof CorruptError) throw liar('an operation that its author did not sign', cause)
      throw cause
    }
  }
}

/** Only `Pull` sees it. */
class PoisonedLog extends Error {}

/** The last of a list that rises from `after` on. @throws {MalformedError} for one that does not. */
function advance(ids: readonly Uint8Array[], after: Uint8Array): Uint8Array {
  let last = after
  for (const id of ids) {
    if (compareBytes(id, last) <= 0) throw liar('a list that does not rise')
    last = id
  }
  return last
}

/** In the order of a log: by number, then by hash. */
function isAfter(a: SignedOperation, b: SignedOperation): boolean {
  return (a.operation.sequence - b.operation.sequence || compareBytes(a.hash, b.hash)) > 0
}

function liar(what: string, cause?: unknown): MalformedError {
  return new MalformedError('sync message', `the peer sent ${what}`, { cause })
}
