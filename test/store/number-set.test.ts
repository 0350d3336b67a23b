import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { NumberSet } from '../../src/store/number-set.ts'

const numbers = fc.oneof(fc.nat(70), fc.integer({ min: 65_500, max: 65_600 }), fc.nat(300_000))

describe('NumberSet', () => {
  it('has gaps exactly where its numbers are not', () => {
    fc.assert(
      fc.property(fc.array(numbers, { maxLength: 200 }), fc.nat(300_000), (added, end) => {
        const set = new NumberSet()
        for (const number of added) set.add(number)
        const expected: Array<{ from: number; to: number }> = []
        let from = 0
        for (const number of [...new Set(added)].filter((one) => one < end).sort((a, b) => a - b)) {
          if (number > from) expected.push({ from, to: number })
          from = number + 1
        }
        if (from < end) expected.push({ from, to: end })
        assert.deepEqual([...set.gaps(end)], expected)
      }),
    )
    const full = new NumberSet()
    for (let number = 0; number < 200_000; number++) full.add(number)
    assert.deepEqual([...full.gaps(200_000)], [])
    assert.deepEqual([...full.gaps(200_001)], [{ from: 200_000, to: 200_001 }])
  })
})
