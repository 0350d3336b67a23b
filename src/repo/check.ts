import { HubError } from '../errors.ts'
import { decodeNodeRecord } from '../format/governance.ts'
import { decodeOperation, logId, repositoryId, verifyOperation } from '../format/operation.ts'
import type { SignedOperation } from '../format/operation.ts'
import type { FlistId } from '../store/flist-store.ts'
import type { RowStore } from '../store/row-store.ts'
import { equalBytes, readU64be, toHex, toLatin1 } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import { governanceKey } from './identity.ts'
import { repositoryDigest, viewOf } from './operation-batch.ts'
import {
  decodeLogRow,
  decodeRepositoryRow,
  encodePastVersion,
  encodeVersion,
  encodeViewRow,
  idRange,
  logKey,
  parseVersionKey,
  placeValue,
  prefixRange,
  SPACES,
} from './rows.ts'
import { placeEffects, stateOf } from './state.ts'
import type { NameState, PlacedEffect } from './state.ts'

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
  /** Does this node hold that flist? */
  readonly holds: (flist: FlistId) => boolean
  readonly onOperation?: () => void
}

/** Runs `work` while nobody changes that repository. */
export type Exclusive = <T>(repository: string, work: () => Promise<T>) => Promise<T>

/**
 * Reads all operations, one repository at a time, and compares everything that was made from them with what they say.
 * Nobody waits for it, unless a repository looks wrong: as it may have changed meanwhile, it is read again, alone.
 */
