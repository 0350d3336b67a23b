/** What must not exist any more: names, record, content, on the node that says so and on the others of its realm. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { ForbiddenError } from '../src/errors.ts'
import { Purger } from '../src/purger.ts'
import type { Target, User } from '../src/repo/entry.ts'
import { SILENT } from '../src/util/logger.ts'
import { toHex } from '../src/util/bytes.ts'
import { openStore, putFlist } from './store/open-store.ts'
import { farm, type RealmNode } from './repo/a-realm.ts'
import { TestAuthority, TestNode } from './repo/several-nodes.ts'

const USER: User = { sub: 'alice', idp: 'token' }

/** A node of a farm with a store of its own. */
async function openNode(t: TestContext, seed: number, authority: TestAuthority, { realm, admin }: RealmNode) {
  const node = await TestNode.open(seed, authority)
  node.isPurged = (flist) => realm.governance.isPurged(flist)
  await node.start()
  const store = await openStore(t)
  const open = async () => {
    const purger = new Purger({ realm, admin, repositories: node.repositories, store, log: SILENT })
    t.after(() => purger.stop())
    await purger.start()
    return purger
  }
  const target = async (text: string, numbers: number[]): Promise<Target & { kind: 'file' }> => {
    const flist = await putFlist(store, numbers, text)
    return { kind: 'file', flist, sizeBytes: text.length, md5: '0'.repeat(32) }
  }
  const put = (name: string, version: Target) => {
    node.clock.ms += 1000
    return node.repositories.apply('alice', [{ type: 'put', name, target: version }], USER)
  }
  return { node, realm, store, open, target, put }
}

async function twoNodes(t: TestContext) {
  const [founder, other] = await farm(2)
  assert.ok(other)
  const authority = new TestAuthority()
  const here = await openNode(t, 1, authority, founder)
  const there = await openNode(t, 2, authority, other)
  const meet = async () => {
    await here.node.pull(there.node)
    await there.node.pull(here.node)
  }
  return { here, there, meet, founder }
}

const shown = (node: TestNode) =>
  node.repositories
    .entries('alice')
    .map(({ name, target }) => [name, target.kind === 'file' && toHex(target.flist)])

test('every name that shows it goes, the content with it, and on the other nodes as soon as they hear', async (t) => {
  const { here, there, meet, founder } = await twoNodes(t)
  const secret = await here.target('secret', [1])
  await there.target('secret', [1])
  const good = await here.target('good', [2])
  await here.put('a.flist', secret)
  await here.put('b.flist', good)
  await here.put('c.flist', secret)
  await meet()
  await there.put('d.flist', secret) // not known here when it is purged
  const [purger, others] = [await here.open(), await there.open()]
  const report = await purger.purge(secret.flist, USER)
  assert.deepEqual([report.names, report.chunks], [['alice/a.flist', 'alice/c.flist'], 2])
  assert.deepEqual(shown(here.node), [['b.flist', toHex(good.flist)]])
  assert.equal(here.store.flists.numberOf(secret.flist), undefined)
  assert.deepEqual((await purger.purge(secret.flist, USER)).names, [])

  await there.realm.receive(founder.realm.hashes().flatMap((hash) => founder.realm.get(hash) ?? []))
  await others.stop() // waits for what the record began
  await (await there.open()).stop()
  assert.equal(there.store.flists.numberOf(secret.flist), undefined)
  await meet()
  for (const { node } of [here, there]) {
    assert.deepEqual(shown(node), [['b.flist', toHex(good.flist)]])
    assert.deepEqual([...node.repositories.awaited()], [])
    await node.start()
    assert.deepEqual(shown(node), [['b.flist', toHex(good.flist)]])
  }
})

test('of a conflict the other version stays; a purge that a crash broke off is finished at the start', async (t) => {
  const { here, there, meet, founder } = await twoNodes(t)
  const secret = await here.target('secret', [1])
  const good = await here.target('good', [2])
  await here.put('a.flist', good)
  there.node.clock.ms += 5000
  await there.put('a.flist', secret)
  await meet()
  assert.deepEqual(shown(here.node), [['a.flist', toHex(secret.flist)]])
  const purger = await here.open()
  assert.deepEqual((await purger.purge(secret.flist, USER)).names, ['alice/a.flist'])
  assert.deepEqual(shown(here.node), [['a.flist', toHex(good.flist)]])
  assert.equal(here.node.repositories.find('alice', 'a.flist')?.conflicts, 0)

  await purger.stop()
  const late = await here.target('late', [3])
  await founder.admin.purge(late.flist) // and then the power failed
  assert.notEqual(here.store.flists.numberOf(late.flist), undefined)
  await here.open()
  assert.equal(here.store.flists.numberOf(late.flist), undefined)
})

test('a node that may not say so changes nothing', async (t) => {
  const { there } = await twoNodes(t)
  const secret = await there.target('secret', [1])
  await there.put('a.flist', secret)
  const purger = await there.open()
  await assert.rejects(purger.purge(secret.flist, USER), ForbiddenError)
  assert.deepEqual(shown(there.node), [['a.flist', toHex(secret.flist)]])
  assert.notEqual(there.store.flists.numberOf(secret.flist), undefined)
})
