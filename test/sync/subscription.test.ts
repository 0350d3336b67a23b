import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { parseSubscription } from '../../src/sync/subscription.ts'

describe('a subscription', () => {
  it('is everything, nothing, or what patterns say', () => {
    assert.ok(parseSubscription('mirror')?.wants('alice'))
    assert.equal(parseSubscription('cache')?.wants('alice'), false)
    const some = parseSubscription('repos:alice, tf-*,*.3bot')
    const wanted = ['alice', 'tf-', 'tf-zos', 'bob.3bot'].filter((name) => some?.wants(name))
    assert.deepEqual(wanted, ['alice', 'tf-', 'tf-zos', 'bob.3bot'])
    for (const name of ['alice2', 'Alice', 'tf', 'bob.3bots', '']) assert.equal(some?.wants(name), false)
  })

  it('is refused for anything else', () => {
    for (const text of ['', 'Mirror', 'repos', 'repos:', 'repos:a,,b', 'all']) {
      assert.equal(parseSubscription(text), undefined)
    }
  })

  it('matches as a regular expression would', () => {
    const letters = fc.stringMatching(/^[ab]{0,6}$/)
    const pattern = fc.stringMatching(/^[ab*]{1,6}$/)
    fc.assert(
      fc.property(pattern, letters, (text, name) => {
        const expected = new RegExp(`^${text.replaceAll('*', '.*')}$`).test(name)
        assert.equal(parseSubscription(`repos:${text}`)?.wants(name), expected)
      }),
    )
  })
})
