import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { InvalidInputError, UnavailableError } from '../../src/errors.ts'
import type { Channel, PeerHost } from '../../src/net/peer-host.ts'
import { toHex } from '../../src/util/bytes.ts'
import { KIB, MIB } from '../../src/util/units.ts'

/** Hosts that can reach each other, and time that goes on for them. */
export interface HostsUnderTest {
  readonly hosts: readonly PeerHost[]
  /** Waits for what takes time between hosts. */
  readonly settle: <T>(waiting: Promise<T>) => Promise<T>
}

const PROTOCOL = '/test/1.0.0'
const OPTIONS = { maxMessageBytes: MIB, maxChannelsPerPeer: 4 }

/** The contract of `PeerHost` and `Channel`. `open` starts so many hosts; `isBounded`: senders are stopped. */
export function testPeerHost(
  name: string,
  open: (context: TestContext, count: number) => Promise<HostsUnderTest>,
  { isBounded }: { readonly isBounded: boolean },
): void {
  /** A channel from the first host to the second, and its other end. */
  async function pair(context: TestContext): Promise<HostsUnderTest & { here: Channel; there: Channel }> {
    const under = await open(context, 2)
    const [a, b] = under.hosts
    assert.ok(a && b)
    const accepted = new Promise<Channel>((resolve) => b.handle(PROTOCOL, OPTIONS, resolve))
    await under.settle(a.connect(b.addresses()[0] ?? ''))
    const here = await under.settle(a.open(b.key, PROTOCOL, OPTIONS))
    await under.settle(here.send(Buffer.from('hello')))
    const there = await under.settle(accepted)
    return { ...under, here, there }
  }

  describe(`${name} is a PeerHost`, () => {
    it('connects, and says to both who the other is', async (context) => {
      const { hosts, settle } = await open(context, 2)
      const [a, b] = hosts
      assert.ok(a && b)
      const met = new Promise<Uint8Array>((resolve) => b.subscribe({ connected: resolve }))
      assert.equal(toHex(await settle(a.connect(b.addresses()[0] ?? ''))), toHex(b.key))
      assert.equal(toHex(await settle(met)), toHex(a.key))
      assert.deepEqual(
        a.peers().map(({ key }) => toHex(key)),
        [toHex(b.key)],
      )
      const left = new Promise<Uint8Array>((resolve) => b.subscribe({ disconnected: resolve }))
      await a.disconnect(b.key)
      assert.equal(toHex(await settle(left)), toHex(a.key))
      assert.equal(a.peers().length, 0)
    })

    it('does not connect to itself', async (context) => {
      const { hosts, settle } = await open(context, 1)
      const [a] = hosts
      assert.ok(a)
      const address = a.addresses()[0] ?? ''
      for (const own of [address, address.replace(/\/p2p\/.*/, '')]) {
        await settle(assert.rejects(a.connect(own), InvalidInputError))
      }
      assert.deepEqual(a.peers(), [])
    })

    it('hears where else a peer that connects can be reached, and reaches it there', async (context) => {
      const { hosts, settle } = await open(context, 2)
      const [a, b] = hosts
      assert.ok(a && b)
      const heard = new Promise<readonly string[]>((resolve) => {
        b.subscribe({ reachableAt: (peer, addresses) => toHex(peer) === toHex(a.key) && resolve(addresses) })
      })
      await settle(a.connect(b.addresses()[0] ?? ''))
      const addresses = await settle(heard)
      const left = new Promise<Uint8Array>((resolve) => b.subscribe({ disconnected: resolve }))
      await b.disconnect(a.key)
      await settle(left)
      await settle(assert.rejects(b.reach(new Uint8Array(32).fill(9)), UnavailableError))
      b.learn(a.key, addresses)
      await settle(b.reach(a.key))
      await settle(b.reach(a.key))
      assert.deepEqual(
        b.peers().map(({ key }) => toHex(key)),
        [toHex(a.key)],
      )
    })

    it('carries messages both ways, whole and in order', async (context) => {
      const { here, there, settle } = await pair(context)
      const sizes = [1, 127, 128, 300 * KIB, MIB, ...Array.from({ length: 500 }, (_, at) => 1 + at)]
      const echo = (async () => {
        for await (const message of there.messages()) {
          if (message.length === 5) continue
          await there.send(message)
        }
      })()
      const sending = (async () => {
        for (const [at, size] of sizes.entries()) {
          if (size !== 5) await here.send([Buffer.alloc(size - 1, at), Buffer.of(at & 255)])
        }
      })()
      const expected = sizes.flatMap((size, at) => (size === 5 ? [] : [[size, at & 255]]))
      const got: number[][] = []
      const receiving = (async () => {
        for await (const message of here.messages()) {
          got.push([message.length, message.at(-1) ?? -1])
          if (got.length === expected.length) return
        }
      })()
      await settle(Promise.all([sending, receiving]))
      assert.deepEqual(got, expected)
      await here.close()
      await settle(echo)
    })

    it('ends the messages of the other side when it closes, and breaks them when it aborts', async (context) => {
      for (const how of ['close', 'abort'] as const) {
        const { here, there, settle } = await pair(context)
        const reading = (async () => {
          for await (const message of there.messages()) assert.equal(Buffer.from(message).toString(), 'hello')
        })()
        if (how === 'close') {
          await here.close()
          await settle(reading)
        } else {
          here.abort(new Error('enough'))
          await settle(assert.rejects(reading))
        }
        await settle(assert.rejects(here.send(Buffer.from('more')), UnavailableError))
      }
    })

    it('breaks channels, and says so, when a host stops', async (context) => {
      const { hosts, here, settle } = await pair(context)
      const [a, b] = hosts
      assert.ok(a && b)
      const left = new Promise<Uint8Array>((resolve) => a.subscribe({ disconnected: resolve }))
      const reading = (async () => {
        for await (const message of here.messages()) assert.fail(`${message.length} bytes came`)
      })().catch(() => {})
      await settle(b.stop())
      assert.equal(toHex(await settle(left)), toHex(b.key))
      await settle(reading)
    })

    it('cannot open what the other side does not speak, nor reach who is not there', async (context) => {
      const { hosts, settle } = await open(context, 2)
      const [a, b] = hosts
      assert.ok(a && b)
      await settle(a.connect(b.addresses()[0] ?? ''))
      await settle(assert.rejects(a.open(b.key, '/other/1.0.0', OPTIONS), UnavailableError))
      await settle(assert.rejects(a.open(new Uint8Array(32).fill(9), PROTOCOL, OPTIONS), UnavailableError))
    })

    if (!isBounded) return
    it('stops who sends to a peer that does not read', async (context) => {
      const { here, there, settle } = await pair(context)
      let sent = 0
      const sending = (async () => {
        for (; sent < 100; sent++) await here.send(Buffer.alloc(512 * KIB))
      })()
      let before = -1
      while (sent !== before) {
        before = sent
        await new Promise((resolve) => setTimeout(resolve, 200))
      }
      assert.ok(sent < 60, `${sent} of 100 messages were sent to nobody`)
      let got = 0
      const reading = (async () => {
        for await (const message of there.messages()) if (message.length > 5 && ++got === 100) return
      })()
      await settle(Promise.all([sending, reading]))
      assert.equal(got, 100)
    })
  })
}
