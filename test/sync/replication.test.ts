/** Nodes on a simulated network: what a farm goes through in a day, in milliseconds; invariants of replication.md. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { logId, repositoryId } from '../../src/format/operation.ts'
import type { SignedOperation } from '../../src/format/operation.ts'
import { toHex } from '../../src/util/bytes.ts'
import { TestNode, TestAuthority, REALM } from '../repo/several-nodes.ts'
import { dump, farms, lived, STATE } from './farm.ts'
import type { Farm } from './farm.ts'

/** Runs over all properties here; `ZHUB_SIMULATIONS=1000000` for a campaign. */
const RUNS = Number(process.env['ZHUB_SIMULATIONS'] ?? 2000)
const REPOSITORY = repositoryId(REALM, 'r')

/** A property of every farm in the end, tried with a share of the runs. */
function always(share: number, check: (farm: Farm) => Promise<void>): () => Promise<void> {
  const property = fc.asyncProperty(farms, async (history) => {
    const farm = await lived(history)
    await check(farm)
    farm.stop()
  })
  return async () => void (await fc.assert(property, { numRuns: Math.ceil(RUNS * share) }))
}

describe('nodes on a network that fails', () => {
  it(
    'I4: agree in the end, and show what the operations alone say',
    always(0.25, async ({ nodes }) => {
      const [first = ''] = await Promise.all(nodes.map((one) => dump(one, ...STATE)))
      for (const one of nodes) {
        assert.equal(await dump(one, ...STATE), first)
        for await (const { kind, detail } of one.repositories.checkOperations({ holds: () => true })) {
          assert.fail(`${kind}: ${detail}`)
        }
      }
    }),
  )

  it(
    'I5: hold on every node what any of them has acknowledged, unless the only disk that had it is gone',
    always(0.25, async ({ nodes, acknowledged }) => {
      for (const { reader } of nodes) {
        for (const hash of acknowledged.keys()) assert.ok(reader.holds(Buffer.from(hash, 'hex')))
      }
    }),
  )

  it(
    'I6: know every branch of a log that forked, on every node',
    always(0.1, async (farm) => {
      const all = await farm.operations()
      const followed = new Set([...all.values()].map(({ operation }) => hex(operation.previous)))
      const ends = [...all].filter(([hash]) => !followed.has(hash)).map(([hash]) => hash)
      for (const { reader } of farm.nodes) {
        const heads = (await reader.logs(REPOSITORY)).flatMap((log) => log.heads.map(toHex))
        assert.deepEqual(heads.sort(), ends.sort())
      }
    }),
  )

  it(
    'I7: keep the end of each log where it was, or further',
    always(0.1, async (farm) => {
      const furthest = new Map<string, number>()
      for (const { operation } of (await farm.operations()).values()) {
        const id = toHex(logId(REPOSITORY, operation.author, operation.incarnation))
        furthest.set(id, Math.max(furthest.get(id) ?? 0, operation.sequence))
      }
      for (const { reader } of farm.nodes) {
        for (const { id, sequence } of await reader.logs(REPOSITORY))
          assert.equal(sequence, furthest.get(toHex(id)))
      }
    }),
  )

  it(
    'I11: let no write be lost: each stands, was replaced by one that counts, or is of a node that was cut',
    always(0.1, async (farm) => {
      const all = await farm.operations()
      const counted = new Set(countedBy(farm, all).map(hashOf))
      for (const { repositories } of farm.nodes) {
        for (const name of ['a.flist', 'b.flist']) {
          const history = await repositories.history('r', name)
          const states = history.map(({ operation, state }) => [toHex(operation), state !== 'quarantined'])
          const expected = [...all.values()]
            .filter(({ operation }) => operation.effects.some((one) => one.name === name))
            .map((signed) => [hashOf(signed), counted.has(hashOf(signed))])
          assert.deepEqual(states.sort(), expected.sort())
        }
      }
    }),
  )

  it(
    'I2, I12: count of a node that was cut what it had signed up to the cut, on no order of arrival more',
    always(0.2, async (farm) => {
      const counted = countedBy(farm, await farm.operations())
      const authority = new TestAuthority()
      const alone = await TestNode.open(77, authority)
      for (const signed of counted) await alone.repositories.receive('r', [signed])
      for (const one of farm.nodes) {
        assert.equal(
          await dump(one, 'head', 'past', 'sup', 'view'),
          await alone.dump('head', 'past', 'sup', 'view'),
        )
      }
    }),
  )
})

/** Operations that count, found by walking back from the cuts; every cut of a node applies. */
function countedBy(farm: Farm, all: ReadonlyMap<string, SignedOperation>): SignedOperation[] {
  let counted = [...all.values()]
  for (const { node, ends } of farm.cuts) {
    const kept = new Set<string>()
    for (const { hash } of ends.values()) {
      for (let at: string | undefined = toHex(hash); at !== undefined && all.has(at);) {
        kept.add(at)
        at = hex(all.get(at)?.operation.previous)
      }
    }
    counted = counted.filter(
      ({ operation, hash }) => toHex(operation.author) !== toHex(node) || kept.has(toHex(hash)),
    )
  }
  return counted
}

function hashOf({ hash }: SignedOperation): string {
  return toHex(hash)
}

function hex(bytes: Uint8Array | undefined): string | undefined {
  return bytes && toHex(bytes)
}
