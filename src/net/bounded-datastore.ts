import { NotFoundError } from '@libp2p/interface'
import { peerIdFromString } from '@libp2p/peer-id'
import type { Libp2pOptions } from 'libp2p'
import { ForbiddenError, LimitError } from '../errors.ts'
import { KIB } from '../util/units.ts'

type Datastore = NonNullable<Libp2pOptions['datastore']>
type Key = Parameters<Datastore['get']>[0]
type Query = Parameters<Datastore['query']>[0]
interface Pair {
  readonly key: Key
  readonly value: Uint8Array
}

export interface DatastoreLimits {
  readonly maxPeers: number
  /** Provider records in all, for one key, and of one provider. */
  readonly maxRecords: number
  readonly maxRecordsOfKey: number
  readonly maxRecordsOfPeer: number
}

/** What libp2p calls its entries: `/peers/<cid>`, `/dht/provider/<key>/<peer id>`. */
const PEERS = '/peers'
const PROVIDERS = '/dht/provider/'
/** A peer with its addresses and protocols. */
const MAX_VALUE_BYTES = 16 * KIB

/**
 * What libp2p remembers, in memory: peers and provider records, so many and not more, and nothing else. Others write
 * here: the DHT would keep whatever a stranger puts under a name like `/constructor/x`.
 */
export class BoundedDatastore implements Datastore {
  readonly #limits: DatastoreLimits
  /** Never dropped for want of room: this node's own. */
  readonly #own: string
  /** By the name before the last slash, oldest first. */
  readonly #folders = new Map<string, Map<string, Pair>>()
  readonly #recordsOfPeer = new Map<string, number>()
  #records = 0

  constructor(own: string, limits: DatastoreLimits) {
    this.#own = `${PEERS}/${peerIdFromString(own).toCID().toString()}`
    this.#limits = limits
  }

  /** @throws {LimitError | ForbiddenError} and keeps nothing. */
  put(key: Key, value: Uint8Array): Key {
    const name = key.toString()
    const [folder, entry] = split(name)
    if (value.length > MAX_VALUE_BYTES) throw new LimitError('an entry', MAX_VALUE_BYTES, 'bytes')
    const isPeer = folder === PEERS
    if (!isPeer && !folder.startsWith(PROVIDERS)) throw new ForbiddenError(`nothing is kept as ${folder}`)
    const isNew = this.#folders.get(folder)?.has(entry) !== true
    if (isNew && isPeer) this.#makeRoomForPeer()
    if (isNew && !isPeer) this.#makeRoomForRecord(folder, entry)
    const entries = this.#folders.get(folder) ?? new Map<string, Pair>()
    entries.delete(entry) // so that it becomes the youngest
    this.#folders.set(folder, entries.set(entry, { key, value }))
    return key
  }

  get(key: Key): Uint8Array {
    const [folder, entry] = split(key.toString())
    const pair = this.#folders.get(folder)?.get(entry)
    if (pair === undefined) throw new NotFoundError(`no ${key.toString()}`)
    return pair.value
  }

  has(key: Key): boolean {
    const [folder, entry] = split(key.toString())
    return this.#folders.get(folder)?.has(entry) === true
  }

  delete(key: Key): void {
    const [folder, entry] = split(key.toString())
    const entries = this.#folders.get(folder)
    if (entries?.delete(entry) !== true) return
    if (entries.size === 0) this.#folders.delete(folder)
    if (folder !== PEERS) {
      this.#records--
      this.#countOf(entry, -1)
    }
  }

  async *putMany(source: Iterable<Pair> | AsyncIterable<Pair>): AsyncGenerator<Key> {
    for await (const { key, value } of source) yield this.put(key, value)
  }

  async *getMany(source: Iterable<Key> | AsyncIterable<Key>): AsyncGenerator<Pair> {
    for await (const key of source) yield { key, value: this.get(key) }
  }

