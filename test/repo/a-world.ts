import assert from 'node:assert/strict'
import fc from 'fast-check'
import { decodeOperation, repositoryId } from '../../src/format/operation.ts'
import type { SignedOperation } from '../../src/format/operation.ts'
import type { Limits } from '../../src/repo/authority.ts'
import type { Change } from '../../src/repo/entry.ts'
import { equalBytes, toHex } from '../../src/util/bytes.ts'
import { ALICE, flist } from './a-repository.ts'
import { REALM, TestAuthority, TestNode } from './several-nodes.ts'

export const NODES = 3
/** The spaces that must be equal in the end. */
export const STATE = ['op', 'oph', 'head', 'past', 'sup', 'view']

export const node = fc.nat(NODES - 1)
const name = fc.constantFrom('a.flist', 'b.flist', 'c.flist')
const move = fc.oneof(
  { weight: 6, arbitrary: fc.record({ type: fc.constant('write' as const), node, name, value: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('delete' as const), node, name }) },
  {
    weight: 2,
    arbitrary: fc.record({ type: fc.constant('rename' as const), node, name, to: name, value: fc.nat(3) }),
  },
  {
    weight: 5,
    arbitrary: fc.record({
      type: fc.constant('pull' as const),
      node,
      from: node,
      max: fc.integer({ min: 1, max: 4 }),
      isReversed: fc.boolean(),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      type: fc.constant('skew' as const),
      node,
      ms: fc.integer({ min: -1e7, max: 1e7 }),
    }),
  },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('save' as const), node }) },
  {
    weight: 3,
    arbitrary: fc.record({ type: fc.constant('restore' as const), node, isNoticed: fc.boolean() }),
  },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('restart' as const), node }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('cut' as const), node, by: node }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('uncut' as const), node }) },
  { weight: 1, arbitrary: fc.record({ type: fc.constant('fork' as const), node, to: node, name }) },
  { weight: 2, arbitrary: fc.record({ type: fc.constant('hear' as const), node }) },
)
export type Move = typeof move extends fc.Arbitrary<infer T> ? T : never

/** Nodes that write, exchange, crash and are cut; who counts reaches each of them at its own time. */
export class World {
  readonly nodes: TestNode[]
  readonly #saved = new Map<number, TestNode['rows']>()
  /** What the realm has decided: by author, the last operations that count, by log. */
  readonly limits = new Map<string, ReadonlyMap<string, Limits>>()

  private constructor(nodes: TestNode[]) {
    this.nodes = nodes
  }

  static async open(): Promise<World> {
    const authorities = Array.from({ length: NODES }, () => new TestAuthority())
    const nodes = await Promise.all(authorities.map((authority, at) => TestNode.open(at + 1, authority)))
    for (const authority of authorities) {
      for (const { key } of nodes) authority.admitted.add(toHex(key.publicKey))
    }
    return new World(nodes)
  }

  at(index: number): TestNode {
    return this.nodes[index] ?? assert.fail()
  }

  async play(moves: readonly Move[]): Promise<void> {
    for (const one of moves) await this.#do(one)
  }

