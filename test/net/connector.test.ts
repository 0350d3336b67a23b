/** Who is called when, on a simulated network: no time passes but the simulation's. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { Connector } from '../../src/net/connector.ts'
import type { ConnectorOptions } from '../../src/net/connector.ts'
import type { RealmMember } from '../../src/net/contacts.ts'
import type { Finder } from '../../src/net/search.ts'
import { toHex } from '../../src/util/bytes.ts'
import { SILENT } from '../../src/util/logger.ts'
import { MINUTE_MS, SECOND_MS } from '../../src/util/units.ts'
import type { AbortOptions } from '../../src/util/units.ts'
import { MemoryPeerBook } from '../doubles/memory-peer-book.ts'
import { SimulatedHost, SimulatedNetwork } from '../doubles/simulated-network.ts'
import { Simulation } from '../doubles/simulation.ts'

/** A host that notes whom it calls, and can be made to wait for ever on some. */
class WatchedHost extends SimulatedHost {
  readonly calls: Array<{ readonly to: string; readonly atMs: number }> = []
  readonly silent = new Set<string>()
  underWay = 0
  mostUnderWay = 0

  override async connect(address: string, options: AbortOptions = {}): Promise<Uint8Array> {
    return await this.#watched(address, options, () => super.connect(address))
  }

  override async reach(peer: Uint8Array, options: AbortOptions = {}): Promise<void> {
    await this.#watched(addressOf(peer), options, async () => {
      if (this.learntOf(peer).length === 0) assert.fail('called without an address')
      await super.connect(this.learntOf(peer)[0] ?? '')
    })
  }

  async #watched<T>(address: string, { signal }: AbortOptions, work: () => Promise<T>): Promise<T> {
    this.calls.push({ to: address, atMs: this.network.simulation.now() })
    this.mostUnderWay = Math.max(this.mostUnderWay, ++this.underWay)
    try {
      if (this.silent.has(address)) await this.network.simulation.sleep(10 * MINUTE_MS, { signal })
      else await this.network.simulation.sleep(20)
      return await work()
    } finally {
      this.underWay--
    }
  }
}

const keyOf = (number: number) => {
  const key = new Uint8Array(32).fill(1)
  key[0] = number & 255
  key[1] = number >> 8
  return key
}
const addressOf = (key: Uint8Array) => `/sim/${toHex(key)}`

class Realm {
  readonly simulation: Simulation
  readonly network: SimulatedNetwork
  readonly hosts: WatchedHost[]
  members: RealmMember[]
  readonly #context: TestContext

  constructor(context: TestContext, count: number, { areNamed = true, seed = 1 } = {}) {
    this.#context = context
    this.simulation = new Simulation(seed)
    this.network = new SimulatedNetwork(this.simulation)
    this.hosts = Array.from({ length: count }, (_, at) =>
      this.network.add(new WatchedHost(this.network, keyOf(at + 1))),
    )
    this.members = this.hosts.map(({ key }) => ({ node: key, addresses: areNamed ? [addressOf(key)] : [] }))
  }

  host(at: number): WatchedHost {
    const host = this.hosts[at]
    assert.ok(host)
    return host
  }

  async start(
    at: number,
    options: Partial<ConnectorOptions> & { finders?: Finder[]; book?: MemoryPeerBook } = {},
  ): Promise<Connector> {
    const { finders = [], book = new MemoryPeerBook(), ...rest } = options
    const host = this.host(at)
    await host.start()
    const deps = { host, book, scheduler: this.simulation, log: SILENT, members: () => this.members, finders }
    const connector = new Connector(deps, { peers: [], bootstrap: [], ...rest })
    await connector.start()
    this.#context.after(() => connector.stop())
    return connector
  }

  neighbours(at: number): string[] {
    return this.host(at)
      .peers()
      .map(({ key }) => toHex(key))
      .sort()
  }

  /** Of those that run, how many parts there are that know nothing of each other. */
  parts(): number {
    const unseen = new Map(
      this.hosts.filter(({ isRunning }) => isRunning).map((host) => [toHex(host.key), host]),
    )
    let parts = 0
    for (const first of [...unseen.values()]) {
      if (!unseen.delete(toHex(first.key))) continue
      parts++
      const open = [first]
      for (let host = open.pop(); host !== undefined; host = open.pop()) {
        for (const { key } of host.peers()) {
          const next = unseen.get(toHex(key))
          if (next !== undefined && unseen.delete(toHex(key))) open.push(next)
        }
      }
    }
    return parts
  }
}