export async function* checkOperations(
  rows: RowStore,
  realm: Uint8Array,
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

class OperationCheck {
  readonly #rows: RowStore
  readonly #realm: Uint8Array
  readonly #options: CheckOptions
  readonly #authors = new Map<string, boolean>()

  constructor(rows: RowStore, realm: Uint8Array, options: CheckOptions) {
    this.#rows = rows
    this.#realm = realm
    this.#options = options
  }

  async *repository(id: Uint8Array): AsyncGenerator<OperationProblem> {
    const row = this.#rows.get(SPACES.repositories, id)
    if (row === undefined) return
    const { name, digest, operations } = decodeRepositoryRow(row)
    if (!equalBytes(id, repositoryId(this.#realm, name))) {
      yield { kind: 'repository-row', id: name, detail: 'it is not of this realm, or has another name' }
    }
    const effects: PlacedEffect[] = []
    const heads: Uint8Array[] = []
    let found = 0
    for await (const [key, logRow] of this.#rows.rows(SPACES.logs, idRange(id), this.#options)) {
      const log = yield* this.#log(key.subarray(32), logRow, id)
      for (const effect of log.effects) effects.push(effect)
      heads.push(...log.heads)
      found += log.operations
    }
    if (found !== operations || !equalBytes(digest, repositoryDigest(heads))) {
      yield {
        kind: 'repository-row',
        id: name,
        detail: `it counts ${operations} operations of ${found}, or their digest differs`,
      }
    }
    yield* this.#state(id, name, stateOf(effects))
  }

  /** Every operation of a log: its bytes, signature, author, place and chain. */
  async *#log(
    id: Uint8Array,
    logRow: Uint8Array,
    repository: Uint8Array,
  ): AsyncGenerator<
    OperationProblem,
    { effects: PlacedEffect[]; heads: readonly Uint8Array[]; operations: number }
  > {
    const log = attempt(() => decodeLogRow(logRow))
    if (typeof log === 'string') {
      yield { kind: 'log-heads', id: toHex(id), detail: log }
      return { effects: [], heads: [], operations: 0 }
    }
    const effects: PlacedEffect[] = []
    const chain = new Set<string>()
    let operations = 0
    let tip: Uint8Array | undefined
    for await (const [key, bytes] of this.#rows.rows(SPACES.operations, idRange(id), this.#options)) {
      operations++
      this.#options.onOperation?.()
      const hash = key.subarray(40)
      const signed = yield* this.#operation(hash, bytes)
      if (signed === undefined) continue
      const { operation } = signed
      const isPlaced =
        operation.sequence === readU64be(key, 32) &&
        equalBytes(id, logId(repository, operation.author, operation.incarnation))
      if (!isPlaced || !this.#hasPlace(signed, id)) {
        yield { kind: 'operation-place', id: toHex(hash), detail: 'it is not where its log and number say' }
      }
      if (operation.previous !== undefined && !chain.has(toLatin1(operation.previous))) {
        yield {
          kind: 'operation-chain',
          id: toHex(hash),
          detail: `operation ${operation.sequence} follows one that is not there`,
        }
      }
      chain.add(toLatin1(hash))
      tip = hash
      effects.push(...placeEffects(signed))
    }
    const isEnd = tip !== undefined && log.heads.some((head) => tip !== undefined && equalBytes(head, tip))
    if (!isEnd)
      yield { kind: 'log-heads', id: toHex(id), detail: 'its last operation is not the one it names' }
    return { effects, heads: log.heads, operations }
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
    if (!this.#isMember(signed.operation.author) || !equalBytes(signed.operation.realm, this.#realm)) {
      yield {
        kind: 'operation-author',
        id,
        detail: `${toHex(signed.operation.author)} may not write in this realm`,
      }
    }
    return signed
  }

  #isMember(author: Uint8Array): boolean {
    const id = toLatin1(author)
    const known = this.#authors.get(id)
    if (known !== undefined) return known
    const row = this.#rows.get(SPACES.governance, governanceKey.node(author))
    const isMember = row !== undefined && isNodeRecord(row, author)
    this.#authors.set(id, isMember)
    return isMember
  }

  #hasPlace({ hash, operation }: SignedOperation, log: Uint8Array): boolean {
    const place = this.#rows.get(SPACES.places, hash)
    return place !== undefined && equalBytes(place, placeValue(log, operation.sequence))
  }

  /** What stands, what was replaced and what lists show, against what the operations say. */
  async *#state(
    id: Uint8Array,
    name: string,
    state: ReadonlyMap<string, NameState>,
  ): AsyncGenerator<OperationProblem> {
    const heads = new Map<string, Uint8Array>()
    const past = new Map<string, Uint8Array>()
    const view = new Map<string, Uint8Array>()
    for (const [key, names] of state) {
      for (const version of names.heads) heads.set(versionId(key, version.operation), encodeVersion(version))
      for (const version of names.past)
        past.set(versionId(key, version.operation), encodePastVersion(version))
      const shown = viewOf(names.heads)
      if (shown !== undefined) view.set(key, encodeViewRow(shown))
      yield* this.#missing(`${name}/${key}`, names)
    }
    const versionOf = (key: Uint8Array) => versionId(parseVersionKey(key).key, key.subarray(-32))
    const viewed = (key: Uint8Array) =>
      Buffer.from(key.subarray(Buffer.byteLength(name) + 1)).toString('utf8')
    yield* this.#compare('heads-differ', name, heads, this.#rows.rows(SPACES.heads, idRange(id)), versionOf)
    yield* this.#compare('history-differs', name, past, this.#rows.rows(SPACES.past, idRange(id)), versionOf)
    const viewRows = this.#rows.rows(SPACES.view, prefixRange(Buffer.from(name)))
    yield* this.#compare('view-differs', name, view, viewRows, viewed)
  }

  *#missing(id: string, { heads }: NameState): Generator<OperationProblem> {
    for (const { target, operation } of heads) {
      if (target?.kind !== 'file' || this.#options.holds(target.flist)) continue
      const detail = `operation ${toHex(operation)} names flist ${toHex(target.flist)}, which is not held`
      yield { kind: 'flist-missing', id, detail }
    }
  }

  async *#compare(
    kind: OperationProblem['kind'],
    repository: string,
    expected: Map<string, Uint8Array>,
    found: AsyncIterable<readonly [Uint8Array, Uint8Array]>,
    idOf: (key: Uint8Array) => string,
  ): AsyncGenerator<OperationProblem> {
    for await (const [key, value] of found) {
      const id = idOf(key)
      const wanted = expected.get(id)
      expected.delete(id)
      if (wanted === undefined) yield { kind, id: `${repository}/${id}`, detail: 'no operation says so' }
      else if (!equalBytes(wanted, value)) {
        yield { kind, id: `${repository}/${id}`, detail: 'it is not what the operations say' }
      }
    }
    for (const id of expected.keys()) yield { kind, id: `${repository}/${id}`, detail: 'it is missing' }
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

function versionId(key: string, operation: Uint8Array): string {
  return `${key}~${toHex(operation).slice(0, 16)}`
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

function isNodeRecord(row: Uint8Array, node: Uint8Array): boolean {
  const record = attempt(() => decodeNodeRecord(row))
  return typeof record !== 'string' && equalBytes(record.node, node)
}
