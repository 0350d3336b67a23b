import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RowPeerBook } from '../../src/sync/row-peer-book.ts'
import { toHex } from '../../src/util/bytes.ts'
import { MapRows } from '../doubles/map-rows.ts'
import { MemoryPeerBook } from '../doubles/memory-peer-book.ts'
import { testPeerBook } from '../suites/peer-book.ts'

testPeerBook('MemoryPeerBook', async () => {
  const book = new MemoryPeerBook()
  return { book, reopen: () => book }
})

testPeerBook('RowPeerBook', async () => {
  const rows = new MapRows()
  return { book: new RowPeerBook(rows), reopen: () => new RowPeerBook(rows) }
})

describe('rows of peers', () => {
  const peer = new Uint8Array(32).fill(1)

  it('have the bytes that SYNC.md says', async () => {
    const rows = new MapRows()
    await new RowPeerBook(rows).put([{ peer, addresses: ['/a', '/bc'], seenMs: 258 }])
    assert.equal(
      toHex(rows.get('peer', peer) ?? peer),
      '01' + '000000000102' + '02' + '00022f61' + '00032f6263',
    )
  })

  it('that are cut, or of a later release, are passed over', async () => {
    const rows = new MapRows()
    const book = new RowPeerBook(rows)
    await book.put([{ peer, addresses: ['/a', '/bc'], seenMs: 258 }])
    const whole = rows.get('peer', peer) ?? peer
    for (let length = 1; length < whole.length; length++) {
      rows.space('peer').set(toHex(peer), whole.subarray(0, length))
      assert.deepEqual(await book.all(), [])
    }
    rows.space('peer').set(toHex(peer), Uint8Array.of(2, ...whole.subarray(1)))
    assert.deepEqual(await book.all(), [])
  })
})
