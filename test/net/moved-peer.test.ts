import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { signingKey } from '../../src/format/ed25519.ts'
import { Connector } from '../../src/net/connector.ts'
import { openLibp2pHost } from '../../src/net/libp2p-host.ts'
import { equalBytes, toHex } from '../../src/util/bytes.ts'
import { SILENT } from '../../src/util/logger.ts'
import { systemScheduler } from '../../src/util/scheduler.ts'
import { MemoryPeerBook } from '../doubles/memory-peer-book.ts'

const seedOf = (number: number) => new Uint8Array(32).fill(number)
const MEMBERS = [1, 2].map((number) => ({ node: signingKey(seedOf(number)).publicKey, addresses: [] }))

async function node(context: TestContext, seed: number, peers: readonly string[]) {
  const host = await openLibp2pHost({
    seed: seedOf(seed),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    admits: (peer) => MEMBERS.some((member) => equalBytes(member.node, peer)),
    maxNewPerSecond: 100,
  })
  await host.start()
  const book = new MemoryPeerBook()
  const deps = { host, book, scheduler: systemScheduler, log: SILENT, members: () => MEMBERS, finders: [] }
  const connector = new Connector(deps, { peers, bootstrap: [] })
  await connector.start()
  const stop = async () => {
    await connector.stop()
    await host.stop()
  }
  context.after(stop)
  return { host, book, connector, stop }
}

/** The next time that a peer says where it is. */
function told({
  host,
}: {
  readonly host: Awaited<ReturnType<typeof node>>['host']
}): Promise<readonly string[]> {
  return new Promise((resolve) => {
    const end = host.subscribe({
      reachableAt: (_, addresses) => {
        end()
        resolve(addresses)
      },
    })
  })
}

describe('a machine that moved', () => {
  it('is found at its new address once it has reached somebody', async (context) => {
    const a = await node(context, 1, [])
    const first = told(a)
    const before = await node(context, 2, a.host.addresses())
    const [old = ''] = await first
    assert.equal(
      `${old}/p2p/${(before.host.addresses()[0] ?? '').split('/p2p/')[1]}`,
      before.host.addresses()[0],
    )
    await before.stop()

    const second = told(a)
    const after = await node(context, 2, a.host.addresses())
    const [current = ''] = await second
    assert.notEqual(current, old)
    const listed = a.connector.contacts().map(({ addresses }) => addresses)
    assert.deepEqual(listed, [[current]])

    // From now on it says nothing more, and is called.
    await after.connector.stop()
    const back = new Promise<Uint8Array>((resolve) => a.host.subscribe({ connected: resolve }))
    await after.host.disconnect(a.host.key)
    assert.equal(toHex(await back), toHex(after.host.key))
    await a.connector.stop()
    assert.deepEqual(
      (await a.book.all()).map(({ addresses }) => addresses),
      [[current]],
    )
  })
})
