import { HubError } from '../errors.ts'
import { decodeOperation, logId, repositoryId, verifyOperation } from '../format/operation.ts'
import type { SignedOperation } from '../format/operation.ts'
import type { FlistId } from '../store/flist-store.ts'
import type { RowStore, Space } from '../store/row-store.ts'
import { compareBytes, equalBytes, readU64be, toHex, toLatin1 } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import type { Authority } from './authority.ts'
import { repositoryDigest } from './operation-batch.ts'
import {
  decodeLogRow,
  decodeRepositoryRow,
  idRange,
  logKey,
  parseViewKey,
  parseVersionKey,
  placeValue,
  SPACES,
} from './rows.ts'
import type { NameState } from './state.ts'
import { countedIn, rowId, stateRanges, stateRows } from './state-rows.ts'
import type { RepositoryName } from './state-rows.ts'

/** Something that fsck names. */
export interface OperationProblem {
  readonly kind:
    | 'operation-malformed'
    | 'operation-signature'
    | 'operation-author'
    | 'operation-chain'
    | 'operation-stray'
    | 'operation-place'
    | 'log-heads'
    | 'repository-row'
    | 'heads-differ'
    | 'history-differs'
    | 'view-differs'
    | 'flist-missing'
  /** Of the operation, log, repository or name. */
  readonly id: string
  readonly detail: string
}

export interface CheckOptions extends AbortOptions {
  /** Does this node hold that flist, which `author` published? */
  readonly holds: (flist: FlistId, author: Uint8Array) => boolean
  readonly onOperation?: () => void
}

/** Runs `work` while nobody changes that repository. */
export type Exclusive = <T>(repository: string, work: () => Promise<T>) => Promise<T>

/** Whose operations they are to be. */
export interface Realm {
  readonly realm: Uint8Array
  readonly authority: Authority
}

/**
 * Reads all operations, one repository at a time, and compares everything that was made from them with what they say.
 * Nobody waits for it, unless a repository looks wrong: as it may have changed meanwhile, it is read again, alone.
 */
export async function* checkOperations(
  rows: RowStore,
  realm: Realm,
  exclusive: Exclusive,
  options: CheckOptions,
): AsyncGenerator<OperationProblem> {
  const check = new OperationCheck(rows, realm, options)
  const again = new OperationCheck(rows, realm, { ...options, onOperation: () => {} })
  for await (const [id, row] of rows.rows(SPACES.repositories, {}, options)) {
    const decoded = attempt(() => decodeRepositoryRow(row))
    if (typeof decoded === 'string') {
      yield { kind: 'repository-row', id: toHex(id), detail: decoded }
      continue
    }
    const problems = await collect(check.repository(id))
    if (problems.length > 0) yield* await exclusive(decoded.name, () => collect(again.repository(id)))
  }
  yield* check.strays()
}

async function collect(problems: AsyncIterable<OperationProblem>): Promise<OperationProblem[]> {
  const found: OperationProblem[] = []
  for await (const problem of problems) found.push(problem)
  return found
}

/** What is wrong when a row of these spaces is not what the operations say. */
const DIFFERENCES: Readonly<Record<Space, OperationProblem['kind']>> = {
  [SPACES.heads]: 'heads-differ',
  [SPACES.past]: 'history-differs',
  [SPACES.view]: 'view-differs',
}

interface CheckedLog {
  readonly operations: readonly SignedOperation[]
  readonly heads: readonly Uint8Array[]
  /** Rows of operations, readable or not. */
  readonly rows: number
}

class OperationCheck {
  readonly #rows: RowStore
  readonly #realm: Uint8Array
  readonly #authority: Authority
  readonly #options: CheckOptions

  constructor(rows: RowStore, { realm, authority }: Realm, options: CheckOptions) {
    this.#rows = rows
    this.#realm = realm
    this.#authority = authority
    this.#options = options
  }

