/** The contract of `RowStore`. Every implementation passes all of it; there are no skips. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import type { RowChange, RowRange, RowStore } from '../../src/store/row-store.ts'
import { fromUtf8, toUtf8 } from '../../src/util/bytes.ts'

export function putRow(space: string, key: string, value: string): RowChange {
  return { type: 'put', space, key: fromUtf8(key), value: fromUtf8(value) }
}

export async function readRows(store: RowStore, space: string, range?: RowRange): Promise<string[]> {
  const found: string[] = []
  for await (const [key, value] of store.rows(space, range)) found.push(`${toUtf8(key)}=${toUtf8(value)}`)
  return found
}

export function testRowStore(name: string, open: (t: TestContext) => Promise<RowStore>): void {
  describe(`${name} is a RowStore`, () => {
    it('answers what was written, and nothing for what was not', async (t) => {
      const store = await open(t)
      await store.write([putRow('a', 'k', 'v')])
      assert.equal(toUtf8(store.get('a', fromUtf8('k')) ?? new Uint8Array()), 'v')
      assert.equal(store.get('a', fromUtf8('other')), undefined)
      assert.equal(store.get('b', fromUtf8('k')), undefined)
      const many = await store.getMany('a', [fromUtf8('none'), fromUtf8('k')])
      assert.deepEqual(
        many.map((value) => value && toUtf8(value)),
        [undefined, 'v'],
      )
    })

    it('keeps its own copy, and gives copies away', async (t) => {
      const store = await open(t)
      const value = fromUtf8('mine')
      const key = fromUtf8('k')
      const writing = store.write([{ type: 'put', space: 'a', key, value }])
      await writing
      value.fill(0)
      key.fill(0)
      const given = store.get('a', fromUtf8('k'))
      assert.equal(toUtf8(given ?? new Uint8Array()), 'mine')
      given?.fill(0)
      for await (const [rowKey, row] of store.rows('a')) {
        rowKey.fill(0)
        row.fill(0)
      }
      assert.deepEqual(await readRows(store, 'a'), ['k=mine'])
    })

    it('keeps spaces apart, also where one name begins with another', async (t) => {
      const store = await open(t)
      await store.write([putRow('a', 'k', '1'), putRow('ab', 'k', '2'), putRow('a', '', '0')])
      assert.deepEqual(await readRows(store, 'a'), ['=0', 'k=1'])
      assert.deepEqual(await readRows(store, 'ab'), ['k=2'])
    })

    it('gives ranges in byte order, both ways, with every bound', async (t) => {
      const store = await open(t)
      await store.write(['d', 'b', 'a', 'c', '\u00ff', 'aa'].map((key) => putRow('a', key, '')))
      assert.deepEqual(await readRows(store, 'a'), ['a=', 'aa=', 'b=', 'c=', 'd=', '\u00ff='])
      const [b, d] = [fromUtf8('b'), fromUtf8('d')]
      assert.deepEqual(await readRows(store, 'a', { gte: b, lt: d }), ['b=', 'c='])
      assert.deepEqual(await readRows(store, 'a', { gt: b, lte: d }), ['c=', 'd='])
      assert.deepEqual(await readRows(store, 'a', { lt: d, reverse: true, limit: 2 }), ['c=', 'b='])
      assert.deepEqual(await readRows(store, 'a', { gt: d, lt: b }), [])
      // Of two bounds on one side both hold.
      assert.deepEqual(await readRows(store, 'a', { gt: b, gte: d, lte: d }), ['d='])
      assert.deepEqual(await readRows(store, 'a', { gt: d, gte: b, lt: d }), [])
      assert.deepEqual(await readRows(store, 'a', { gt: b, gte: b, lt: d, lte: d }), ['c='])
      assert.deepEqual(await readRows(store, 'a', { gt: d, gte: b }), ['\u00ff='])
      assert.deepEqual(await readRows(store, 'a', { lt: d, lte: b }), ['a=', 'aa=', 'b='])
    })

    it('a range shows the state of its first step', async (t) => {
      const store = await open(t)
      await store.write([putRow('a', '1', ''), putRow('a', '2', ''), putRow('a', '3', '')])
      const seen: string[] = []
      for await (const [key] of store.rows('a')) {
        if (seen.length === 0) {
          await store.write([{ type: 'delete', space: 'a', key: fromUtf8('3') }, putRow('a', '4', '')])
        }
        seen.push(toUtf8(key))
      }
      assert.deepEqual(seen, ['1', '2', '3'])
      assert.deepEqual(await readRows(store, 'a'), ['1=', '2=', '4='])
    })

    it('lands writes in the order of their calls, the last one of a key wins', async (t) => {
      const store = await open(t)
      await Promise.all([
        store.write([putRow('a', 'k', '1')]),
        store.write([putRow('a', 'k', '2'), putRow('a', 'l', '2')]),
        store.write([{ type: 'delete', space: 'a', key: fromUtf8('l') }, putRow('a', 'k', '3')]),
        store.write([]),
      ])
      assert.deepEqual(await readRows(store, 'a'), ['k=3'])
    })

    it('rejects with the reason of an aborted signal, as it is', async (t) => {
      const store = await open(t)
      await store.write([putRow('a', '1', '')])
      const reason = new Error('enough')
      const signal = AbortSignal.abort(reason)
      await assert.rejects(store.getMany('a', [], { signal }), (error) => error === reason)
      await assert.rejects(
        async () => {
          for await (const _ of store.rows('a', {}, { signal })) assert.fail('a row')
        },
        (error) => error === reason,
      )
    })
  })
}
