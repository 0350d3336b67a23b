/** What old nodes and old words do: nothing. Rows 15 and 19 of the threat model. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeOperation } from '../../src/format/operation.ts'
import { toHex } from '../../src/util/bytes.ts'
import { DAY_MS, MINUTE_MS, SECOND_MS } from '../../src/util/units.ts'
import { saying } from '../doubles/byzantine-peer.ts'
import type { ClaimedLog } from '../doubles/byzantine-peer.ts'
import { ALICE } from '../repo/a-repository.ts'
import { BesideALiar, HONEST_MS, inR } from './beside-a-liar.ts'

/** What is held of the logs of `r`, as a liar would tell of it later. */
async function logsOf(beside: BesideALiar): Promise<ClaimedLog[]> {
  const { reader } = beside.at(0)
  const logs: ClaimedLog[] = []
  for await (const { id } of reader.repositories()) {
    for (const log of await reader.logs(id)) {
      const operations: Uint8Array[] = []
      for await (const bytes of reader.operations(log.id, 1)) operations.push(bytes)
      logs.push({ author: log.author, incarnation: log.incarnation, operations, heads: log.heads })
    }
  }
  return logs
}

describe('I7: old words of a peer', () => {
  it('an earlier hello, earlier ends of logs and their operations again: not a row changes, no log goes back', async () => {
    const beside = new BesideALiar()
    let reply = saying({ ...inR(), hello: (hello) => hello })
    beside.liar.answerSync((question) => reply(question))
    await beside.start()
    await beside.simulation.run(2 * SECOND_MS)
    for (const name of ['a.flist', 'b.flist']) beside.write(0, name)
    await beside.timeUntil(() => beside.holds(1, 'b.flist'))
    const old = await logsOf(beside)
    assert.equal(old.length, 1)
    beside.write(0, 'a.flist', 2)
    void beside.at(0).repositories.apply('r', [{ type: 'delete', name: 'b.flist' }], ALICE)
    await beside.timeUntil(() => !beside.holds(1, 'b.flist'))
    await beside.simulation.run(2 * SECOND_MS)
    const before = [await beside.state(0), await beside.state(1)]
    const ends = async () => (await logsOf(beside)).map(({ heads }) => heads?.map(toHex))
    const [endsBefore, asked] = [await ends(), beside.liar.asked.get('logs') ?? 0]
    reply = saying(inR(...old))
    await beside.simulation.run(5 * MINUTE_MS)
    assert.ok((beside.liar.asked.get('logs') ?? 0) > asked, 'nobody asked for the old logs')
    assert.deepEqual([await beside.state(0), await beside.state(1)], before)
    assert.deepEqual(await ends(), endsBefore)
    // To be behind is no lie.
    assert.equal(beside.complaint, undefined)
    beside.stop()
  })
})

describe('I9: a node that was away for long', () => {
  it('rejoins after 400 days: a name that was deleted meanwhile does not come back, what it wrote alone does', async () => {
    const beside = new BesideALiar(3, { honest: 3 })
    beside.liar.answerSync(saying({ ...inR(), hello: (hello) => hello }))
    await beside.start()
    await beside.simulation.run(2 * SECOND_MS)
    for (const name of ['deleted.flist', 'kept.flist']) beside.write(0, name)
    await beside.timeUntil(() => beside.holds(2, 'kept.flist'))
    // Cut off, and what it writes alone is not known to anybody.
    const away = beside.at(2)
    for (const one of beside.nodes.slice(0, 2)) beside.network.cut(one.key.publicKey, away.key.publicKey)
    beside.write(2, 'alone.flist')
    await beside.simulation.run(SECOND_MS)
    away.crash()
    void beside.at(1).repositories.apply('r', [{ type: 'delete', name: 'deleted.flist' }], ALICE)
    await beside.timeUntil(() => !beside.holds(0, 'deleted.flist'))
    for (const one of beside.nodes) one.crash()
    await beside.liar.host.stop()
    await beside.simulation.run(400 * DAY_MS)

    await beside.start()
    for (const one of beside.nodes.slice(0, 2)) beside.network.heal(one.key.publicKey, away.key.publicKey)
    const all = () =>
      beside.nodes.every((_, at) => beside.holds(at, 'alone.flist') && !beside.holds(at, 'deleted.flist'))
    const tookMs = await beside.timeUntil(all)
    assert.ok(tookMs < 4 * HONEST_MS, `${tookMs} ms`)
    await beside.simulation.run(2 * MINUTE_MS)
    assert.ok(all())
    const [first, ...others] = await Promise.all(beside.nodes.map((_, at) => beside.state(at)))
    for (const other of others) assert.equal(other, first)
    const logs = await logsOf(beside)
    const deletions = logs.flatMap(({ operations }) =>
      operations.map((bytes) => decodeOperation(bytes).operation),
    )
    assert.equal(deletions.filter(({ effects }) => effects.some(({ type }) => type === 'delete')).length, 1)
    beside.stop()
  })
})