describe('the connector', () => {
  it('connects with all members of a small realm, and never calls itself', async (context) => {
    const realm = new Realm(context, 5)
    const statics = realm.hosts.map(({ key }) => addressOf(key))
    for (let at = 0; at < 5; at++) await realm.start(at, { peers: statics })
    await realm.simulation.run(5 * SECOND_MS)
    for (let at = 0; at < 5; at++) {
      assert.equal(realm.neighbours(at).length, 4)
      assert.ok(!realm.host(at).calls.some(({ to }) => to === addressOf(realm.host(at).key)))
    }
    const calls = realm.hosts.reduce((sum, host) => sum + host.calls.length, 0)
    await realm.simulation.run(10 * MINUTE_MS)
    assert.equal(
      realm.hosts.reduce((sum, host) => sum + host.calls.length, 0),
      calls,
      'who is connected is not called again',
    )
  })

  it('finds out that a static address is its own, and leaves it alone', async (context) => {
    const realm = new Realm(context, 1)
    const host = realm.host(0)
    host.addresses = () => ['/sim/elsewhere']
    await realm.start(0, { peers: [addressOf(host.key)] })
    await realm.simulation.run(10 * MINUTE_MS)
    assert.equal(host.calls.length, 1)
    assert.equal(host.peers().length, 0)
  })

  it('keeps where it met somebody, and finds them again from that alone', async (context) => {
    const realm = new Realm(context, 2, { areNamed: false })
    const book = new MemoryPeerBook()
    await realm.host(1).start()
    const first = await realm.start(0, { peers: [addressOf(keyOf(2))], book })
    await realm.simulation.run(5 * SECOND_MS)
    assert.deepEqual(realm.neighbours(0), [toHex(keyOf(2))])
    await first.stop()
    await realm.host(0).stop()
    await realm.simulation.run(MINUTE_MS)
    await realm.start(0, { book })
    await realm.simulation.run(5 * SECOND_MS)
    assert.deepEqual(realm.neighbours(0), [toHex(keyOf(2))])
    const [known] = await book.all()
    assert.deepEqual(known?.addresses, [addressOf(keyOf(2))])
  })

  it('calls who is not there less and less often, and is there soon after they are', async (context) => {
    const realm = new Realm(context, 3)
    const host = realm.host(0)
    await realm.start(0, { peers: [addressOf(keyOf(2))] })
    await realm.simulation.run(10 * MINUTE_MS)
    const calls = host.calls.filter(({ to }) => to === addressOf(keyOf(3))).map(({ atMs }) => atMs)
    const pauses = calls.slice(1).map((atMs, at) => atMs - (calls[at] ?? 0))
    assert.ok(
      pauses.every((ms) => ms >= SECOND_MS / 2 && ms <= MINUTE_MS + SECOND_MS),
      String(pauses),
    )
    assert.ok(calls.length > 12 && calls.length < 30, `${calls.length} calls in ten minutes`)
    assert.ok(new Set(pauses).size > 5, 'there is chance in it')

    // One comes back: the other is tried within moments, too.
    await realm.host(1).start()
    await realm.host(2).start()
    await realm.simulation.run(MINUTE_MS)
    const times = host.peers().map(({ sinceMs }) => sinceMs)
    assert.equal(times.length, 2)
    assert.ok(Math.abs((times[0] ?? 0) - (times[1] ?? 0)) <= 2500, String(times))
  })

  it('does not hang on who never answers, and calls few at a time', async (context) => {
    const realm = new Realm(context, 12)
    for (let at = 1; at < 12; at++) await realm.host(at).start()
    const host = realm.host(0)
    for (let number = 2; number <= 8; number++) host.silent.add(addressOf(keyOf(number)))
    const connector = await realm.start(0)
    await realm.simulation.run(45 * SECOND_MS)
    assert.equal(realm.neighbours(0).length, 4)
    assert.ok(host.mostUnderWay <= 4, `${host.mostUnderWay} calls at once`)
    const hanging = connector.contacts().filter(({ failure }) => failure !== undefined)
    assert.equal(hanging.length, 7)
    assert.match(hanging[0]?.failure ?? '', /no answer within 10 s/)
    const stopping = connector.stop()
    await realm.simulation.run(0)
    await stopping
    assert.equal(host.underWay, 0, 'stopping ends what is under way')
  })

  it('wants few neighbours of many members, without a storm, and all hang together', async (context) => {
    const realm = new Realm(context, 200)
    for (let at = 0; at < 200; at++) await realm.start(at)
    await realm.simulation.run(2 * MINUTE_MS)
    const counts = realm.hosts.map((host) => host.peers().length)
    assert.ok(Math.min(...counts) >= 16, `somebody has ${Math.min(...counts)} neighbours`)
    assert.ok(Math.max(...counts) <= 60, `somebody has ${Math.max(...counts)} neighbours`)
    const calls = realm.hosts.reduce((sum, host) => sum + host.calls.length, 0)
    assert.ok(calls < 200 * 24, `${calls} calls`)
    assert.equal(realm.parts(), 1)
  })

  it('does not gather neighbours without end', async (context) => {
    const realm = new Realm(context, 40)
    for (let at = 0; at < 40; at++) await realm.start(at, { neighbours: 4 })
    await realm.simulation.run(60 * MINUTE_MS)
    const counts = realm.hosts.map((host) => host.peers().length)
    assert.ok(Math.max(...counts) <= 16, `somebody has ${Math.max(...counts)} neighbours`)
    assert.equal(realm.parts(), 1)
  })

  it('joins two halves of a large realm that were apart long enough to forget each other', async (context) => {
    const realm = new Realm(context, 60)
    const isLeft = (at: number) => at < 30
    const across = (what: 'cut' | 'heal') => {
      for (let a = 0; a < 60; a++)
        for (let b = 0; b < a; b++)
          if (isLeft(a) !== isLeft(b)) realm.network[what](realm.host(a).key, realm.host(b).key)
    }
    for (let at = 0; at < 60; at++) await realm.start(at, { neighbours: 6 })
    await realm.simulation.run(MINUTE_MS)
    across('cut')
    await realm.simulation.run(30 * MINUTE_MS)
    assert.equal(realm.parts(), 2)
    assert.ok(realm.hosts.every((host) => host.peers().length >= 6))
    across('heal')
    await realm.simulation.run(30 * SECOND_MS)
    assert.equal(realm.parts(), 1)
  })

  it('replaces a neighbour that is lost', async (context) => {
    const realm = new Realm(context, 10)
    for (let at = 1; at < 10; at++) await realm.host(at).start()
    await realm.start(0, { neighbours: 3 })
    await realm.simulation.run(10 * SECOND_MS)
    const before = realm.neighbours(0)
    assert.equal(before.length, 3)
    await realm.hosts.find(({ key }) => toHex(key) === before[0])?.stop()
    await realm.simulation.run(5 * SECOND_MS)
    assert.equal(realm.neighbours(0).length, 3)
    assert.ok(!realm.neighbours(0).includes(before[0] ?? ''))
  })

  it('takes a connection that breaks at once for no connection', async (context) => {
    const realm = new Realm(context, 2)
    await realm.host(1).start()
    const host = realm.host(0)
    host.subscribe({ connected: (peer) => realm.simulation.after(5, () => void host.disconnect(peer)) })
    await realm.start(0)
    await realm.simulation.run(10 * MINUTE_MS)
    assert.ok(host.calls.length < 30, `${host.calls.length} calls in ten minutes`)
  })

  it('follows the membership', async (context) => {
    const realm = new Realm(context, 3)
    const book = new MemoryPeerBook()
    await realm.host(1).start()
    const connector = await realm.start(0, { book })
    await realm.simulation.run(MINUTE_MS)
    assert.equal(book.known.size, 1)
    realm.members = realm.members.filter(({ node }) => toHex(node) !== toHex(keyOf(2)))
    await connector.review()
    assert.equal(book.known.size, 0)
    await realm.host(0).disconnect(keyOf(2))
    const calls = realm.host(0).calls.length
    await realm.host(2).start()
    await realm.simulation.run(2 * MINUTE_MS)
    assert.deepEqual(realm.neighbours(0), [toHex(keyOf(3))])
    assert.ok(
      !realm
        .host(0)
        .calls.slice(calls)
        .some(({ to }) => to === addressOf(keyOf(2))),
    )
  })

  it('looks for members while some are missing, and tries what it is told of members only', async (context) => {
    const realm = new Realm(context, 4, { areNamed: false })
    realm.members = realm.members.slice(0, 3)
    for (const at of [1, 2, 3]) await realm.host(at).start()
    const searches: number[] = []
    const junk = Array.from({ length: 50 }, (_, at) => `/sim/${toHex(keyOf(100 + at))}`)
    const finder: Finder = {
      find: async () => {
        searches.push(realm.simulation.now())
        return [
          { peer: keyOf(2), addresses: [addressOf(keyOf(2))] },
          { peer: keyOf(3), addresses: junk },
          { peer: keyOf(4), addresses: [addressOf(keyOf(4))] },
          { peer: keyOf(1), addresses: [addressOf(keyOf(2))] },
        ]
      },
    }
    const failing: Finder = { find: () => Promise.reject(new Error('no DHT today')) }
    const connector = await realm.start(0, { finders: [failing, finder], bootstrap: ['/sim/nobody'] })
    await realm.simulation.run(30 * MINUTE_MS)
    assert.deepEqual(realm.neighbours(0), [toHex(keyOf(2))])
    assert.ok(searches.length >= 6 && searches.length <= 20, `${searches.length} searches in half an hour`)
    const told = connector.contacts().find(({ peer }) => peer && toHex(peer) === toHex(keyOf(3)))
    assert.ok((told?.addresses.length ?? 99) <= 4, 'hints have few places')
    assert.ok(!realm.host(0).calls.some(({ to }) => to === addressOf(keyOf(4))), 'a stranger is not called')
  })
})
