import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ForbiddenError } from '../../src/errors.ts'
import { Invites } from '../../src/repo/invites.ts'
import { DAY_MS } from '../../src/util/units.ts'
import { MapRows } from '../doubles/map-rows.ts'
import { filled } from './a-realm.ts'
import { TestClock } from './a-repository.ts'

async function open(rows = new MapRows(), clock = new TestClock()) {
  return { rows, clock, invites: await Invites.open(rows, clock.read) }
}

describe('an invite of a node', () => {
  it('lets one guest in, once, also after a restart; its secret is not on the disk', async () => {
    const { invites, rows, clock } = await open()
    assert.equal(invites.areOpen, false)
    const { secret } = await invites.create()
    assert.ok(invites.areOpen)
    for (const space of rows.spaces.values())
      for (const [key, value] of space)
        assert.ok(
          !`${key}${Buffer.from(value).toString('hex')}`.includes(Buffer.from(secret).toString('hex')),
        )
    const again = (await open(rows, clock)).invites
    await again.use(secret, (burn) => rows.write([burn]))
    await assert.rejects(
      again.use(secret, () => Promise.resolve()),
      ForbiddenError,
    )
    assert.equal(again.areOpen, false)
    assert.equal((await open(rows, clock)).invites.areOpen, false)
  })

  it('lets in one of two that come at once, and another when the first was not admitted', async () => {
    const { invites, rows } = await open()
    const { secret } = await invites.create()
    const both = await Promise.allSettled([1, 2].map(() => invites.use(secret, (burn) => rows.write([burn]))))
    assert.deepEqual(both.map(({ status }) => status).sort(), ['fulfilled', 'rejected'])
    const next = await invites.create()
    await assert.rejects(
      invites.use(next.secret, () => Promise.reject(new Error('disk'))),
      /disk/,
    )
    await invites.use(next.secret, (burn) => rows.write([burn]))
  })

  it('ends after a day', async () => {
    const { invites, clock } = await open()
    const { secret } = await invites.create()
    clock.ms += DAY_MS
    assert.equal(invites.areOpen, false)
    await assert.rejects(
      invites.use(secret, () => Promise.resolve()),
      ForbiddenError,
    )
  })

  it('is not guessed: after a hundred wrong secrets nobody is let in until the next invite', async () => {
    const { invites } = await open()
    const { secret } = await invites.create()
    for (let count = 0; count < 100; count++)
      await assert.rejects(
        invites.use(filled(32, count), () => Promise.resolve()),
        ForbiddenError,
      )
    assert.equal(invites.areOpen, false)
    await assert.rejects(
      invites.use(secret, () => Promise.resolve()),
      ForbiddenError,
    )
    const next = await invites.create()
    await invites.use(next.secret, () => Promise.resolve())
  })
})
