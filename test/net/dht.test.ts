/** Finding each other over real sockets on 127.0.0.1. */
import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { Record } from '@libp2p/kad-dht'
import { multiaddr } from '@multiformats/multiaddr'
import { Connector } from '../../src/net/connector.ts'
import { Dht, KAD_PROTOCOL, ownKad, rendezvousKey } from '../../src/net/dht.ts'
import { createLibp2pNode } from '../../src/net/libp2p-node.ts'
import { openLibp2pHost } from '../../src/net/libp2p-host.ts'
import { keysOf } from '../../src/net/peer-key.ts'
import type { FoundPeer } from '../../src/net/search.ts'
import { startRendezvousServer } from '../../src/net/rendezvous-server.ts'
import { signingKey } from '../../src/format/ed25519.ts'
import { concat, equalBytes, toHex } from '../../src/util/bytes.ts'
import { SILENT } from '../../src/util/logger.ts'
import { systemScheduler } from '../../src/util/scheduler.ts'
import { MemoryPeerBook } from '../doubles/memory-peer-book.ts'

const REALM = new Uint8Array(32).fill(7)
const seedOf = (number: number) => new Uint8Array(32).fill(number)
const keyOf = (number: number) => signingKey(seedOf(number)).publicKey
const LISTEN = ['/ip4/127.0.0.1/tcp/0']

async function server(context: TestContext) {
  const opened = await startRendezvousServer({
    seed: randomBytes(32),
    listen: LISTEN,
    limits: { maxNewPerSecond: 100 },
  })
  context.after(() => opened.stop())
  return opened
}

/** A node that knows who its fellow members are, and of addresses only those of rendezvous nodes. */
async function node(
  context: TestContext,
  seed: number,
  members: readonly number[],
  bootstrap: readonly string[],
) {
  const isGuide = (peer: Uint8Array) => keysOf(bootstrap).some((key) => equalBytes(key, peer))
  const dht = new Dht({ scheduler: systemScheduler, log: SILENT }, { realm: REALM, isServer: true })
  const keys = members.map(keyOf)
  const host = await openLibp2pHost({
    seed: seedOf(seed),
    listen: LISTEN,
    admits: (peer) => keys.some((key) => equalBytes(key, peer)),
    admitsGuest: isGuide,
    maxNewPerSecond: 100,
    parts: [dht],
  })
  await host.start()
  dht.start()
  const connector = new Connector(
    {
      host,
      book: new MemoryPeerBook(),
      scheduler: systemScheduler,
      log: SILENT,
      members: () => keys.map((key) => ({ node: key, addresses: [] })),
      finders: [dht],
    },
    { peers: [], bootstrap },
  )
  const met = (other: number) =>
    new Promise<void>((resolve) => {
      const check = (peer: Uint8Array) => equalBytes(peer, keyOf(other)) && resolve()
      host.subscribe({ connected: check })
      for (const { key } of host.peers()) check(key)
    })
  const stop = async () => {
    await connector.stop()
    await dht.stop()
    await host.stop()
  }
  context.after(stop)
  return { host, dht, connector, met, stop }
}

describe('the DHT (security.md 20)', () => {
  it('lets two nodes that know only a rendezvous node find each other', async (context) => {
    const guide = await server(context)
    const a = await node(context, 1, [1, 2], guide.addresses())
    const b = await node(context, 2, [1, 2], guide.addresses())
    await Promise.all([a.connector.start(), b.connector.start()])
    await Promise.all([a.met(2), b.met(1)])
    // They go on without it, and what one of them holds the other learns from it.
    await guide.stop()
    const repository = createHash('sha256').update('a repository').digest()
    a.dht.provide([repository])
    let found: readonly FoundPeer[] = []
    while (found.length === 0) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      found = await b.dht.findKey(repository)
    }
    assert.deepEqual(
      found.map(({ peer }) => toHex(peer)),
      [toHex(keyOf(1))],
    )
  })

  it('names members only, whoever else says to be one', async (context) => {
    const guide = await server(context)
    const strangers = await Promise.all(
      [3, 4, 5].map((seed) => node(context, seed, [3, 4, 5], guide.addresses())),
    )
    for (const { host, dht } of strangers) {
      await host.connect(guide.addresses()[0] ?? '')
      await dht.find()
    }
    const a = await node(context, 1, [1, 2], guide.addresses())
    await a.host.connect(guide.addresses()[0] ?? '')
    assert.deepEqual(await a.dht.find(), [])
  })

  it('keeps no values, whatever they are called', async (context) => {
    const guide = await server(context)
    const { libp2p } = await createLibp2pNode({
      seed: seedOf(9),
      listen: [],
      admits: () => true,
      parts: [{ services: () => ({ dht: ownKad(false) }), attach: () => {} }],
    })
    await libp2p.start()
    context.after(() => libp2p.stop())
    const { remotePeer } = await libp2p.dial(multiaddr(guide.addresses()[0] ?? ''))
    for (const name of ['/pk/x', '/constructor/x', '/toString/x', '/other/x']) {
      const key = Buffer.from(name)
      const record = new Record(key, Buffer.from('value'), new Date()).serialize()
      const stream = await libp2p.dialProtocol(remotePeer, KAD_PROTOCOL)
      // PUT_VALUE of the DHT's protobuf, and its length: type 0, key 2, record 3.
      const message = concat([
        Buffer.of(8, 0, 18, key.length),
        key,
        Buffer.of(26, record.length),
        record.subarray(),
      ])
      stream.send(concat([Buffer.of(message.length), message]))
      const ended = new Promise<Error | undefined>((resolve) =>
        stream.addEventListener('close', ({ error }) => resolve(error)),
      )
      stream.addEventListener('message', () => assert.fail(`${name} was kept`))
      assert.ok((await ended) instanceof Error, name)
    }
  })

  it('leaves nothing behind when it stops', async (context) => {
    const guide = await server(context)
    const before = process.getActiveResourcesInfo().filter((name) => /TCP|Timeout/.test(name)).length
    const a = await node(context, 1, [1], guide.addresses())
    await a.connector.start()
    await a.dht.find().catch(() => {})
    await a.stop()
    const isClean = () =>
      process.getActiveResourcesInfo().filter((name) => /TCP|Timeout/.test(name)).length <= before
    for (let turn = 0; turn < 50 && !isClean(); turn++)
      await new Promise((resolve) => setTimeout(resolve, 100))
    assert.ok(isClean(), process.getActiveResourcesInfo().join(' '))
  })

  it('has a key for each realm', () => {
    assert.equal(
      toHex(rendezvousKey(REALM)),
      createHash('sha256').update('zhub-rdv').update(REALM).update(Buffer.of(0)).digest('hex'),
    )
    assert.notEqual(toHex(rendezvousKey(REALM)), toHex(rendezvousKey(REALM, 1)))
  })
})
