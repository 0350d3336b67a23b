import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decodeOperation, repositoryId } from '../../src/format/operation.ts'
import type { SignedOperation } from '../../src/format/operation.ts'
import { equalBytes, toHex } from '../../src/util/bytes.ts'
import { MINUTE_MS, SECOND_MS } from '../../src/util/units.ts'
import { SimulatedNetwork } from '../doubles/simulated-network.ts'
import { Simulation } from '../doubles/simulation.ts'
import { flist } from '../repo/a-repository.ts'
import { REALM } from '../repo/several-nodes.ts'
import { encodeCut, keyOf, SimulatedNode } from './simulated-node.ts'
import type { Cut } from './simulated-node.ts'

export const NODES = 3
/** What must be equal everywhere in the end. */
export const STATE = ['op', 'oph', 'head', 'past', 'sup', 'view']

const node = fc.nat(NODES - 1)
const name = fc.constantFrom('a.flist', 'b.flist')
const step = fc.record({
  /** Milliseconds until the next one. */
  wait: fc.integer({ min: 0, max: 3000 }),
  node,
  other: node,
  name,
  value: fc.nat(3),
  what: fc.oneof(
    { weight: 8, arbitrary: fc.constant('write' as const) },
    { weight: 2, arbitrary: fc.constant('delete' as const) },
    { weight: 2, arbitrary: fc.constantFrom('cut link' as const, 'heal link' as const) },
    { weight: 2, arbitrary: fc.constantFrom('crash' as const, 'start' as const) },
    {
      weight: 1,
      arbitrary: fc.constantFrom('save' as const, 'restore' as const, 'restore unnoticed' as const),
    },
    { weight: 1, arbitrary: fc.constantFrom('skew' as const, 'lossy' as const, 'cut node' as const) },
  ),
})
export type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** Nodes, links and disks of a few sites, and what happens to them. */
export class Farm {
  readonly simulation: Simulation
  readonly network: SimulatedNetwork
  readonly nodes: SimulatedNode[]
  /** Hashes of operations that were acknowledged, and must be everywhere in the end. */
  readonly acknowledged = new Map<string, { author: number }>()
  /** What the realm has decided. */
  readonly cuts: Cut[] = []
  readonly #saved = new Map<number, SimulatedNode['disk']>()

  constructor(seed: number) {
    this.simulation = new Simulation(seed)
    this.network = new SimulatedNetwork(this.simulation)
    const members = Array.from({ length: NODES }, (_, at) => keyOf(at + 1).publicKey)
    this.nodes = members.map((_, at) => new SimulatedNode(this.network, at + 1, members))
  }

  at(index: number): SimulatedNode {
    return this.nodes[index] ?? assert.fail()
  }

  async play(steps: readonly Step[]): Promise<void> {
    for (const one of this.nodes) await one.start()
    for (const one of steps) {
      await this.#do(one)
      await this.simulation.run(one.wait)
    }
  }

  /** Everything runs and is connected again, for a few minutes. */
  async settle(): Promise<void> {
    this.network.quality = { minMs: 1, maxMs: 40, loss: 0 }
    for (const a of this.nodes)
      for (const b of this.nodes) this.network.heal(a.key.publicKey, b.key.publicKey)
    for (const one of this.nodes) if (!one.isRunning) await one.start()
    for (const endMs = this.simulation.now() + 8 * MINUTE_MS; this.simulation.now() < endMs;) {
      await this.simulation.run(2 * SECOND_MS)
      if (await this.isSettled()) return
    }
  }

  async isSettled(): Promise<boolean> {
    const [first, ...others] = await Promise.all(this.nodes.map((one) => dump(one, ...STATE)))
    return others.every((other) => other === first)
  }

  /** All operations that some node holds, by hash. */
  async operations(): Promise<Map<string, SignedOperation>> {
    const all = new Map<string, SignedOperation>()
    for (const one of this.nodes) {
      for await (const [, bytes] of one.disk.rows('op')) {
        const signed = decodeOperation(bytes)
        all.set(toHex(signed.hash), signed)
      }
    }
    return all
  }