  async #do(one: Move): Promise<void> {
    const actor = this.at(one.node)
    actor.clock.ms += 1000
    if (one.type === 'write' || one.type === 'delete' || one.type === 'rename') {
      await actor.repositories.apply('r', changesOf(one), ALICE)
    } else if (one.type === 'pull') await actor.pull(this.at(one.from), one.max, one.isReversed)
    else if (one.type === 'hear') await this.hear(actor)
    else if (one.type === 'fork') await this.#fork(actor, this.at(one.to), one.name)
    else if (one.type === 'cut') await this.#cut(actor, this.at(one.by))
    else if (one.type === 'uncut') this.limits.delete(toHex(actor.key.publicKey))
    else await this.#disturb(actor, one)
  }

  async #disturb(
    actor: TestNode,
    one: Extract<Move, { type: 'skew' | 'save' | 'restore' | 'restart' }>,
  ): Promise<void> {
    switch (one.type) {
      case 'skew':
        actor.clock.ms += one.ms
        return
      case 'save':
        this.#saved.set(one.node, actor.rows.copy())
        return
      case 'restore':
        if (one.isNoticed) actor.renew()
        await actor.start(this.#saved.get(one.node)?.copy() ?? actor.rows)
        return
      case 'restart':
        await actor.start()
    }
  }

  /** A copy of a node's folder is put back, and nobody notices: it signs a sequence number again that another knows. */
  async #fork(author: TestNode, to: TestNode, nameToWrite: string): Promise<void> {
    const before = author.rows.copy()
    const write = (value: number) =>
      author.repositories.apply('r', [{ type: 'put', name: nameToWrite, target: flist(value) }], ALICE)
    await write(4)
    await to.pull(author)
    await author.start(before)
    author.clock.ms += 1
    await write(5)
  }

  /** Whatever `by` knows of the node is the last that counts. */
  async #cut({ key }: TestNode, by: TestNode): Promise<void> {
    const ends = new Map<string, Limits>()
    for (const { id, author, heads, sequence } of await by.reader.logs(repositoryId(REALM, 'r'))) {
      const [hash] = heads
      if (hash !== undefined && equalBytes(author, key.publicKey)) ends.set(toHex(id), [{ sequence, hash }])
    }
    this.limits.set(toHex(key.publicKey), ends)
  }

  /** A node learns what the realm has decided. */
  async hear(listener: TestNode): Promise<void> {
    listener.authority.limits.clear()
    for (const [author, ends] of this.limits) {
      listener.authority.limits.set(author, (log) => ends.get(toHex(log)) ?? 'none')
    }
    await listener.repositories.recount(this.nodes.map(({ key }) => key.publicKey))
  }

  async settle(): Promise<void> {
    for (const one of this.nodes) await this.hear(one)
    for (let round = 0; round < 2; round++) {
      for (const to of this.nodes) for (const from of this.nodes) await to.pull(from)
    }
  }

  /** All operations, by hash. */
  async operations(): Promise<Map<string, SignedOperation>> {
    const all = new Map<string, SignedOperation>()
    for await (const [, bytes] of this.at(0).rows.rows('op')) {
      const signed = decodeOperation(bytes)
      all.set(toHex(signed.hash), signed)
    }
    return all
  }
}

function changesOf(one: Extract<Move, { type: 'write' | 'delete' | 'rename' }>): Change[] {
  if (one.type === 'delete') return [{ type: 'delete', name: one.name }]
  if (one.type === 'write') return [{ type: 'put', name: one.name, target: flist(one.value) }]
  if (one.name === one.to) return []
  return [
    { type: 'delete', name: one.name },
    { type: 'put', name: one.to, target: flist(one.value) },
  ]
}

/** What happens in a world. */
export const histories = fc.array(move, { minLength: 1, maxLength: 24, size: 'max' })

/** A world that ran and then exchanged everything. */
export async function played(moves: readonly Move[]): Promise<World> {
  const world = await World.open()
  await world.play(moves)
  await world.settle()
  return world
}

/** Those operations that count, found without the code under test: by walking back from each limit. */
export function countedBy(world: World, all: ReadonlyMap<string, SignedOperation>): SignedOperation[] {
  const allowed = new Set<string>()
  for (const ends of world.limits.values()) {
    for (const limits of ends.values()) {
      if (typeof limits === 'string') continue
      let hash = limits[0]?.hash
      while (hash !== undefined) {
        allowed.add(toHex(hash))
        hash = all.get(toHex(hash))?.operation.previous
      }
    }
  }
  return [...all.values()].filter(
    ({ operation, hash }) => !world.limits.has(toHex(operation.author)) || allowed.has(toHex(hash)),
  )
}
