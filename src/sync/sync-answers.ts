import { createHash } from 'node:crypto'
import {
  MAX_HEADS,
  MAX_ITEMS,
  MAX_LOGS,
  MAX_OPERATIONS,
  MAX_OPERATIONS_BYTES,
} from '../format/sync-message.ts'
import type { Hello, LogEnd, RepositoryDigest, SyncRequest, SyncResponse } from '../format/sync-message.ts'
import { MAX_OBJECT_BYTES } from '../format/descriptor.ts'
import type { OperationReader } from '../repo/operation-reader.ts'
import { compareBytes, EMPTY, equalBytes } from '../util/bytes.ts'
import type { SyncAnswers } from './sync-server.ts'

/** Governance records as peers exchange them. */
export interface GovernanceRecords {
  /** Equal on nodes that hold the same ones; 32 bytes. */
  digest(): Uint8Array
  /** Hashes of all, in order. */
  hashes(): readonly Uint8Array[]
  get(hash: Uint8Array): Uint8Array | undefined
}

export interface SyncAnswersDeps {
  readonly realm: Uint8Array
  /** Of this run of the node, 16 random bytes: the numbers of its changes hold for one run, so that no backup put back can lie. */
  readonly database: Uint8Array
  readonly operations: OperationReader
  readonly governance: GovernanceRecords
  /** Over all repositories, as `stateDigest` makes it. */
  readonly state: () => Promise<Uint8Array>
  /** A descriptor or a page of a chunk list, by SHA-256. */
  readonly object: (id: Uint8Array) => Uint8Array | undefined
  readonly now: () => number
}

/** What this node tells its peers of what it holds. Every answer is bounded by the limits of its message. */
export function syncAnswers(deps: SyncAnswersDeps): SyncAnswers {
  return {
    hello: () => ownHello(deps),
    changes: (request) => changes(deps, request),
    repositories: async ({ after }) => {
      const items: RepositoryDigest[] = []
      for await (const { id, digest } of deps.operations.repositories(after)) {
        if (items.length === MAX_ITEMS) return { items, hasMore: true }
        items.push({ repository: id, digest })
      }
      return { items, hasMore: false }
    },
    logs: async ({ repository, after }) => {
      const name = deps.operations.repository(repository)?.name ?? ''
      const logs: LogEnd[] = []
      for await (const log of deps.operations.logsAfter(repository, after)) {
        if (logs.length === MAX_LOGS) return { name, logs, hasMore: true }
        logs.push({ ...log, heads: log.heads.slice(0, MAX_HEADS) })
      }
      return { name, logs, hasMore: false }
    },
    operations: (request) => operations(deps, request),
    objects: ({ ids }) => ({ items: within(ids, deps.object) }),
    governance: ({ after }) => {
      const rest = deps.governance.hashes().filter((hash) => compareBytes(hash, after) > 0)
      return { hashes: rest.slice(0, MAX_ITEMS), hasMore: rest.length > MAX_ITEMS }
    },
    records: ({ ids }) => ({ items: within(ids, (hash) => deps.governance.get(hash)) }),
  }
}

/** What this node says of itself. */
export async function ownHello(deps: SyncAnswersDeps): Promise<Hello> {
  return {
    realm: deps.realm,
    database: deps.database,
    change: await deps.operations.lastChange(),
    governance: deps.governance.digest(),
    state: await deps.state(),
    wallMs: Math.floor(deps.now()),
  }
}

/**
 * Over all repositories in order, 16 bytes: equal on nodes that hold the same operations. Made anew after a change;
 * `revision` grows with each.
 */
export function stateDigest(reader: OperationReader, revision: () => number): () => Promise<Uint8Array> {
  let known: { readonly revision: number; readonly digest: Uint8Array } | undefined
  return async () => {
    const now = revision()
    if (known?.revision === now) return known.digest
    const hash = createHash('sha256')
    for await (const { id, digest } of reader.repositories()) hash.update(id).update(digest)
    known = { revision: now, digest: hash.digest().subarray(0, 16) }
    return known.digest
  }
}

async function changes(
  { database, operations: reader }: SyncAnswersDeps,
  request: SyncRequest<'changes'>,
): Promise<SyncResponse<'changes'>> {
  const last = await reader.lastChange()
  if (!equalBytes(request.database, database) || request.since > last) {
    return { items: [], next: 0, hasMore: false, isReset: true }
  }
  const items: RepositoryDigest[] = []
  let next = request.since
  for await (const { number, repository } of reader.changes(request.since)) {
    if (items.length === MAX_ITEMS) return { items, next, hasMore: true, isReset: false }
    next = number
    const digest = reader.repository(repository)?.digest
    if (digest !== undefined) items.push({ repository, digest })
  }
  return { items, next, hasMore: false, isReset: false }
}

async function operations(
  { operations: reader }: SyncAnswersDeps,
  { log, from, skip }: SyncRequest<'operations'>,
): Promise<SyncResponse<'operations'>> {
  const items: Uint8Array[] = []
  let bytes = 0
  let left = skip
  for await (const operation of reader.operations(log, from)) {
    if (left-- > 0) continue
    if (items.length === MAX_OPERATIONS || bytes + operation.length > MAX_OPERATIONS_BYTES) {
      return { items, hasMore: true }
    }
    items.push(operation)
    bytes += operation.length
  }
  return { items, hasMore: false }
}

/** As many as one message takes, in order; nothing stands for what is not here. */
function within(ids: readonly Uint8Array[], read: (id: Uint8Array) => Uint8Array | undefined): Uint8Array[] {
  const items: Uint8Array[] = []
  let room = MAX_OBJECT_BYTES
  for (const id of ids) {
    const bytes = read(id) ?? EMPTY
    if (bytes.length > room) break
    // What stands before each byte string takes up to five bytes.
    room -= bytes.length + 5
    items.push(bytes)
  }
  return items
}
