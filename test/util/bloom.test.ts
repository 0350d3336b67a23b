import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { BloomFilter } from '../../src/util/bloom.ts'

describe('a Bloom filter', () => {
  it('knows all it was given, hardly anything else, and nothing once it was cleared', () => {
    const key = (at: number) => createHash('md5').update(String(at)).digest()
    const filter = new BloomFilter()
    for (let at = 0; at < 20_000; at++) filter.add(key(at))
    for (let at = 0; at < 20_000; at++) assert.ok(filter.has(key(at)))
    let wrong = 0
    for (let at = 20_000; at < 40_000; at++) if (filter.has(key(at))) wrong++
    assert.ok(wrong < 1000, `${wrong} of 20,000`)
    filter.clear()
    assert.ok(!filter.has(key(1)))
  })
})
