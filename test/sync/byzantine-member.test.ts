/** A member that signs what it should not: row 17 of the threat model. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { logId, repositoryId } from '../../src/format/operation.ts'
import type { Operation } from '../../src/format/operation.ts'
import { toHex } from '../../src/util/bytes.ts'
import { MINUTE_MS, SECOND_MS } from '../../src/util/units.ts'
import { logOf } from '../doubles/byzantine-operations.ts'
import { saying } from '../doubles/byzantine-peer.ts'
import type { ClaimedLog } from '../doubles/byzantine-peer.ts'
import { flist } from '../repo/a-repository.ts'
import { REALM } from '../repo/several-nodes.ts'
import { BesideALiar, byLiar, HONEST_MS, INCARNATION, inR, LIAR } from './beside-a-liar.ts'
import { encodeCut } from './simulated-node.ts'

const LOG = logId(repositoryId(REALM, 'r'), LIAR.publicKey, INCARNATION)

/** The realm decides that the liar's first operation is its last that counts. */
function cutAfter(hash: Uint8Array): Uint8Array {
  return encodeCut({ node: LIAR.publicKey, ends: new Map([[toHex(LOG), { sequence: 1, hash }]]) })
}

describe('a member that signs what it should not (security.md 17)', () => {
  const put = (value: number): Partial<Operation> => ({
    effects: [{ name: 'theirs.flist', type: 'put', target: flist(value), supersedes: [] }],
  })
  const branches = (count: number) =>
    Array.from({ length: count }, (_, at) => logOf(LIAR, REALM, [put(at)])[0] ?? assert.fail())
  const sorted = (all: ReturnType<typeof branches>) => [...all].sort((a, b) => Buffer.compare(a.hash, b.hash))
  const forked = (all: ReturnType<typeof branches>): ClaimedLog =>
    byLiar(
      sorted(all).map(({ bytes }) => bytes),
      sorted(all).map(({ hash }) => hash),
    )

  it('two operations of one number: both are on every node, as evidence', async () => {
    const beside = new BesideALiar()
    const both = branches(2)
    let turn = 0
    // Each node is told of one.
    beside.liar.answerSync((question) => saying(inR(forked([both[turn++ % 2] ?? assert.fail()])))(question))
    await beside.start()
    const has = async (at: number) => both.every(({ hash }) => beside.at(at).reader.holds(hash))
    await beside.timeUntil(async () => (await has(0)) && (await has(1)), 5 * MINUTE_MS)
    assert.equal(await beside.state(0), await beside.state(1).then((state) => state))
    beside.stop()
  })

  it('more than eight branches: that log is left, every other repository goes on, between honest nodes too', async () => {
    const beside = new BesideALiar()
    const all = branches(20)
    // Each honest node has other branches than the other one.
    const answers = [all.slice(0, 8), all.slice(8, 16)].map((some) => saying(inR(forked(some))))
    const [a, b] = beside.nodes
    assert.ok(a && b)
    for (const one of beside.nodes) beside.network.cut(one.key.publicKey, LIAR.publicKey)
    beside.network.cut(a.key.publicKey, b.key.publicKey)
    await beside.start()
    for (const [at, one] of [a, b].entries()) {
      beside.liar.answerSync(answers[at] ?? assert.fail())
      beside.network.heal(one.key.publicKey, LIAR.publicKey)
      await beside.simulation.run(MINUTE_MS)
      beside.network.cut(one.key.publicKey, LIAR.publicKey)
    }
    beside.network.heal(a.key.publicKey, b.key.publicKey)
    await beside.simulation.run(MINUTE_MS)
    for (const name of ['p', 'q', 'r', 's', 't'])
      void a.repositories.apply(name, [{ type: 'put', name: 'a.flist', target: flist(1) }], {
        sub: 'alice',
        idp: 'token',
      })
    const isThere = () =>
      ['p', 'q', 'r', 's', 't'].every((name) => b.repositories.find(name, 'a.flist') !== undefined)
    assert.ok((await beside.timeUntil(isThere)) < 3 * HONEST_MS)
    assert.match(beside.logged.join('\n'), /too many branches/)
    assert.deepEqual(
      beside.nodes.flatMap(
        ({ replicator }) => replicator?.peers().flatMap(({ accused }) => accused ?? []) ?? [],
      ),
      [],
    )

    // I12: a cut that names a branch which one of them could not take brings it to both.
    const kept = all[0] ?? assert.fail()
    a.decide(cutAfter(kept.hash))
    const counts = () =>
      beside.nodes.every(
        ({ repositories }) =>
          toHex(repositories.find('r', 'theirs.flist')?.operation ?? new Uint8Array()) === toHex(kept.hash),
      )
    await beside.timeUntil(counts, 5 * MINUTE_MS)
    beside.stop()
  })

  it('clocks of 1970 and of 2038 and later: they win ties at most, and no honest clock follows', async () => {
    for (const ms of [0, 1, Date.UTC(2038, 0, 19, 3, 14, 8), 2 ** 48 - 1]) {
      const beside = new BesideALiar()
      const [theirs] = logOf(LIAR, REALM, [{ ...put(9), time: { ms, counter: 2 ** 32 - 1 } }])
      assert.ok(theirs)
      beside.liar.answerSync(saying(inR(byLiar([theirs.bytes]))))
      await beside.start()
      await beside.timeUntil(() => beside.nodes.every(({ reader }) => reader.holds(theirs.hash)))
      beside.write(0, 'theirs.flist', 2)
      const isOurs = () =>
        beside.nodes.every(
          ({ repositories }) =>
            toHex(repositories.find('r', 'theirs.flist')?.operation ?? theirs.hash) !== toHex(theirs.hash),
        )
      assert.ok((await beside.timeUntil(isOurs)) < HONEST_MS, String(ms))
      const shown = beside.at(1).repositories.find('r', 'theirs.flist')
      const nowS = beside.simulation.now() / SECOND_MS
      assert.ok(shown !== undefined && Math.abs(shown.updatedS - nowS) < 60, `${shown?.updatedS} at ${nowS}`)
      beside.stop()
    }
  })

  it('operations dated back, after it was cut: they count nowhere, whoever heard of the cut first', async () => {
    for (const isCutFirst of [true, false]) {
      const beside = new BesideALiar()
      const log = logOf(LIAR, REALM, [put(1), { ...put(2), time: { ms: 5, counter: 0 } }])
      const [last, later] = log
      assert.ok(last && later)
      let told = 1
      beside.liar.answerSync((question) =>
        saying(inR(byLiar(log.slice(0, told).map(({ bytes }) => bytes))))(question),
      )
      await beside.start()
      await beside.timeUntil(() => beside.nodes.every(({ reader }) => reader.holds(last.hash)))
      const cut = () => beside.at(0).decide(cutAfter(last.hash))
      if (isCutFirst) cut()
      told = 2
      await beside.timeUntil(
        () => beside.nodes.every(({ reader }) => reader.holds(later.hash)),
        5 * MINUTE_MS,
      )
      if (!isCutFirst) cut()
      await beside.simulation.run(2 * MINUTE_MS)
      for (const { repositories } of beside.nodes)
        assert.equal(
          toHex(repositories.find('r', 'theirs.flist')?.operation ?? assert.fail()),
          toHex(last.hash),
        )
      beside.stop()
    }
  })

  it('the deletion of everything (security.md 18): a cut undoes it everywhere, history was kept', async () => {
    const beside = new BesideALiar()
    const names = Array.from({ length: 30 }, (_, at) => `n${at}.flist`)
    let told: ClaimedLog[] = []
    beside.liar.answerSync((question) => saying(inR(...told))(question))
    await beside.start()
    for (const name of names) beside.write(0, name)
    const has = (at: number) => names.filter((name) => beside.holds(at, name)).length
    await beside.timeUntil(() => has(1) === names.length)
    const heads = names.map((name) => beside.at(0).repositories.find('r', name)?.operation ?? assert.fail())
    const effects = names.map((name, at) => ({
      name,
      type: 'delete' as const,
      supersedes: [heads[at] ?? assert.fail()],
    }))
    const deletion = logOf(LIAR, REALM, [{ effects, time: { ms: beside.simulation.now(), counter: 0 } }])
    told = [byLiar(deletion.map(({ bytes }) => bytes))]
    await beside.timeUntil(() => has(0) + has(1) === 0, 5 * MINUTE_MS)
    beside.at(1).decide(encodeCut({ node: LIAR.publicKey, ends: new Map() }))
    assert.ok((await beside.timeUntil(() => has(0) + has(1) === 2 * names.length, 5 * MINUTE_MS)) > 0)
    beside.stop()
  })
})
