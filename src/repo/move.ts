/**
 * Republishes what a data folder holds in the realm that it has come into. Operations belong to one realm: what stood
 * under a name in the old one is said again, by this node, in the new one, with the time and the user it had. The old
 * operations go to rows of their own, where history finds their versions and no peer does.
 */
import { CorruptError } from '../errors.ts'
import { splitEffectKey } from '../format/effect.ts'
import { decodeOperation, repositoryId, signOperation } from '../format/operation.ts'
import type { OperationUser, SignedOperation } from '../format/operation.ts'
import type { FlistId } from '../store/flist-store.ts'
import type { RowChange, RowStore, Space } from '../store/row-store.ts'
import { concat, fromUtf8, readU64be, toHex, u64be } from '../util/bytes.ts'
import type { Authority } from './authority.ts'
import { HybridClock } from './hybrid-clock.ts'
import type { Clock } from './hybrid-clock.ts'
import type { Identity } from './identity.ts'
import { logBatch } from './operation-batch.ts'
import { movedChanges, movingFrom } from './realm-change.ts'
import { emptyState } from './repository-memory.ts'
import {
  decodeLogRow,
  decodeRepositoryRow,
  decodeVersion,
  decodeViewRow,
  encodePastVersion,
  idRange,
  parseViewKey,
  prefixRange,
  SPACES,
} from './rows.ts'
import type { RepositoryRow, ViewRow } from './rows.ts'
import { remakeState } from './state-rows.ts'

export interface MoveDeps {
  readonly rows: RowStore
  /** In the realm that the folder has come into. */
  readonly identity: Identity
  readonly clock: Clock
  readonly authority: Authority
  /** What is not here could be fetched from the old realm alone, and is left there. */
  readonly holds: (flist: FlistId) => boolean
}

/** How many names came over, and how many were left. */
export interface Moved {
  readonly names: number
  readonly left: number
}

/**
 * Goes on where it was broken off: each repository comes over in one batch, once. Before anybody else reads the rows.
 * `undefined` when nothing is to be moved.
 */
export async function moveContent(deps: MoveDeps): Promise<Moved | undefined> {
  const { rows, identity, clock } = deps
  const from = movingFrom(rows)
  if (from === undefined) return undefined
  const moving = new Moving(deps, new HybridClock(clock), await nextChange(rows))
  for await (const [id, row] of rows.rows(SPACES.repositories)) {
    const repository = decodeRepositoryRow(row)
    if (toHex(id) !== toHex(repositoryId(identity.realm, repository.name)))
      await moving.repository(id, repository)
  }
  await rows.write(movedChanges(from))
  return moving.moved
}

async function nextChange(rows: RowStore): Promise<number> {
  for await (const [key] of rows.rows(SPACES.changes, { reverse: true, limit: 1 })) return readU64be(key) + 1
  return 1
}

class Moving {
  readonly #deps: MoveDeps
  readonly #hybrid: HybridClock
  #nextChange: number
  moved: Moved = { names: 0, left: 0 }

  constructor(deps: MoveDeps, hybrid: HybridClock, next: number) {
    this.#deps = deps
    this.#hybrid = hybrid
    this.#nextChange = next
  }

  async repository(old: Uint8Array, { name, updatedS }: RepositoryRow): Promise<void> {
    const { rows, identity, authority } = this.#deps
    const state = emptyState(name, repositoryId(identity.realm, name))
    const { operations, left } = await this.#republished(name)
    const changes = await this.#retired(old)
    if (operations.length > 0) {
      const batch = logBatch(state, operations, {
        arrivedS: updatedS,
        nextChange: () => this.#nextChange++,
        limitsOf: (author, log) => authority.limitsOf(author, log),
      })
      changes.push(...batch.changes)
    }
    changes.push(...(await remakeState(rows, state, operations, authority)).changes)
    await rows.write(changes)
    this.moved = { names: this.moved.names + operations.length, left: this.moved.left + left }
  }

  /** One operation a name: each has a user of its own. */
  async #republished(name: string): Promise<{ operations: SignedOperation[]; left: number }> {
    const { rows, holds } = this.#deps
    const operations: SignedOperation[] = []
    let left = 0
    for await (const [key, row] of rows.rows(SPACES.view, prefixRange(fromUtf8(name)))) {
      const view = decodeViewRow(row)
      if (view.target.kind === 'file' && !holds(view.target.flist)) left++
      else operations.push(this.#republish(name, parseViewKey(key).key, view, operations.at(-1)))
    }
    return { operations, left }
  }

  #republish(
    repository: string,
    key: string,
    { operation, target, updatedS }: ViewRow,
    before: SignedOperation | undefined,
  ): SignedOperation {
    const { node, realm, incarnation, rootVersion } = this.#deps.identity
    return signOperation(
      {
        realm,
        repository,
        author: node.publicKey,
        incarnation,
        sequence: (before?.operation.sequence ?? 0) + 1,
        previous: before?.hash,
        time: this.#hybrid.next(),
        effects: [{ ...splitEffectKey(key), type: 'put', target, updatedS, supersedes: [] }],
        user: this.#userOf(operation),
        rootVersion,
      },
      node,
    )
  }

  #userOf(hash: Uint8Array): OperationUser {
    const { rows } = this.#deps
    const place = rows.get(SPACES.places, hash)
    const bytes = place && rows.get(SPACES.operations, concat([place, hash]))
    if (bytes === undefined)
      throw new CorruptError(toHex(hash), 'an operation that stands is not here: zhub fsck')
    return decodeOperation(bytes).operation.user
  }

  /** Takes the rows of a repository of the old realm out of what peers and lists read; versions become past ones. */
  async #retired(id: Uint8Array): Promise<RowChange[]> {
    const { rows, clock } = this.#deps
    const changes: RowChange[] = [drop(SPACES.repositories, id)]
    for await (const [key, row] of rows.rows(SPACES.logs, idRange(id))) {
      changes.push(drop(SPACES.logs, key), drop(SPACES.changes, u64be(decodeLogRow(row).change)))
      changes.push(...(await this.#retiredLog(key.subarray(id.length))))
    }
    for await (const [key, row] of rows.rows(SPACES.heads, idRange(id))) {
      const version = { ...decodeVersion(row), endedMs: Math.floor(clock()), wasInConflict: false }
      changes.push(drop(SPACES.heads, key), put(SPACES.past, key, encodePastVersion(version)))
    }
    return changes
  }

  async #retiredLog(log: Uint8Array): Promise<RowChange[]> {
    const { rows } = this.#deps
    const changes: RowChange[] = []
    for await (const [key, bytes] of rows.rows(SPACES.operations, idRange(log))) {
      const hash = key.subarray(-32)
      changes.push(drop(SPACES.operations, key), drop(SPACES.places, hash), put(SPACES.former, key, bytes))
      for await (const [superseded] of rows.rows(SPACES.superseded, idRange(hash))) {
        changes.push(drop(SPACES.superseded, superseded))
      }
    }
    return changes
  }
}

function put(space: Space, key: Uint8Array, value: Uint8Array): RowChange {
  return { type: 'put', space, key, value }
}

function drop(space: Space, key: Uint8Array): RowChange {
  return { type: 'delete', space, key }
}