  async *repository(id: Uint8Array): AsyncGenerator<OperationProblem> {
    const row = this.#rows.get(SPACES.repositories, id)
    if (row === undefined) return
    const { name, digest, operations } = decodeRepositoryRow(row)
    if (!equalBytes(id, repositoryId(this.#realm, name))) {
      yield { kind: 'repository-row', id: name, detail: 'it is not of this realm, or has another name' }
    }
    const all: SignedOperation[] = []
    const heads: Uint8Array[] = []
    let found = 0
    for await (const [key, logRow] of this.#rows.rows(SPACES.logs, idRange(id), this.#options)) {
      const log = yield* this.#log(key.subarray(32), logRow, id)
      for (const signed of log.operations) all.push(signed)
      heads.push(...log.heads)
      found += log.rows
    }
    if (found !== operations || !equalBytes(digest, repositoryDigest(heads))) {
      yield {
        kind: 'repository-row',
        id: name,
        detail: `it counts ${operations} operations of ${found}, or their digest differs`,
      }
    }
    yield* this.#state({ id, name }, countedIn(id, all, this.#authority))
  }

  /** Every operation of a log: its bytes, signature, author, place and chain. */
  async *#log(
    id: Uint8Array,
    logRow: Uint8Array,
    repository: Uint8Array,
  ): AsyncGenerator<OperationProblem, CheckedLog> {
    const log = attempt(() => decodeLogRow(logRow))
    if (typeof log === 'string') {
      yield { kind: 'log-heads', id: toHex(id), detail: log }
      return { operations: [], heads: [], rows: 0 }
    }
    const operations: SignedOperation[] = []
    const ends = new Map<string, Uint8Array>()
    const chain = new Set<string>()
    let rows = 0
    for await (const [key, bytes] of this.#rows.rows(SPACES.operations, idRange(id), this.#options)) {
      rows++
      this.#options.onOperation?.()
      const hash = key.subarray(40)
      const signed = yield* this.#operation(hash, bytes)
      if (signed === undefined) continue
      const { sequence, previous, author, incarnation } = signed.operation
      const isPlaced =
        sequence === readU64be(key, 32) && equalBytes(id, logId(repository, author, incarnation))
      if (!isPlaced || !this.#hasPlace(signed, id)) {
        yield { kind: 'operation-place', id: toHex(hash), detail: 'it is not where its log and number say' }
      }
      if (previous !== undefined && !chain.has(toLatin1(previous))) {
        const detail = `operation ${sequence} follows one that is not there`
        yield { kind: 'operation-chain', id: toHex(hash), detail }
      }
      if (previous !== undefined) ends.delete(toLatin1(previous))
      ends.set(toLatin1(hash), hash)
      chain.add(toLatin1(hash))
      operations.push(signed)
    }
    if (!isSameSet([...ends.values()], log.heads)) {
      yield { kind: 'log-heads', id: toHex(id), detail: 'it does not end with the operations it names' }
    }
    return { operations, heads: log.heads, rows }
  }

  async *#operation(
    hash: Uint8Array,
    bytes: Uint8Array,
  ): AsyncGenerator<OperationProblem, SignedOperation | undefined> {
    const id = toHex(hash)
    const signed = attempt(() => decodeOperation(bytes))
    if (typeof signed === 'string') {
      yield { kind: 'operation-malformed', id, detail: signed }
      return undefined
    }
    if (!equalBytes(signed.hash, hash)) {
      yield { kind: 'operation-malformed', id, detail: `its hash is ${toHex(signed.hash)}` }
      return undefined
    }
    if (!verifyOperation(signed)) {
      yield { kind: 'operation-signature', id, detail: 'its author did not sign it' }
      return undefined
    }
    const { author, realm } = signed.operation
    if (!this.#authority.isAdmitted(author) || !equalBytes(realm, this.#realm)) {
      yield { kind: 'operation-author', id, detail: `${toHex(author)} may not write in this realm` }
    }
    return signed
  }

  #hasPlace({ hash, operation }: SignedOperation, log: Uint8Array): boolean {
    const place = this.#rows.get(SPACES.places, hash)
    return place !== undefined && equalBytes(place, placeValue(log, operation.sequence))
  }

  /** What stands, what was replaced and what lists show, against what the operations say. */
  async *#state(
    repository: RepositoryName,
    counted: ReadonlySet<SignedOperation>,
  ): AsyncGenerator<OperationProblem> {
    const { rows, names } = stateRows(repository, counted)
    for (const [key, state] of names) yield* this.#missing(`${repository.name}/${key}`, state)
    const expected = new Map(rows)
    for (const [space, range] of stateRanges(repository)) {
      for await (const [key, value] of this.#rows.rows(space, range)) {
        const wanted = expected.get(rowId(space, key))
        expected.delete(rowId(space, key))
        if (wanted === undefined) yield differs(repository.name, space, key, 'no operation says so')
        else if (!equalBytes(wanted.value, value)) {
          yield differs(repository.name, space, key, 'it is not what the operations say')
        }
      }
    }
    for (const { space, key } of expected.values()) {
      yield differs(repository.name, space, key, 'it is missing')
    }
  }

  *#missing(id: string, { heads }: NameState): Generator<OperationProblem> {
    for (const { target, operation, author } of heads) {
      if (target?.kind !== 'file' || this.#options.holds(target.flist, author)) continue
      const detail = `operation ${toHex(operation)} names flist ${toHex(target.flist)}, which is not held`
      yield { kind: 'flist-missing', id, detail }
    }
  }

  /** Operations that no log claims. */
  async *strays(): AsyncGenerator<OperationProblem> {
    const claimed = new Map<string, boolean>()
    for await (const [key, bytes] of this.#rows.rows(SPACES.operations, {}, this.#options)) {
      const log = key.subarray(0, 32)
      const isClaimed = claimed.get(toLatin1(log)) ?? this.#isClaimed(log, bytes)
      claimed.set(toLatin1(log), isClaimed)
      if (isClaimed) continue
      yield { kind: 'operation-stray', id: toHex(key.subarray(40)), detail: `log ${toHex(log)} is not there` }
    }
  }

  #isClaimed(log: Uint8Array, bytes: Uint8Array): boolean {
    const signed = attempt(() => decodeOperation(bytes))
    if (typeof signed === 'string') return false
    const { realm, repository } = signed.operation
    return this.#rows.get(SPACES.logs, logKey(repositoryId(realm, repository), log)) !== undefined
  }
}

function differs(repository: string, space: Space, key: Uint8Array, detail: string): OperationProblem {
  const version = () => `${parseVersionKey(key).key}~${toHex(key.subarray(-32)).slice(0, 16)}`
  const name = space === SPACES.view ? parseViewKey(key).key : version()
  return { kind: DIFFERENCES[space] ?? 'view-differs', id: `${repository}/${name}`, detail }
}

function isSameSet(a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean {
  const [left, right] = [a, b].map((hashes) => [...hashes].sort(compareBytes).map(toHex).join())
  return left === right
}

/** What `decode` gives, or why it does not. */
function attempt<T>(decode: () => T): T | string {
  try {
    return decode()
  } catch (error) {
    if (error instanceof HubError) return error.message
    throw error
  }
}
