import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ChunkPlan } from '../../src/sync/chunk-plan.ts'
import type { FetchEffect, FetchEvent } from '../../src/sync/chunk-plan.ts'
import type { Want } from '../../src/sync/wants.ts'
import { KIB, MIB } from '../../src/util/units.ts'
import { Simulation } from '../doubles/simulation.ts'

/** A peer of the test: what it has, how fast it is, and how it behaves. */
interface TestPeer {
  readonly name: string
  readonly has: ReadonlySet<string>
  readonly bytesPerMs: number
  readonly kind: 'honest' | 'dead' | 'liar'
}

function wants(count: number, lengthBytes = 256 * KIB): Want[] {
  return Array.from({ length: count }, (_, at) => ({ key: `c${at}`, lengthBytes }))
}

/** Runs a plan against peers in virtual time, and keeps what came of it. */
class Swarm {
  readonly simulation: Simulation
  readonly plan: ChunkPlan
  readonly got = new Map<string, { peer: string; atMs: number }>()
  readonly sentBytes = new Map<string, number>()
  readonly refused = new Set<string>()
  outstanding = 0
  mostOutstanding = 0
  readonly #peers: ReadonlyMap<string, TestPeer>
  readonly #lengths = new Map<string, number>()
  readonly #busyUntilMs = new Map<string, number>()
  #startMs: number
  #wake: ReturnType<Simulation['after']> | undefined

  constructor(seed: number, peers: readonly TestPeer[]) {
    this.simulation = new Simulation(seed)
    this.plan = new ChunkPlan(() => this.simulation.random())
    this.#peers = new Map(peers.map((peer) => [peer.name, peer]))
    this.#startMs = this.simulation.now()
    for (const { name } of peers) this.step({ type: 'peer', peer: name })
  }

  want(list: readonly Want[], isUrgent = false): void {
    for (const { key, lengthBytes } of list) this.#lengths.set(key, lengthBytes)
    this.step({ type: 'want', wants: list, isUrgent })
  }

  step(event: FetchEvent): void {
    for (const effect of this.plan.step(event, this.simulation.now())) this.#do(effect)
  }

  get elapsedMs(): number {
    return Math.max(0, ...[...this.got.values()].map(({ atMs }) => atMs)) - this.#startMs
  }

  #do(effect: FetchEffect): void {
    if (effect.type === 'wake') {
      if (this.#wake !== undefined) this.simulation.cancel(this.#wake)
      this.#wake = this.simulation.after(effect.afterMs, () => this.step({ type: 'tick' }))
    } else if (effect.type === 'refuse') this.refused.add(effect.peer)
    else if (effect.type === 'ask-have') this.#answerHave(effect.peer, effect.keys)
    else for (const key of effect.keys) this.#deliver(effect.peer, key)
  }

  #answerHave(name: string, keys: readonly string[]): void {
    const peer = this.#peers.get(name)
    if (peer === undefined || peer.kind === 'dead') return
    const has = new Map(keys.map((key) => [key, peer.has.has(key)]))
    this.simulation.after(2, () => this.step({ type: 'have', peer: name, has }))
  }

  #deliver(name: string, key: string): void {
    const peer = this.#peers.get(name)
    const lengthBytes = this.#lengths.get(key) ?? 0
    this.outstanding += lengthBytes
    this.mostOutstanding = Math.max(this.mostOutstanding, this.outstanding)
    if (peer === undefined || peer.kind === 'dead') return
    if (!peer.has.has(key)) {
      this.outstanding -= lengthBytes
      this.simulation.after(2, () => this.step({ type: 'miss', peer: name, key }))
      return
    }
    const fromMs = Math.max(this.simulation.now(), this.#busyUntilMs.get(name) ?? 0)
    const untilMs = fromMs + lengthBytes / peer.bytesPerMs
    this.#busyUntilMs.set(name, untilMs)
    this.simulation.after(untilMs - this.simulation.now(), () => {
      this.outstanding -= lengthBytes
      this.sentBytes.set(name, (this.sentBytes.get(name) ?? 0) + lengthBytes)
      if (peer.kind === 'liar') this.step({ type: 'lie', peer: name, key })
      else {
        if (!this.got.has(key)) this.got.set(key, { peer: name, atMs: this.simulation.now() })
        this.step({ type: 'chunk', peer: name, key })
      }
    })
  }
}

const all = (count: number) => new Set(wants(count).map(({ key }) => key))
const honest = (name: string, count: number, bytesPerMs = 10_000): TestPeer => {
  return { name, has: all(count), bytesPerMs, kind: 'honest' }
}

