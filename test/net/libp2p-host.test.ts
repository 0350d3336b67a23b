import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { InvalidInputError, LimitError, UnavailableError } from '../../src/errors.ts'
import { openLibp2pHost } from '../../src/net/libp2p-host.ts'
import type { Channel, PeerHost } from '../../src/net/peer-host.ts'
import { toHex } from '../../src/util/bytes.ts'
import { testPeerHost } from '../suites/peer-host.ts'

async function host(context: TestContext, seed: number, admits: (peer: Uint8Array) => boolean = () => true) {
  const opened = await openLibp2pHost({
    seed: new Uint8Array(32).fill(seed),
    listen: ['/ip4/127.0.0.1/tcp/0'],
    admits,
    maxNewPerSecond: 100,
  })
  await opened.start()
  context.after(() => opened.stop())
  return opened
}

testPeerHost(
  'Libp2pHost',
  async (context, count) => {
    const hosts: PeerHost[] = []
    for (let seed = 1; seed <= count; seed++) hosts.push(await host(context, seed))
    return { hosts, settle: (waiting) => waiting }
  },
  { isBounded: true },
)

describe('a libp2p host', () => {
  it('refuses who is no member, whoever calls', async (context) => {
    const closed = await host(context, 1, () => false)
    const open = await host(context, 2)
    await assert.rejects(closed.connect(open.addresses()[0] ?? ''), UnavailableError)
    await open.connect(closed.addresses()[0] ?? '').catch(() => {})
    while (open.peers().length > 0) await new Promise((resolve) => setTimeout(resolve, 10))
    assert.equal(closed.peers().length, 0)
  })

  it('meets a guest that was connected when it became a member, once the membership is looked at again', async (context) => {
    let isMember = false
    const inviter = await openLibp2pHost({
      seed: new Uint8Array(32).fill(8),
      listen: ['/ip4/127.0.0.1/tcp/0'],
      admits: () => isMember,
      admitsGuest: () => true,
    })
    await inviter.start()
    context.after(() => inviter.stop())
    const met: string[] = []
    inviter.subscribe({ connected: (peer) => void met.push(toHex(peer)) })
    const joiner = await host(context, 9)
    await joiner.connect(inviter.addresses()[0] ?? '')
    await inviter.review()
    assert.deepEqual([met, inviter.peers().length], [[], 0])
    isMember = true
    while (met.length === 0) {
      await inviter.review()
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    await inviter.review()
    assert.deepEqual(met, [toHex(joiner.key)])
  })

  it('does not take another key for the one in the address', async (context) => {
    const [a, b] = [await host(context, 1), await host(context, 2)]
    const wrong = (b.addresses()[0] ?? '').replace(
      /\/p2p\/.*/,
      `/p2p/${(a.addresses()[0] ?? '').split('/p2p/')[1]}`,
    )
    const third = await host(context, 3)
    await assert.rejects(third.connect(wrong), UnavailableError)
    await assert.rejects(third.connect('nonsense'), InvalidInputError)
  })

  it('calls no stranger: not a packet goes to who is named by somebody and is no member', async (context) => {
    let calls = 0
    const somewhere = createServer((socket) => {
      calls++
      socket.destroy()
    }).listen(0, '127.0.0.1')
    context.after(() => somewhere.close())
    await once(somewhere, 'listening')
    const { port } = somewhere.address() as AddressInfo
    const [stranger, a] = [await host(context, 2), await host(context, 1, () => false)]
    const id = (stranger.addresses()[0] ?? '').split('/p2p/')[1]
    await assert.rejects(a.connect(`/ip4/127.0.0.1/tcp/${port}/p2p/${id}`), UnavailableError)
    assert.equal(calls, 0)
    await assert.rejects(a.connect(`/ip4/127.0.0.1/tcp/${port}`), UnavailableError)
    assert.equal(calls, 1)
  })

  it('reaches a peer whose address it has learnt', async (context) => {
    const [a, b] = [await host(context, 1), await host(context, 2)]
    b.handle('/test/1.0.0', { maxMessageBytes: 10, maxChannelsPerPeer: 2 }, (channel) => void channel.close())
    a.learn(b.key, [(b.addresses()[0] ?? '').replace(/\/p2p\/.*/, '')])
    const channel = await a.open(b.key, '/test/1.0.0', { maxMessageBytes: 10, maxChannelsPerPeer: 2 })
    assert.equal(toHex(channel.peer), toHex(b.key))
  })

  it('breaks a channel on which a message is longer than allowed, and keeps nothing of it', async (context) => {
    const [a, b] = [await host(context, 1), await host(context, 2)]
    const accepted = new Promise<Channel>((resolve) => {
      b.handle('/test/1.0.0', { maxMessageBytes: 1000, maxChannelsPerPeer: 2 }, resolve)
    })
    await a.connect(b.addresses()[0] ?? '')
    const liberal = await a.open(b.key, '/test/1.0.0', { maxMessageBytes: 100_000, maxChannelsPerPeer: 2 })
    await liberal.send(Buffer.alloc(1001))
    const there = await accepted
    await assert.rejects(async () => {
      for await (const message of there.messages()) assert.fail(`${message.length} bytes were let in`)
    }, LimitError)
    await assert.rejects(async () => {
      for await (const message of liberal.messages()) assert.fail(`${message.length} bytes came`)
    })
  })

  it('lets nobody in who does not speak its language, and goes on', async (context) => {
    const [a, b] = [await host(context, 1), await host(context, 2)]
    const port = Number(/tcp\/(\d+)/.exec(b.addresses()[0] ?? '')?.[1])
    const socket = connect(port, '127.0.0.1')
    socket.on('error', () => {})
    socket.end('GET / HTTP/1.1\r\n\r\n')
    await new Promise((resolve) => socket.once('close', resolve))
    assert.equal(toHex(await a.connect(b.addresses()[0] ?? '')), toHex(b.key))
  })
})