  stop(): void {
    for (const one of this.nodes) one.crash()
  }

  async #do(one: Step): Promise<void> {
    const actor = this.at(one.node)
    if (one.what === 'write' || one.what === 'delete') this.#write(one, actor)
    else if (one.what === 'skew') actor.skewMs = (one.value - 1) * 20 * MINUTE_MS
    else if (one.what === 'cut node') await this.#cut(actor, this.at(one.other))
    else if (one.what.endsWith('link') || one.what === 'lossy') this.#disturb(one, actor)
    else await this.#life(one, actor)
  }

  #disturb(one: Step, actor: SimulatedNode): void {
    const [own, theirs] = [actor.key.publicKey, this.at(one.other).key.publicKey]
    if (one.what === 'cut link' && one.node !== one.other) this.network.cut(own, theirs)
    if (one.what === 'heal link') this.network.heal(own, theirs)
    if (one.what === 'lossy') this.network.quality = { minMs: 1, maxMs: 400, loss: 0.05 }
  }

  async #life(one: Step, actor: SimulatedNode): Promise<void> {
    if (one.what === 'crash') actor.crash()
    else if (one.what === 'save') this.#saved.set(one.node, actor.disk.copy())
    else if (one.what === 'start' && !actor.isRunning) await actor.start()
    else if (one.what.startsWith('restore')) {
      const saved = this.#saved.get(one.node)
      if (saved === undefined) return
      actor.crash()
      // What only this disk had is gone with it.
      for (const [hash, { author }] of this.acknowledged)
        if (author === one.node) this.acknowledged.delete(hash)
      actor.restore(saved.copy(), one.what === 'restore')
      await actor.start()
    }
  }

  #write({ what, name: key, value, node: author }: Step, actor: SimulatedNode): void {
    if (!actor.isRunning) return
    const { disk } = actor
    const change =
      what === 'write'
        ? ({ type: 'put', name: key, target: flist(value) } as const)
        : ({ type: 'delete', name: key } as const)
    const applied = actor.repositories.apply('r', [change], { sub: 'alice', idp: 'token' })
    applied.then(
      ([entry]) => {
        if (entry !== undefined && actor.disk === disk)
          this.acknowledged.set(toHex(entry.operation), { author })
      },
      () => {},
    )
  }

  /** Whatever `by` has of the node is the last that counts. */
  async #cut({ key }: SimulatedNode, by: SimulatedNode): Promise<void> {
    const ends = new Map<string, { sequence: number; hash: Uint8Array }>()
    for (const { id, author, heads, sequence } of await by.reader.logs(repositoryId(REALM, 'r'))) {
      const [hash] = heads
      if (hash !== undefined && equalBytes(author, key.publicKey)) ends.set(toHex(id), { sequence, hash })
    }
    const cut = { node: key.publicKey, ends }
    this.cuts.push(cut)
    by.decide(encodeCut(cut))
  }
}

export async function dump(one: SimulatedNode, ...spaces: string[]): Promise<string> {
  const lines: string[] = []
  for (const space of spaces) {
    for await (const [key, value] of one.disk.rows(space))
      lines.push(`${space} ${toHex(key)} ${toHex(value)}`)
  }
  return lines.join('\n')
}

/** What happens, and the seed of all that chance decides. */
export const farms = fc.record({
  seed: fc.nat(),
  steps: fc.array(step, { minLength: 1, maxLength: 20, size: 'max' }),
})

/** A farm that went through all of it, and then had some quiet minutes. */
export async function lived({ seed, steps }: { seed: number; steps: readonly Step[] }): Promise<Farm> {
  const farm = new Farm(seed)
  await farm.play(steps)
  await farm.settle()
  // Honest nodes never take each other for liars, whatever the network and their disks do.
  for (const one of farm.nodes) {
    for (const { accused } of one.replicator?.peers() ?? []) assert.equal(accused, undefined)
  }
  return farm
}
