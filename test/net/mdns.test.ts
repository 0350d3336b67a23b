/** Two nodes on one switch that know nothing of each other's addresses. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { serviceTag } from '../../src/net/mdns.ts'
import { Hosts, hostsMissing } from '../doubles/hosts.ts'

const PROGRAM = fileURLToPath(new URL('../doubles/mdns-node.js', import.meta.url))

describe('finding members on the local network', () => {
  it('has a name that tells nothing of the realm but that it is another', () => {
    const realm = new Uint8Array(32).fill(7)
    assert.match(serviceTag(realm), /^_zhub-[0-9a-f]{32}\._udp\.local$/)
    assert.ok(!serviceTag(realm).includes('07070707'))
    assert.notEqual(serviceTag(realm), serviceTag(new Uint8Array(32)))
  })

  it('finds a member of the same realm, and nobody of another', { skip: hostsMissing() }, async (context) => {
    const hosts = Hosts.open({ sites: [3] })
    context.after(() => hosts.close())
    const nodes = [
      [1, 7],
      [2, 7],
      [3, 8],
    ].map(([seed, realm], at) => {
      const host = hosts.all[at]
      assert.ok(host)
      const child = host.spawn(process.execPath, [PROGRAM, String(seed), String(realm)], {
        stdio: ['pipe', 'pipe', 'inherit'],
      })
      context.after(async () => {
        child.stdin?.end()
        if (child.exitCode === null) await once(child, 'exit')
      })
      let found = ''
      child.stdout?.on('data', (data: Buffer) => (found += data.toString()))
      return { host, child, found: () => found }
    })
    const [a, b, other] = nodes
    assert.ok(a && b && other)
    while (!a.found().includes(b.host.address) || !b.found().includes(a.host.address)) {
      await Promise.race([once(a.child.stdout ?? a.child, 'data'), once(b.child.stdout ?? b.child, 'data')])
    }
    assert.ok(!a.found().includes(other.host.address) && !b.found().includes(other.host.address))
    assert.equal(other.found(), '')
  })
})
