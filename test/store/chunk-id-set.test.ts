import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ChunkIdSet } from '../../src/store/chunk-id-set.ts'
import { noise } from '../doubles/noise.ts'

const hex = (ids: Iterable<Uint8Array>) => Array.from(ids, (id) => Buffer.from(id).toString('hex'))

async function of(ids: readonly Uint8Array[]): Promise<ChunkIdSet> {
  const set = new ChunkIdSet()
  await set.addAll(ids)
  return set
}

describe('ChunkIdSet', () => {
  it('has ids of both lengths in byte order, each once, by first byte', async () => {
    const id = fc.uint8Array({ minLength: 16, maxLength: 16 })
    // few letters, and one a part of the other: they must differ in length alone now and then
    const near = fc
      .array(fc.constantFrom(0, 0, 255), { minLength: 16, maxLength: 16 })
      .map((bytes) => Uint8Array.from(bytes))
    const long = fc.oneof(near, id).map((bytes) => Uint8Array.from([...bytes, ...new Uint8Array(16)]))
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(id, near, long), { maxLength: 60 }), async (ids) => {
        const groups = [...(await of(ids)).inOrder()]
        const expected = [...new Map(ids.map((one) => [hex([one])[0], one])).values()].sort((a, b) =>
          Buffer.compare(a, b),
        )
        assert.deepEqual(hex(groups.flat()), hex(expected))
        for (const group of groups) assert.equal(new Set(group.map(([first]) => first)).size, 1)
      }),
    )
  })

  it('takes many that stand one behind the other', async () => {
    const packed = noise(1, 16 * 20_000)
    const ids = Array.from({ length: 20_000 }, (_, at) => packed.subarray(at * 16, at * 16 + 16))
    const set = new ChunkIdSet()
    for (let times = 0; times < 2; times++) await set.addPacked(packed, 16)
    assert.deepEqual(hex([...set.inOrder()].flat()), [...new Set(hex(ids))].sort())
  })

  it('of nothing has nothing', async () => {
    assert.deepEqual([...(await of([])).inOrder()], [])
  })
})
