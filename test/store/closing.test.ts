/** What is asked of a store that is closing or closed, and of one whose own rows are damaged. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { CorruptError, UnavailableError } from '../../src/errors.ts'
import { SPACES } from '../../src/store/spaces.ts'
import { fromUtf8, u64be } from '../../src/util/bytes.ts'
import { chunkOf } from '../suites/chunk-store.ts'
import { openStore, putFlist, type OpenStore } from './open-store.ts'

async function drain(rows: AsyncIterable<unknown>): Promise<void> {
  for await (const _ of rows);
}

describe('a closed store', () => {
  it('answers every call that it is not available', async (t) => {
    const store = await openStore(t)
    const flist = await putFlist(store, [1])
    const { rows, chunks, flists, payloads } = store
    await store.close()
    for (const call of [
      () => rows.get('a', fromUtf8('k')),
      () => chunks.read(chunkOf(1).id),
      () => chunks.info(chunkOf(1).id),
      () => chunks.known([chunkOf(1).plainKey]),
      () => payloads.get(0),
      () => flists.descriptor(flist),
    ])
      assert.throws(call, UnavailableError)
    for (const call of [
      () => rows.write([{ type: 'delete', space: 'a', key: fromUtf8('k') }]),
      () => rows.getMany('a', [fromUtf8('k')]),
      () => drain(rows.rows('a')),
      () => chunks.write([chunkOf(2)]),
      () => chunks.delete([chunkOf(1).id]),
      () => chunks.touch([chunkOf(1).id]),
      () => drain(chunks.entries()),
      () => flists.read(flist),
      () => drain(payloads.numbers()),
    ])
      await assert.rejects(async () => call(), UnavailableError)
  })

  it('has kept every write that was under way when it was closed', async (t) => {
    const store = await openStore(t)
    const writing = Promise.all([1, 2, 3].map((number) => store.chunks.write([chunkOf(number, 200_000)])))
    const again = (await Promise.allSettled([writing, store.reopen()]))[1]
    assert.ok(again.status === 'fulfilled')
    await writing
    assert.deepEqual(again.value.chunks.totals(), { chunks: 3, bytes: 600_000 })
  })

  it('ends what was being read, without a crash', async (t) => {
    const store = await openStore(t)
    const puts = Array.from({ length: 2000 }, (_, number) => {
      return { type: 'put', space: 'a', key: u64be(number), value: Buffer.alloc(10) } as const
    })
    await store.rows.write(puts)
    const reading = store.rows.rows('a')[Symbol.asyncIterator]()
    await reading.next()
    const many = store.rows.getMany('a', [u64be(1)])
    await Promise.all([store.close(), many.catch(() => {})])
    await assert.rejects(async () => {
      for (;;) if ((await reading.next()).done === true) return
    }, UnavailableError)
  })
})

describe('damaged rows of the store itself', () => {
  const damages: ReadonlyArray<{ what: string; key: string; value: Uint8Array }> = [
    { what: 'the format', key: 'format', value: Buffer.of(1, 2) },
    { what: 'totals that are cut', key: 'totals', value: Buffer.of(1) },
    { what: 'totals that are empty', key: 'totals', value: Buffer.alloc(0) },
    { what: 'totals beyond any number', key: 'totals', value: Buffer.alloc(24, 0xff) },
    { what: 'totals below what there is', key: 'totals', value: Buffer.alloc(24) },
  ]

  async function damage(store: OpenStore, key: string, value: Uint8Array): Promise<void> {
    await store.rows.write([{ type: 'put', space: SPACES.own, key: fromUtf8(key), value }])
  }

  for (const { what, key, value } of damages) {
    it(`is a CorruptError, and payloads stay: ${what}`, async (t) => {
      const store = await openStore(t)
      await store.chunks.write([chunkOf(1), chunkOf(2)])
      await damage(store, key, value)
      await assert.rejects(store.reopen(), CorruptError)
    })
  }

  it('a row of a chunk that cannot be read is a CorruptError with its id', async (t) => {
    const { rows, chunks } = await openStore(t)
    const { id } = chunkOf(1)
    await chunks.write([chunkOf(1), chunkOf(2)])
    await rows.write([{ type: 'put', space: SPACES.chunks, key: id, value: Buffer.of(200, 1) }])
    for (const call of [() => chunks.read(id), () => chunks.info(id)]) {
      assert.throws(call, (error) => error instanceof CorruptError && error.message.includes('damaged'))
    }
    assert.deepEqual(Buffer.from(chunks.read(chunkOf(2).id) ?? []), chunkOf(2).bytes)
  })

  it('the number of the next flist is a CorruptError, and nothing is put under another’s', async (t) => {
    const store = await openStore(t)
    await putFlist(store, [1])
    await damage(store, 'next-flist', Buffer.of(1))
    await assert.rejects(putFlist(store, [2]), CorruptError)
  })
})
