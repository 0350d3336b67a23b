import assert from 'node:assert/strict'
import { blake2b128 } from '../../src/format/blake2b.ts'
import { createLogger } from '../../src/util/logger.ts'
import { MINUTE_MS, SECOND_MS } from '../../src/util/units.ts'
import { ByzantinePeer, claims } from '../doubles/byzantine-peer.ts'
import type { ClaimedLog, Reply, SyncQuestion } from '../doubles/byzantine-peer.ts'
import type { SyncAnswers } from '../../src/sync/sync-server.ts'
import { REALM } from '../repo/several-nodes.ts'
import { SimulatedNetwork } from '../doubles/simulated-network.ts'
import { Simulation } from '../doubles/simulation.ts'
import { ALICE, flist } from '../repo/a-repository.ts'
import { dump, STATE } from './farm.ts'
import { keyOf, SimulatedNode } from './simulated-node.ts'
import { SimulatedSite } from './simulated-site.ts'

export const LIAR = keyOf(66)
export const STRANGER = keyOf(77)
export const INCARNATION = new Uint8Array(8).fill(0xb1)
/** What a write takes to all when nobody lies: a hint after 200 ms, and a pull over 40 ms links. */
export const HONEST_MS = 1500

/** A log of the liar. */
export function byLiar(operations: readonly Uint8Array[], heads?: readonly Uint8Array[]): ClaimedLog {
  return { author: LIAR.publicKey, incarnation: INCARNATION, operations, ...(heads && { heads }) }
}

/** What a liar has in repository `r`. */
export function inR(...logs: ClaimedLog[]): SyncAnswers {
  return claims(REALM, { r: logs })
}

/** Honest nodes on a simulated network, and a member of their realm that lies. */
export class BesideALiar {
  readonly simulation: Simulation
  readonly network: SimulatedNetwork
  readonly liar: ByzantinePeer
  readonly nodes: SimulatedNode[]
  /** Lines that the honest nodes logged, warnings and worse. */
  readonly logged: string[] = []

  constructor(seed = 1, { honest = 2, hasSites = false } = {}) {
    this.simulation = new Simulation(seed)
    this.network = new SimulatedNetwork(this.simulation)
    const honestKeys = Array.from({ length: honest }, (_, at) => keyOf(at + 1).publicKey)
    const members = [...honestKeys, LIAR.publicKey]
    this.nodes = honestKeys.map(
      (_, at) => new SimulatedNode(this.network, at + 1, members, hasSites ? new SimulatedSite() : undefined),
    )
    const write = (line: string) => void this.logged.push(line.trim())
    for (const one of this.nodes) one.log = createLogger({ level: 'warn', format: 'text', write })
    this.liar = new ByzantinePeer(this.network.host(LIAR.publicKey))
  }

  at(index: number): SimulatedNode {
    return this.nodes[index] ?? assert.fail()
  }

  /** Everybody is there and connected. */
  async start(): Promise<void> {
    await this.liar.host.start()
    for (const one of this.nodes) await one.start()
  }

  stop(): void {
    for (const one of this.nodes) one.crash()
    void this.liar.host.stop()
  }

  /** A name that leads to a flist which nobody fetches. */
  write(index: number, name: string, value = 1): void {
    this.at(index)
      .repositories.apply('r', [{ type: 'put', name, target: flist(value) }], ALICE)
      .catch(() => {})
  }

  /** Milliseconds until it is true, in steps of 10; fails after a limit. */
  async timeUntil(isTrue: () => boolean | Promise<boolean>, limitMs = 60 * SECOND_MS): Promise<number> {
    const startMs = this.simulation.now()
    while (!(await isTrue())) {
      assert.ok(
        this.simulation.now() - startMs < limitMs,
        `not within ${limitMs} ms: ${this.logged.join('\n')}`,
      )
      await this.simulation.run(10)
    }
    return this.simulation.now() - startMs
  }

  /** What takes simulated time. */
  async during<T>(work: Promise<T>): Promise<T> {
    let isOver = false
    const over = () => (isOver = true)
    work.then(over, over)
    await this.timeUntil(() => isOver)
    return await work
  }

  state(index: number): Promise<string> {
    return dump(this.at(index), ...STATE)
  }

  /** What the first honest node knows against the liar: what it was accused of, or why it cannot be followed. */
  get complaint(): string | undefined {
    const states = this.nodes.flatMap(({ replicator }) => replicator?.peers() ?? [])
    const ofLiar = states.filter(({ peer }) => Buffer.compare(peer, LIAR.publicKey) === 0)
    return ofLiar.map(({ accused, failure }) => accused ?? failure).find((one) => one !== undefined)
  }

  /** Chunks and their flist, on one node; answers the ids of the chunks once it is there. */
  publish(index: number, name: string, chunks: readonly Uint8Array[]): Promise<Uint8Array[]> {
    return this.during(this.#publish(index, name, chunks))
  }

  async #publish(index: number, name: string, chunks: readonly Uint8Array[]): Promise<Uint8Array[]> {
    const { site, repositories } = this.at(index)
    assert.ok(site)
    const ids = chunks.map((bytes) => blake2b128(bytes))
    await site.chunks.write(chunks.map((bytes, at) => ({ id: ids[at] ?? bytes, bytes })))
    const lease = site.leases.open()
    const bytes = Buffer.alloc(3000, name)
    const id = await site.flists.put({ format: 'zflist', bytes, chunkIds: ids, files: 1 }, lease)
    const target = { kind: 'file', flist: id, sizeBytes: bytes.length, md5: '0'.repeat(32) } as const
    await repositories.apply('r', [{ type: 'put', name, target }], ALICE)
    lease.release()
    return ids
  }

  holds(index: number, name: string): boolean {
    return this.at(index).repositories.find('r', name) !== undefined
  }

  /** Its name shows, and its chunks are here. */
  holdsWhole(index: number, name: string): boolean {
    const { repositories, site } = this.at(index)
    const target = repositories.find('r', name)?.target
    return target?.kind === 'file' && site?.flists.isComplete(target.flist) === true
  }

  noise(bytes: number): Uint8Array {
    return Uint8Array.from({ length: bytes }, () => 256 * this.simulation.random())
  }
}

/**
 * Two honest nodes and the liar; a write of one is on the other in time, and what else they have is nothing of the liar's.
 * Answers what the liar was accused of.
 */
export async function meet(
  reply: Reply<SyncQuestion>,
  seed = 1,
): Promise<{ complaint: string | undefined; beside: BesideALiar }> {
  const beside = new BesideALiar(seed)
  beside.liar.answerSync(reply)
  await beside.start()
  await beside.simulation.run(3 * SECOND_MS)
  beside.write(0, 'honest.flist')
  const tookMs = await beside.timeUntil(() => beside.holds(1, 'honest.flist'))
  assert.ok(tookMs < HONEST_MS, `it took ${tookMs} ms`)
  await beside.simulation.run(2 * MINUTE_MS)
  const [first, second] = [await beside.state(0), await beside.state(1)]
  const operations = (text: string) => text.split('\n').filter((line) => line.startsWith('op '))
  assert.equal(operations(first).length, 1, 'something of the liar was taken')
  assert.deepEqual(operations(second), operations(first))
  const { complaint } = beside
  beside.stop()
  return { complaint, beside }
}