describe('the plan of a fetch', () => {
  it('gets everything that somebody honest has, whoever lies, is dead or slow', async () => {
    const peer = fc.record({
      kind: fc.constantFrom('honest' as const, 'dead' as const, 'liar' as const),
      share: fc.integer({ min: 0, max: 10 }),
      bytesPerMs: fc.integer({ min: 100, max: 50_000 }),
    })
    const world = fc.record({
      seed: fc.nat(),
      count: fc.integer({ min: 1, max: 300 }),
      peers: fc.array(peer, { maxLength: 5 }),
    })
    await fc.assert(
      fc.asyncProperty(world, async ({ seed, count, peers }) => {
        const list = wants(count)
        const others = peers.map(({ kind, share, bytesPerMs }, at): TestPeer => {
          const has = new Set(list.filter((_, index) => (index * 7 + at) % 10 < share).map(({ key }) => key))
          return { name: `p${at}`, kind, bytesPerMs, has }
        })
        const swarm = new Swarm(seed, [...others, honest('seed', count, 5000)])
        swarm.want(list)
        await swarm.simulation.run(600_000)
        assert.equal(swarm.got.size, count)
        assert.equal(swarm.plan.wanted, 0)
      }),
      { numRuns: 100 },
    )
  })

  it('uses all who have it: two equal peers halve the time, and each sends about half', async () => {
    const one = new Swarm(1, [honest('a', 400)])
    const two = new Swarm(1, [honest('a', 400), honest('b', 400)])
    for (const swarm of [one, two]) {
      swarm.want(wants(400))
      await swarm.simulation.run(60_000)
    }
    assert.equal(two.got.size, 400)
    assert.ok(two.elapsedMs < 0.6 * one.elapsedMs, `${two.elapsedMs} ms, alone ${one.elapsedMs} ms`)
    const sent = [...two.sentBytes.values()].reduce((sum, bytes) => sum + bytes, 0)
    assert.ok(sent < 1.05 * 400 * 256 * KIB, 'much was sent twice')
  })

  it('loses at most a moment to a dead peer and to a slow one', async () => {
    const alone = new Swarm(3, [honest('a', 200)])
    const dead: TestPeer = { name: 'dead', has: all(200), bytesPerMs: 1, kind: 'dead' }
    const slow = honest('slow', 200, 20)
    const troubled = new Swarm(3, [dead, slow, honest('a', 200)])
    for (const swarm of [alone, troubled]) {
      swarm.want(wants(200))
      await swarm.simulation.run(60_000)
    }
    assert.equal(troubled.got.size, 200)
    assert.ok(
      troubled.elapsedMs < alone.elapsedMs + 500,
      `${troubled.elapsedMs} ms, alone ${alone.elapsedMs} ms`,
    )
  })

  it('refuses who lied twice, for an hour', async () => {
    const liar: TestPeer = { name: 'liar', has: all(50), bytesPerMs: 50_000, kind: 'liar' }
    const swarm = new Swarm(4, [liar, honest('a', 50)])
    swarm.want(wants(50))
    await swarm.simulation.run(60_000)
    assert.equal(swarm.got.size, 50)
    assert.deepEqual([...swarm.refused], ['liar'])
    swarm.step({ type: 'gone', peer: 'liar' })
    swarm.step({ type: 'peer', peer: 'liar' })
    const before = swarm.sentBytes.get('liar')
    swarm.want([{ key: 'c1', lengthBytes: 1 }])
    await swarm.simulation.run(1000)
    assert.equal(swarm.sentBytes.get('liar'), before)
  })

  it('lets an urgent chunk pass all others', async () => {
    const swarm = new Swarm(5, [honest('a', 2000)])
    swarm.want(wants(2000))
    await swarm.simulation.run(500)
    swarm.want([{ key: 'c1999', lengthBytes: 256 * KIB }], true)
    const { size } = swarm.got
    while (!swarm.got.has('c1999')) await swarm.simulation.run(1)
    assert.ok(swarm.got.size - size < 40, `${swarm.got.size - size} came before it`)
  })

  it('asks again a peer that did not have it and has it later', async () => {
    const has = new Set<string>()
    const swarm = new Swarm(6, [{ name: 'a', has, bytesPerMs: 10_000, kind: 'honest' }])
    swarm.want(wants(20))
    await swarm.simulation.run(3000)
    assert.equal(swarm.got.size, 0)
    for (const key of all(20)) has.add(key)
    await swarm.simulation.run(3000)
    assert.equal(swarm.got.size, 20)
  })

  it('asks for something else in place of what a peer did not give', () => {
    for (const type of ['miss', 'elsewhere', 'busy'] as const) {
      const plan = new ChunkPlan(() => 0)
      const asked = new Set<string>()
      let nowMs = 0
      const step = (event: FetchEvent): void => {
        for (const effect of plan.step(event, nowMs)) if (effect.type === 'ask') answer(effect.keys)
      }
      const answer = (keys: readonly string[]): void => {
        for (const key of keys) asked.add(key)
        if (type === 'busy') step({ type, peer: 'a', keys, retryMs: 1000 })
        else for (const key of keys) step({ type, peer: 'a', key })
      }
      step({ type: 'peer', peer: 'a' })
      step({ type: 'want', wants: wants(20), isUrgent: false })
      step({ type: 'have', peer: 'a', has: new Map([...all(20)].map((key) => [key, true])) })
      for (; nowMs < 3000; nowMs += 500) step({ type: 'tick' })
      assert.equal(asked.size, type === 'busy' ? 2 : 20, type)
    }
  })

  it('keeps what is on its way within bounds, whatever is wanted', async () => {
    const peers = Array.from({ length: 40 }, (_, at) => honest(`p${at}`, 3000, 2000))
    const swarm = new Swarm(7, peers)
    swarm.want(wants(3000, 512 * KIB))
    await swarm.simulation.run(60_000)
    assert.equal(swarm.got.size, 3000)
    assert.ok(swarm.mostOutstanding <= 64 * MIB, `${swarm.mostOutstanding} bytes`)
  })

  it('forgets what is dropped', () => {
    const swarm = new Swarm(8, [honest('a', 10)])
    swarm.want(wants(10))
    swarm.step({ type: 'drop', keys: [...all(10)] })
    assert.equal(swarm.plan.wanted, 0)
  })
})
