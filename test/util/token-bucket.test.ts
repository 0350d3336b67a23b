import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { TokenBucket } from '../../src/util/token-bucket.ts'

describe('a token bucket', () => {
  it('lets through its rate and one bucket, whatever is taken and whenever', () => {
    const takes = fc.array(fc.integer({ min: 1, max: 5000 }), { minLength: 1, maxLength: 50 })
    fc.assert(
      fc.property(takes, fc.integer({ min: 100, max: 100_000 }), (units, perS) => {
        const bucket = new TokenBucket(perS, 0)
        let nowMs = 0
        let taken = 0
        for (const one of units) {
          nowMs += bucket.waitMs(nowMs)
          // All but the last one that was taken fitted into the time.
          assert.ok(taken <= perS / 5 + (nowMs * perS) / 1000 + 1e-6)
          bucket.take(one, nowMs)
          taken += one
        }
        // And nobody waited longer than that takes.
        const last = units.at(-1) ?? 0
        assert.ok(nowMs <= Math.max(0, ((taken - last - perS / 5) / perS) * 1000) + units.length + 1)
      }),
    )
  })

  it('holds no more than a bucket after a quiet time, and takes back what was not used', () => {
    const bucket = new TokenBucket(1000, 0)
    bucket.take(200, 3_600_000)
    assert.equal(bucket.waitMs(3_600_000), 1)
    bucket.take(500, 3_600_001)
    bucket.giveBack(499)
    assert.ok(bucket.waitMs(3_600_001) <= 1)
  })
})
