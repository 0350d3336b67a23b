import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { signingKey } from '../../src/format/ed25519.ts'
import { signHead } from '../../src/format/head-hint.ts'
import type { HeadHint } from '../../src/format/head-hint.ts'
import { HeadGossip } from '../../src/net/gossip.ts'
import { HeadFilter } from '../../src/net/head-filter.ts'
import { openLibp2pHost } from '../../src/net/libp2p-host.ts'
import { equalBytes, toHex } from '../../src/util/bytes.ts'
import { SILENT } from '../../src/util/logger.ts'
import { systemScheduler } from '../../src/util/scheduler.ts'
import { DAY_MS } from '../../src/util/units.ts'

const REALM = new Uint8Array(32).fill(7)
const seedOf = (number: number) => new Uint8Array(32).fill(number)
const keyOf = (number: number) => signingKey(seedOf(number))
const ITEM = { repository: new Uint8Array(32).fill(1), digest: new Uint8Array(16).fill(2) }

describe('which hints are believed (security.md 21)', () => {
  function filter() {
    const clock = { nowMs: 1_795_000_000_000 }
    const members = [1, 2, 3].map((number) => keyOf(number).publicKey)
    const opened = new HeadFilter({
      realm: REALM,
      isMember: (peer) => members.some((member) => equalBytes(member, peer)),
      now: () => clock.nowMs,
    })
    const judge = (
      by: number,
      { atMs = clock.nowMs, source = 2, author = by, realm = REALM, alter = false } = {},
    ) => {
      const bytes = signHead({ realm, atMs, items: [ITEM], change: 1 }, keyOf(by))
      if (alter) bytes[50] = (bytes[50] ?? 0) ^ 1
      const arrival = { bytes, author: keyOf(author).publicKey, source: keyOf(source).publicKey }
      return opened.judge(arrival).is
    }
    return { clock, judge, opened }
  }

  it('takes one of each member in a second, each later than the one before', () => {
    const { clock, judge } = filter()
    assert.equal(judge(1), 'accepted')
    clock.nowMs += 500
    assert.equal(judge(1), 'ignore', 'passed on too soon')
    assert.equal(judge(1, { source: 1 }), 'reject', 'sent too soon')
    assert.equal(judge(3, { source: 3 }), 'accepted')
    clock.nowMs += 600
    assert.equal(judge(1, { atMs: clock.nowMs - 1100 }), 'ignore', 'the same time again')
    assert.equal(judge(1), 'accepted')
  })

  it('takes none of a stranger, of another realm, of another time, or altered', () => {
    const { clock, judge, opened } = filter()
    assert.equal(judge(4), 'ignore')
    assert.equal(judge(1, { source: 4 }), 'ignore')
    assert.equal(judge(1, { realm: new Uint8Array(32) }), 'reject')
    assert.equal(judge(1, { author: 3 }), 'reject', 'published by somebody else')
    assert.equal(judge(1, { alter: true }), 'reject')
    assert.equal(judge(1, { atMs: clock.nowMs + DAY_MS + 1 }), 'ignore')
    assert.equal(judge(1, { atMs: clock.nowMs - DAY_MS - 1 }), 'ignore')
    const none = { bytes: new Uint8Array(0), author: undefined, source: keyOf(2).publicKey }
    assert.equal(opened.judge(none).is, 'ignore')
    assert.equal(judge(1), 'accepted', 'none of it counted')
  })

  it('costs nothing when a member floods', () => {
    const { clock, judge, opened } = filter()
    assert.equal(judge(1), 'accepted')
    const junk = { bytes: new Uint8Array(4096), author: keyOf(1).publicKey, source: keyOf(1).publicKey }
    const started = process.cpuUsage()
    for (let turn = 0; turn < 100_000; turn++) assert.equal(opened.judge(junk).is, 'reject')
    const { user, system } = process.cpuUsage(started)
    assert.ok(user + system < 5_000_000, `${user + system} µs for 100,000`)
    clock.nowMs += 1000
    assert.equal(judge(1), 'accepted')
  })
})

async function node(context: TestContext, seed: number) {
  const gossip = new HeadGossip({ key: keyOf(seed), realm: REALM, scheduler: systemScheduler, log: SILENT })
  const members = [1, 2, 3].map((number) => keyOf(number).publicKey)
  const host = await openLibp2pHost({
    seed: seedOf(seed),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    admits: (peer) => members.some((member) => equalBytes(member, peer)),
    maxNewPerSecond: 100,
    parts: [gossip],
  })
  await host.start()
  gossip.start()
  context.after(async () => {
    await gossip.stop()
    await host.stop()
  })
  return { host, gossip }
}

describe('hints by gossip', () => {
  it('reach a node two hops away, at most one in two seconds', async (context) => {
    const [a, b, c] = [await node(context, 1), await node(context, 2), await node(context, 3)]
    await a.host.connect(b.host.addresses()[0] ?? '')
    await c.host.connect(b.host.addresses()[0] ?? '')
    const heard: Array<{ readonly head: HeadHint; readonly atMs: number }> = []
    c.gossip.subscribe((head) => heard.push({ head, atMs: performance.now() }))
    const started = performance.now()
    for (let change = 1; heard.length < 3; change++) {
      a.gossip.announce([{ ...ITEM, digest: new Uint8Array(16).fill(change & 255) }], change)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    const tookMs = performance.now() - started
    for (const { head } of heard) assert.equal(toHex(head.node), toHex(a.host.key))
    const sent = heard.map(({ head }) => head.atMs)
    assert.ok(
      sent.every((atMs, at) => at === 0 || atMs - (sent[at - 1] ?? 0) >= 1900),
      String(sent),
    )
    assert.equal(heard[2]?.head.items.length, 1)
    assert.ok((heard[2]?.head.change ?? 0) > (heard[1]?.head.change ?? 0))
    assert.ok(tookMs < 30_000)
    assert.equal(c.host.peers().length, 1, 'c is connected with b alone')
  })

  it('has room for the last 32 repositories', async (context) => {
    const [a, b] = [await node(context, 1), await node(context, 2)]
    await a.host.connect(b.host.addresses()[0] ?? '')
    const heard: HeadHint[] = []
    b.gossip.subscribe((head) => heard.push(head))
    const items = Array.from({ length: 40 }, (_, at) => ({
      repository: new Uint8Array(32).fill(at),
      digest: ITEM.digest,
    }))
    while (heard.length === 0) {
      a.gossip.announce(items, 40)
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    assert.deepEqual(
      heard[0]?.items.map(({ repository }) => repository[0]),
      Array.from({ length: 32 }, (_, at) => at + 8),
    )
  })
})
