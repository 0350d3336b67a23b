/** The same replication over real sockets: libp2p hosts on 127.0.0.1 in place of the simulated network. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { asText } from '../doubles/as-text.ts'
import { ALICE, flist } from '../repo/a-repository.ts'
import { TestAuthority } from '../repo/several-nodes.ts'
import { openNode, until } from './socket-node.ts'

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
