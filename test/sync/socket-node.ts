import { randomBytes } from 'node:crypto'
import type { TestContext } from 'node:test'
import { openLibp2pHost } from '../../src/net/libp2p-host.ts'
import { Replicator } from '../../src/sync/replicator.ts'
import { ownHello, stateDigest, syncAnswers } from '../../src/sync/sync-answers.ts'
import { SILENT } from '../../src/util/logger.ts'
import { systemScheduler } from '../../src/util/scheduler.ts'
import { REALM, TestNode } from '../repo/several-nodes.ts'
import type { TestAuthority } from '../repo/several-nodes.ts'

const NO_GOVERNANCE = {
  digest: () => new Uint8Array(32),
  hashes: () => [],
  get: () => undefined,
  receive: () => Promise.resolve(),
}

/** A node that replicates operations over libp2p on 127.0.0.1. */
export async function openNode(context: TestContext, seed: number, authority: TestAuthority, log = SILENT) {
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
    log,
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
  return { ...node, node, host, repositories, replicator }
}

/** Once a repository changes so that it is true. */
export function until(repositories: TestNode['repositories'], isTrue: () => boolean): Promise<void> {
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
