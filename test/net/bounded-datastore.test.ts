import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { peerIdOf } from '../../src/net/peer-key.ts'
import { BoundedDatastore } from '../../src/net/bounded-datastore.ts'
import { signingKey } from '../../src/format/ed25519.ts'
import { ForbiddenError, LimitError } from '../../src/errors.ts'

type Key = ReturnType<BoundedDatastore['put']>

const idOf = (number: number) => peerIdOf(signingKey(new Uint8Array(32).fill(number)).publicKey)
/** Only its spelling is ever looked at. */
const key = (name: string) => ({ toString: () => name }) as unknown as Key
const peer = (number: number) => key(`/peers/${idOf(number).toCID().toString()}`)
const record = (of: string, number: number) => key(`/dht/provider/${of}/${idOf(number)}`)
const VALUE = Buffer.of(1)
const LIMITS = { maxPeers: 3, maxRecords: 5, maxRecordsOfKey: 2, maxRecordsOfPeer: 2 }

function open(limits: Partial<typeof LIMITS> = {}): BoundedDatastore {
  return new BoundedDatastore(String(idOf(1)), { ...LIMITS, ...limits })
}
const names = (store: BoundedDatastore, prefix: string) =>
  [...store.query({ prefix })].map(({ key: name }) => name.toString())

describe('what libp2p remembers (security.md 20)', () => {
  it('comes back until it is deleted', () => {
    const store = open()
    store.put(peer(1), VALUE)
    store.put(peer(2), Buffer.of(2))
    assert.deepEqual(store.get(peer(2)), Buffer.of(2))
    assert.deepEqual(names(store, '/peers/'), [String(peer(1)), String(peer(2))])
    store.delete(peer(2))
    assert.ok(!store.has(peer(2)))
    assert.throws(() => store.get(peer(2)), { name: 'NotFoundError' })
  })

  it('is so many peers, the oldest out first, but never this node itself', () => {
    const store = open()
    for (const number of [1, 2, 3]) store.put(peer(number), VALUE)
    store.put(peer(2), VALUE)
    store.put(peer(4), VALUE)
    store.put(peer(5), VALUE)
    assert.deepEqual(names(store, '/peers'), [peer(1), peer(4), peer(5)].map(String))
  })

  it('is so many provider records, for a key and in all, the oldest out first; a provider has its share', () => {
    const store = open({ maxPeers: 10 })
    for (const number of [1, 2, 3, 4, 5, 6]) store.put(peer(number), VALUE)
    store.put(record('a', 2), VALUE)
    store.put(record('b', 2), VALUE)
    assert.throws(() => store.put(record('c', 2), VALUE), LimitError)
    store.put(record('a', 2), VALUE)
    store.put(record('a', 3), VALUE)
    store.put(record('a', 4), VALUE)
    assert.deepEqual(names(store, '/dht/provider/a'), [record('a', 3), record('a', 4)].map(String))
    store.put(record('c', 5), VALUE)
    store.put(record('d', 5), VALUE)
    store.put(record('e', 6), VALUE)
    assert.equal(names(store, '/dht').length, 5)
    assert.ok(store.has(record('e', 6)))
    store.put(record('c', 2), VALUE)
    assert.ok(store.has(record('c', 2)), 'what was dropped no longer counts')
  })

  it('names no provider whose addresses it does not know', () => {
    const store = open()
    store.put(record('a', 2), VALUE)
    assert.deepEqual(names(store, '/dht/provider/a'), [])
    store.put(peer(2), VALUE)
    assert.equal(names(store, '/dht/provider/a').length, 1)
  })

  it('is nothing else, and nothing large', () => {
    const store = open()
    for (const name of ['/dht/record/x', '/other/x', '/x', '']) {
      assert.throws(() => store.put(key(name), VALUE), ForbiddenError)
    }
    assert.throws(() => store.put(peer(2), new Uint8Array(20_000)), LimitError)
  })

  it('changes in batches', () => {
    const store = open()
    const batch = store.batch()
    batch.put(peer(2), VALUE)
    assert.ok(!store.has(peer(2)))
    void batch.commit()
    assert.ok(store.has(peer(2)))
  })
})
