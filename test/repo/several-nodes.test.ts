/** Operations of several nodes, whatever way they come: invariants of replication.md over the repositories alone. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CorruptError, ForbiddenError, HubError, LimitError, MalformedError } from '../../src/errors.ts'
import { signingKey } from '../../src/format/ed25519.ts'
import { decodeOperation, logId, repositoryId, signOperation } from '../../src/format/operation.ts'
import type { SignedOperation } from '../../src/format/operation.ts'
import { readArrival } from '../../src/repo/arrival.ts'
import { toHex } from '../../src/util/bytes.ts'
import { asText } from '../doubles/as-text.ts'
import { ALICE, flist } from './a-repository.ts'
import { countedBy, histories, node, NODES, played, STATE, World } from './a-world.ts'
import { REALM, TestAuthority, TestNode } from './several-nodes.ts'

const RUNS = Number(process.env['ZHUB_TEST_RUNS'] ?? 150)
async function operationsOf(one: TestNode): Promise<SignedOperation[]> {
  const all: SignedOperation[] = []
  for (const { id } of await one.reader.logs(repositoryId(REALM, 'r'))) {
    for await (const bytes of one.reader.operations(id, 1)) all.push(decodeOperation(bytes))
  }
  return all
}

describe('operations of several nodes', () => {
  it('I4: end in one state on every node, which is what the operations alone say, also after a restart', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (moves) => {
        const { nodes } = await played(moves)
        const [first = ''] = await Promise.all(nodes.map((one) => one.dump(...STATE)))
        for (const one of nodes) {
          assert.equal(await one.dump(...STATE), first)
          assert.deepEqual(await one.problems(), [])
          const shown = asText(one.repositories.entries('r'))
          await one.start()
          assert.equal(asText(one.repositories.entries('r')), shown)
        }
      }),
      { numRuns: RUNS },
    )
  })

  it('I1: take nothing that was altered, or that is of another realm or of a stranger', async () => {
    await fc.assert(
      fc.asyncProperty(
        histories,
        fc.nat(),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (moves, pick, at, flip) => {
          const world = await played(moves)
          const all = [...(await world.operations()).values()]
          const signed = all[pick % Math.max(1, all.length)]
          if (signed === undefined) return
          const { authority } = world.at(0)
          const altered = Uint8Array.from(signed.bytes)
          altered[at % altered.length] = (altered[at % altered.length] ?? 0) ^ flip
          assert.throws(() => readArrival(altered, REALM, authority), HubError)
          assert.throws(() => readArrival(signed.bytes, new Uint8Array(32), authority), MalformedError)
          assert.throws(() => readArrival(signed.bytes, REALM, new TestAuthority()), ForbiddenError)
          const forged = signOperation(signed.operation, signingKey(new Uint8Array(32).fill(99)))
          assert.throws(() => readArrival(forged.bytes, REALM, authority), CorruptError)
        },
      ),
      { numRuns: RUNS },
    )
  })

  it('I6: show both branches of a fork on every node, and I7: never go back when old operations come again', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (moves) => {
        const world = await played(moves)
        const ends = new Map<string, Set<string>>()
        const followed = new Set<string>()
        const all = await world.operations()
        for (const { operation, hash } of all.values()) {
          const id = toHex(logId(repositoryId(REALM, 'r'), operation.author, operation.incarnation))
          ends.set(id, (ends.get(id) ?? new Set()).add(toHex(hash)))
          if (operation.previous !== undefined) followed.add(toHex(operation.previous))
        }
        for (const one of world.nodes) {
          for (const log of await one.reader.logs(repositoryId(REALM, 'r'))) {
            const expected = [...(ends.get(toHex(log.id)) ?? [])].filter((hash) => !followed.has(hash))
            assert.deepEqual(log.heads.map(toHex).sort(), expected.sort())
          }
          const before = await one.dump(...STATE, 'log')
          const { added } = await one.repositories.receive('r', [...all.values()])
          assert.equal(added, 0)
          assert.equal(await one.dump(...STATE, 'log'), before)
        }
      }),
      { numRuns: RUNS },
    )
  })

  it('I11: keep each version reachable: it stands, was replaced by one that counts, or does not count', async () => {
    await fc.assert(
      fc.asyncProperty(histories, async (moves) => {
        const world = await played(moves)
        const all = await world.operations()
        const counted = new Set(countedBy(world, all).map(({ hash }) => toHex(hash)))
        for (const one of world.nodes) {
          for (const effectName of ['a.flist', 'b.flist', 'c.flist']) {
            const history = await one.repositories.history('r', effectName)
            const states = history.map(({ operation, state }) => [toHex(operation), state !== 'quarantined'])
            const expected = [...all.values()]
              .filter(({ operation }) => operation.effects.some((effect) => effect.name === effectName))
              .map(({ hash }) => [toHex(hash), counted.has(toHex(hash))])
            assert.deepEqual(states.sort(), expected.sort())
          }
        }
      }),
      { numRuns: RUNS },
    )
  })

  it('I12: count of a node that was cut exactly its operations up to the cut (I2: on no order of arrival more)', async () => {
    await fc.assert(
      fc.asyncProperty(histories, node, async (moves, cut) => {
        const world = await played([
          ...moves,
          { type: 'cut', node: cut, by: (cut + 1) % NODES },
          { type: 'write', node: cut, name: 'a.flist', value: 3 },
        ])
        const counted = countedBy(world, await world.operations())
        const stopped = await TestNode.open(50, world.at(0).authority)
        stopped.authority.limits.clear()
        for (const signed of counted) await stopped.repositories.receive('r', [signed])
        for (const one of world.nodes)
          assert.equal(
            await one.dump('head', 'past', 'sup', 'view'),
            await stopped.dump('head', 'past', 'sup', 'view'),
          )
      }),
      { numRuns: RUNS },
    )
  })

  it('count again what two cuts allow, once the later one is known and its last operation comes', async () => {
    const world = await World.open()
    const [a, b] = [world.at(0), world.at(1)]
    for (const value of [1, 2]) {
      await b.repositories.apply('r', [{ type: 'put', name: 'a.flist', target: flist(value) }], ALICE)
    }
    const [first, second] = await operationsOf(b)
    assert.ok(first && second)
    await a.repositories.receive('r', [first])
    const limits = [first, second].map(({ operation, hash }) => ({ sequence: operation.sequence, hash }))
    a.authority.limits.set(toHex(b.key.publicKey), () => limits)
    await a.repositories.recount([b.key.publicKey])
    assert.equal(a.repositories.find('r', 'a.flist'), undefined)
    await a.repositories.receive('r', [second])
    assert.equal(asText(a.repositories.find('r', 'a.flist')?.target), asText(flist(1)))
    assert.deepEqual(await a.problems(), [])
  })

  it('I9: do not bring a deleted name back when a node returns that was away for long', async () => {
    const world = await World.open()
    const [a, b] = [world.at(0), world.at(1)]
    await a.repositories.apply('r', [{ type: 'put', name: 'a.flist', target: flist(1) }], ALICE)
    await b.pull(a)
    await b.repositories.apply('r', [{ type: 'delete', name: 'a.flist' }], ALICE)
    a.clock.ms += 400 * 24 * 3600 * 1000
    await a.repositories.apply('r', [{ type: 'put', name: 'b.flist', target: flist(2) }], ALICE)
    await world.settle()
    for (const one of world.nodes) {
      assert.deepEqual(
        one.repositories.entries('r').map((entry) => entry.name),
        ['b.flist'],
      )
    }
  })

  it('stop at an operation that follows one which is not here, and say which', async () => {
    const world = await World.open()
    const [a, b] = [world.at(0), world.at(1)]
    for (let at = 0; at < 4; at++) {
      await a.repositories.apply('r', [{ type: 'put', name: 'a.flist', target: flist(at) }], ALICE)
    }
    const all = [...(await world.operations()).values()].sort(
      (x, y) => x.operation.sequence - y.operation.sequence,
    )
    const [first, second, , fourth] = all
    assert.ok(first && second && fourth)
    const { added, gap } = await b.repositories.receive('r', [first, second, fourth])
    assert.equal(added, 2)
    assert.equal(gap, fourth)
  })

  it('take no more than eight branches of one log', async () => {
    const world = await World.open()
    const author = world.at(1)
    for (let at = 0; at < 9; at++) {
      await author.start(new (author.rows.constructor as new () => TestNode['rows'])())
      await author.repositories.apply('r', [{ type: 'put', name: 'a.flist', target: flist(at) }], ALICE)
      const taken = world.at(0).pull(author)
      if (at < 8) await taken
      else await assert.rejects(taken, LimitError)
    }
    assert.deepEqual(await world.at(0).problems(), [])
  })
})
