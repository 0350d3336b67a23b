import { CorruptError, HubError } from '../errors.ts'
import type { SignedRoot } from '../format/root-document.ts'
import type { RowChange, RowStore } from '../store/row-store.ts'
import { concat, equalBytes, fromUtf8, toHex } from '../util/bytes.ts'
import { Mutex } from '../util/mutex.ts'
import type { AbortOptions } from '../util/units.ts'
import { judgedAnew } from './governance.ts'
import type { Governance } from './governance.ts'
import { decodeItem, GovernanceSet } from './governance-set.ts'
import type { GovernanceItem } from './governance-set.ts'
import { governanceKey, governanceRange, isOldGovernanceKey, SPACES } from './rows.ts'

/** What becomes part of the governance, and other rows that go into the same batch. */
export interface RealmAct {
  readonly records: readonly Uint8Array[]
  readonly also?: readonly RowChange[]
}

/** Called with the nodes whose operations must be judged anew. */
export type RealmListener = (nodes: readonly Uint8Array[]) => void

const UNJUDGED = fromUtf8('unjudged')
const KEY_BYTES = 32

/**
 * The realm that this node is in, as far as it knows: root documents and records, kept in rows. What is here is synced
 * before it counts, and never goes away.
 */
export class Realm {
  readonly #rows: RowStore
  readonly #listeners = new Set<RealmListener>()
  readonly #turn = new Mutex()
  #set: GovernanceSet

  constructor(rows: RowStore, set: GovernanceSet) {
    this.#rows = rows
    this.#set = set
  }

  /** 32 bytes. */
  get id(): Uint8Array {
    return this.#set.id
  }

  /** It was given a name, or has had other members: nodes meet. A node's first realm is its own, and nobody else's. */
  get isShared(): boolean {
    const { name, members } = this.governance
    return name !== '' || members.length > 1
  }

  /** The root document that made it. */
  get first(): SignedRoot {
    return this.#set.first
  }

  get governance(): Governance {
    return this.#set.governance
  }

  /** Equal on nodes that hold the same root documents and records; 32 bytes. */
  digest(): Uint8Array {
    return this.#set.digest()
  }

  /** Of all root documents and records, in order. */
  hashes(): readonly Uint8Array[] {
    return this.#set.hashes()
  }

  get(hash: Uint8Array): Uint8Array | undefined {
    return this.#set.get(hash)
  }

  items(): Iterable<GovernanceItem> {
    return this.#set.items()
  }

  /**
   * Keeps what a peer sent: all of it, in any order, or nothing. Answers the nodes whose operations must be judged
   * anew, which listeners hear too.
   * @throws {MalformedError | LimitError | ForbiddenError} when the peer sends what must not be kept.
   */
  async receive(
    records: readonly Uint8Array[],
    { signal }: AbortOptions = {},
  ): Promise<readonly Uint8Array[]> {
    return this.act(() => {
      signal?.throwIfAborted()
      return { records }
    })
  }

  /** Does what `decide` makes of the governance as it is, one after the other. As `receive`. */
  async act(decide: (governance: Governance) => RealmAct): Promise<readonly Uint8Array[]> {
    return this.#turn.run(async () => {
      const { records, also = [] } = decide(this.governance)
      const items = this.#set.sift(records)
      if (items.length === 0 && also.length === 0) return []
      const next = this.#set.with(items)
      const nodes = judgedAnew(this.governance, next.governance)
      await this.#rows.write([
        ...items.map((item) => itemChange(this.id, item)),
        ...this.#due(nodes),
        ...also,
      ])
      this.#set = next
      if (items.length > 0) for (const listener of this.#listeners) listener(nodes)
      return nodes
    })
  }

  /** Tells of each change, once it counts. Answers how to end that. */
  subscribe(listener: RealmListener): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Nodes whose operations have not been judged anew since governance changed, also before a restart. */
  unjudged(): readonly Uint8Array[] {
    const row = this.#rows.get(SPACES.own, UNJUDGED)
    if (row === undefined) return []
    return Array.from({ length: row.length / KEY_BYTES }, (_, at) =>
      row.subarray(at * KEY_BYTES, (at + 1) * KEY_BYTES),
    )
  }

  /** Their operations have been judged by the governance that had this digest; it may be another by now. */
  async setJudged(nodes: readonly Uint8Array[], digest: Uint8Array): Promise<void> {
    await this.#turn.run(async () => {
      if (!equalBytes(digest, this.digest())) return
      const left = this.unjudged().filter((node) => !nodes.some((one) => equalBytes(one, node)))
      await this.#rows.write([unjudgedChange(left)])
    })
  }

  #due(nodes: readonly Uint8Array[]): RowChange[] {
    if (nodes.length === 0) return []
    return [unjudgedChange([...this.unjudged(), ...nodes])]
  }
}

function unjudgedChange(nodes: readonly Uint8Array[]): RowChange {
  const unique = [...new Map(nodes.map((node) => [toHex(node), node])).values()]
  if (unique.length === 0) return { type: 'delete', space: SPACES.own, key: UNJUDGED }
  return { type: 'put', space: SPACES.own, key: UNJUDGED, value: concat(unique) }
}

/** The row of a root document or record. */
export function itemChange(
  realm: Uint8Array,
  { hash, bytes }: Pick<GovernanceItem, 'hash' | 'bytes'>,
): RowChange {
  return { type: 'put', space: SPACES.governance, key: governanceKey(realm, hash), value: bytes }
}

/**
 * Reads a realm from its rows. Rows of the first releases, which had one realm and named them otherwise, are renamed.
 * @throws {CorruptError} when its first root document is not there, or a row is not what was written.
 */
export async function openRealm(rows: RowStore, id: Uint8Array): Promise<Realm> {
  const items: GovernanceItem[] = []
  for await (const [, bytes] of rows.rows(SPACES.governance, governanceRange(id))) items.push(readRow(bytes))
  const renamed: RowChange[] = []
  for await (const [key, bytes] of rows.rows(SPACES.governance)) {
    if (!isOldGovernanceKey(key)) continue
    const item = readRow(bytes)
    items.push(item)
    renamed.push(itemChange(id, item), { type: 'delete', space: SPACES.governance, key })
  }
  if (renamed.length > 0) await rows.write(renamed)
  const first = items.find((item) => 'root' in item && equalBytes(item.id, id))
  if (first === undefined || !('root' in first)) {
    throw new CorruptError(toHex(id), 'the first root document of the realm is not in this index')
  }
  return new Realm(rows, new GovernanceSet(first, items))
}

function readRow(bytes: Uint8Array): GovernanceItem {
  try {
    return decodeItem(bytes)
  } catch (cause) {
    if (!(cause instanceof HubError)) throw cause
    throw new CorruptError('gov', `a row of the realm is damaged: ${cause.message}`, { cause })
  }
}
