/** The same replication over real sockets: libp2p hosts on 127.0.0.1 in place of the simulated network. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { openLibp2pHost } from '../../src/net/libp2p-host.ts'
import { Replicator } from '../../src/sync/replicator.ts'
import { ownHello, stateDigest, syncAnswers } from '../../src/sync/sync-answers.ts'
import { SILENT } from '../../src/util/logger.ts'
import { systemScheduler } from '../../src/util/scheduler.ts'
import { asText } from '../doubles/as-text.ts'
import { ALICE, flist } from '../repo/a-repository.ts'
import { REALM, TestAuthority, TestNode } from '../repo/several-nodes.ts'

const NO_GOVERNANCE = {
  digest: () => new Uint8Array(32),
  hashes: () => [],
  get: () => undefined,
  receive: () => Promise.resolve(),
}

async function openNode(context: TestContext, seed: number, authority: TestAuthority) {
  const node = await TestNode.open(seed, authority)
  const host = await openLibp2pHost({
    seed: new Uint8Array(32).fill(seed),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    admits: (peer) => authority.isAdmitted(peer),
    maxNewPerSecond: 100,
  })
  const { repositories, reader: operations } = node
  const state = stateDigest(operations, () => repositories.totalRevision)
  const governance = NO_GOVERNANCE
  const object = () => undefined
  const own = {
    realm: REALM,
    database: randomBytes(16),
    operations,
    governance,
    state,
    object,
    now: Date.now,
  }
  const replicator = new Replicator({
    host,
    answers: syncAnswers(own),
    hello: () => ownHello(own),
    scheduler: systemScheduler,
    log: SILENT,
    isMember: (peer) => authority.isAdmitted(peer),
    onChange: (listener) => repositories.subscribe(listener),
    onPulled: () => {},
    replica: { realm: REALM, operations, state, authority: () => authority, repositories, governance },
  })
  await host.start()
  replicator.start()
  context.after(async () => {
    await replicator.stop()
    await host.stop()
  })
  return { ...node, node, host, repositories }
}

/** Once a repository changes so that it is true. */
function until(repositories: TestNode['repositories'], isTrue: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const check = () => {
      if (!isTrue()) return
      stop()
      resolve()
    }
    const stop = repositories.subscribe(check)
    check()
  })
}

describe('replication over libp2p', () => {
  it('brings what a node has to one that connects, and what it writes then within moments', async (context) => {
    const authority = new TestAuthority()
    const a = await openNode(context, 1, authority)
    const b = await openNode(context, 2, authority)
    const c = await openNode(context, 3, authority)
    const put = (node: typeof a, name: string, value: number) =>
      node.repositories.apply('r', [{ type: 'put', name, target: flist(value) }], ALICE)
    for (let at = 0; at < 1050; at++) await put(a, `f${at % 150}.flist`, at)
    await b.host.connect(a.host.addresses()[0] ?? '')
    const last = (node: typeof a) => node.repositories.find('r', 'f149.flist')?.target
    await until(b.repositories, () => asText(last(b)) === asText(last(a)))
    assert.equal(await b.node.dump('op', 'view'), await a.node.dump('op', 'view'))

    // c knows b only: what a writes comes to it by b, and what it writes goes to a.
    await c.host.connect(b.host.addresses()[0] ?? '')
    await put(a, 'from-a.flist', 1)
    await put(c, 'from-c.flist', 2)
    const isThere = (node: typeof a) => () =>
      ['from-a.flist', 'from-c.flist'].every((name) => node.repositories.find('r', name) !== undefined)
    await Promise.all([a, b, c].map((node) => until(node.repositories, isThere(node))))
    assert.equal(await c.node.dump('op', 'view'), await a.node.dump('op', 'view'))
    assert.deepEqual(await c.node.problems(), [])
  })
})