  async *deleteMany(source: Iterable<Key> | AsyncIterable<Key>): AsyncGenerator<Key> {
    for await (const key of source) {
      this.delete(key)
      yield key
    }
  }

  batch(): ReturnType<Datastore['batch']> {
    const changes: Array<() => void> = []
    return {
      put: (key, value) => void changes.push(() => void this.put(key, value)),
      delete: (key) => void changes.push(() => this.delete(key)),
      commit: () => {
        for (const change of changes.splice(0)) change()
      },
    }
  }

  *query({ prefix = '', filters = [], orders = [], offset = 0, limit = Infinity }: Query): Generator<Pair> {
    let found = this.#below(prefix).filter((pair) => filters.every((filter) => filter(pair)))
    for (const order of orders) found = found.sort(order)
    yield* found.slice(offset, offset + limit)
  }

  *queryKeys({
    prefix = '',
    filters = [],
    orders = [],
    offset = 0,
    limit = Infinity,
  }: KeyQuery): Generator<Key> {
    let found = this.#below(prefix)
      .map(({ key }) => key)
      .filter((key) => filters.every((filter) => filter(key)))
    for (const order of orders) found = found.sort(order)
    yield* found.slice(offset, offset + limit)
  }

  /** Of providers those whose addresses are known: libp2p fails to answer at all for one of them that is not. */
  #below(prefix: string): Pair[] {
    const folder = prefix.replace(/\/$/, '')
    const exact = this.#folders.get(folder)
    const all = exact === undefined ? this.#under(prefix) : [...exact.values()]
    if (exact === undefined || folder === PEERS) return all
    return all.filter(({ key }) => this.#isPeerKnown(split(key.toString())[1]))
  }

  #under(prefix: string): Pair[] {
    return [...this.#folders.values()].flatMap((entries) =>
      [...entries.values()].filter(({ key }) => key.toString().startsWith(prefix)),
    )
  }

  #isPeerKnown(id: string): boolean {
    try {
      return this.#folders.get(PEERS)?.has(peerIdFromString(id).toCID().toString()) === true
    } catch {
      return false
    }
  }

  #makeRoomForPeer(): void {
    const peers = this.#folders.get(PEERS) ?? new Map<string, Pair>()
    if (peers.size < this.#limits.maxPeers) return
    for (const { key } of peers.values()) {
      if (key.toString() === this.#own) continue
      this.delete(key)
      return
    }
  }

  #makeRoomForRecord(folder: string, provider: string): void {
    const { maxRecords, maxRecordsOfKey, maxRecordsOfPeer } = this.#limits
    if ((this.#recordsOfPeer.get(provider) ?? 0) >= maxRecordsOfPeer) {
      throw new LimitError('records of one provider', maxRecordsOfPeer, 'records')
    }
    const ofKey = this.#folders.get(folder)
    if (ofKey !== undefined && ofKey.size >= maxRecordsOfKey) this.#deleteOldest(ofKey)
    else if (this.#records >= maxRecords) {
      const [oldest] = [...this.#folders].find(([name]) => name !== PEERS) ?? []
      this.#deleteOldest(this.#folders.get(oldest ?? ''))
    }
    this.#records++
    this.#countOf(provider, 1)
  }

  #deleteOldest(entries: ReadonlyMap<string, Pair> | undefined): void {
    const [pair] = entries?.values() ?? []
    if (pair !== undefined) this.delete(pair.key)
  }

  #countOf(provider: string, more: 1 | -1): void {
    const count = (this.#recordsOfPeer.get(provider) ?? 0) + more
    if (count > 0) this.#recordsOfPeer.set(provider, count)
    else this.#recordsOfPeer.delete(provider)
  }
}

type KeyQuery = Parameters<Datastore['queryKeys']>[0]

function split(name: string): [folder: string, entry: string] {
  const at = name.lastIndexOf('/')
  return [name.slice(0, at), name.slice(at + 1)]
}
