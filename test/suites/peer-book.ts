/** The contract of `PeerBook`. Every implementation passes all of it; there are no skips. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { MAX_ADDRESSES, MAX_ADDRESS_CHARS } from '../../src/net/peer-book.ts'
import type { KnownPeer, PeerBook } from '../../src/net/peer-book.ts'
import { toHex } from '../../src/util/bytes.ts'

const peer = (byte: number) => new Uint8Array(32).fill(byte)
const text = ({ peer: key, addresses, seenMs }: KnownPeer) =>
  `${toHex(key).slice(0, 4)} ${seenMs} ${addresses.join(' ')}`

/** `reopen`: what a new start finds. */
export function testPeerBook(
  name: string,
  open: () => Promise<{ book: PeerBook; reopen: () => PeerBook }>,
): void {
  describe(`${name} is a PeerBook`, () => {
    it('keeps what was put, in order of key, until it is put anew or deleted', async () => {
      const { book, reopen } = await open()
      assert.deepEqual(await book.all(), [])
      await book.put([
        { peer: peer(2), addresses: ['/ip4/10.0.0.2/tcp/9901', '/dns4/b.example/tcp/1'], seenMs: 5 },
        { peer: peer(1), addresses: [], seenMs: 0 },
        { peer: peer(3), addresses: ['/ip6/fe80::1/tcp/2'], seenMs: 1_795_000_000_123 },
      ])
      assert.deepEqual((await reopen().all()).map(text), [
        '0101 0 ',
        '0202 5 /ip4/10.0.0.2/tcp/9901 /dns4/b.example/tcp/1',
        '0303 1795000000123 /ip6/fe80::1/tcp/2',
      ])
      await book.put([{ peer: peer(2), addresses: ['/ip4/10.0.0.9/tcp/9901'], seenMs: 6 }])
      await book.delete([peer(1), peer(9)])
      assert.deepEqual((await reopen().all()).map(text), [
        '0202 6 /ip4/10.0.0.9/tcp/9901',
        '0303 1795000000123 /ip6/fe80::1/tcp/2',
      ])
    })

    it('takes the most and the longest addresses', async () => {
      const { book, reopen } = await open()
      const addresses = Array.from({ length: MAX_ADDRESSES }, (_, at) =>
        String(at).padEnd(MAX_ADDRESS_CHARS, 'x'),
      )
      await book.put([{ peer: peer(1), addresses, seenMs: 1 }])
      assert.deepEqual((await reopen().all())[0]?.addresses, addresses)
    })
  })
}
