import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CorruptError, InvalidInputError } from '../../src/errors.ts'
import { signingKey } from '../../src/format/ed25519.ts'
import { LoginKeys } from '../../src/repo/login-keys.ts'
import { ThreeBotLogin, type PendingState } from '../../src/repo/three-bot-login.ts'
import { fuzzRuns } from '../doubles/golden.ts'
import { ThreeBotUser } from '../doubles/login-server.ts'
import { MapRows } from '../doubles/map-rows.ts'
import { START_MS, TestClock } from './a-repository.ts'

const ALICE = new ThreeBotUser('alice.3bot', Buffer.alloc(32, 5))
const ALICE_KEY = new Uint8Array(Buffer.from(ALICE.publicKey, 'base64'))
const OPTIONS = { privateKey: Buffer.alloc(32, 6), appId: 'hub', loginUrl: 'http://login.example' }
const OPEN: PendingState = { isOpen: () => true, use: () => true }

function open(rows = new MapRows()) {
  const keys = new LoginKeys(rows, new TestClock().read)
  return { rows, keys, login: new ThreeBotLogin(OPTIONS, keys, () => Promise.resolve(ALICE_KEY)) }
}

describe('a signed attempt', () => {
  it('is refused as input, whatever it is, unless it proves a user', async () => {
    const json = fc.json().map((text) => ALICE.sign(Buffer.from(text)))
    const claims = fc.object({
      key: fc.constantFrom('signedState', 'data', 'nonce', 'ciphertext', 'appId', 'x'),
    })
    const signed = claims.map((one) => ALICE.sign(Buffer.from(JSON.stringify({ signedState: 's', ...one }))))
    const bytes = fc.uint8Array({ maxLength: 300 }).map((one) => ALICE.sign(one))
    const outer = fc
      .record({ signedAttempt: fc.anything(), doubleName: fc.anything() })
      .map((one) => stringify(one))
    const any = fc.oneof(fc.string({ unit: 'binary' }), fc.json(), json, signed, bytes, outer)
    const { login, rows } = open()
    await fc.assert(
      fc.asyncProperty(any, async (text) => {
        await assert.rejects(login.signIn(text, OPEN), InvalidInputError)
      }),
      { numRuns: fuzzRuns(300) },
    )
    assert.equal(rows.writes, 0)
  })

  it('of a state that ends while the key is asked for signs nobody in, and pins nothing', async () => {
    const { login, keys } = open()
    const attempt = ALICE.attempt(login.url('s'.repeat(32), '/callback'))
    await assert.rejects(login.signIn(attempt, { ...OPEN, use: () => false }), InvalidInputError)
    assert.equal(keys.find('alice.3bot'), undefined)
    assert.equal(await login.signIn(attempt, OPEN), 'alice.3bot')
  })

  it('of a key that was pinned differently in the meantime signs nobody in', async () => {
    const rows = new MapRows()
    const keys = new LoginKeys(rows, new TestClock().read)
    const other = signingKey(Buffer.alloc(32, 9)).publicKey
    const slow = new ThreeBotLogin(OPTIONS, keys, async (user) => {
      await keys.pin(user, other)
      return ALICE_KEY
    })
    const attempt = ALICE.attempt(slow.url('s', '/callback'))
    await assert.rejects(slow.signIn(attempt, OPEN), InvalidInputError)
    assert.deepEqual(keys.find('alice.3bot')?.publicKey, other)
  })
})

describe('a pinned key', () => {
  it('is the first of two, outlives a restart, and is listed by name', async () => {
    const { keys, rows } = open()
    const [one, two] = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2)]
    const long = 'é'.repeat(120)
    const pinned = await Promise.all([keys.pin('bob', one), keys.pin('bob', two), keys.pin(long, two)])
    assert.deepEqual(pinned[1], { user: 'bob', publicKey: one, pinnedS: START_MS / 1000 })
    const again = open(rows).keys
    assert.deepEqual(again.find('bob'), pinned[0])
    assert.equal(again.find('bo'), undefined)
    assert.deepEqual(
      (await again.list()).map(({ user }) => user),
      ['bob', long],
    )
    assert.deepEqual([await again.forget('bob'), await again.forget('bob')], [true, false])
    assert.deepEqual((await again.pin('bob', two)).publicKey, two)
  })

  it('is not there when its write failed, and damaged ones are named', async () => {
    const { keys, rows } = open()
    rows.failure = { error: new Error('disk'), butKeep: false }
    await assert.rejects(keys.pin('bob', ALICE_KEY), /disk/)
    rows.failure = undefined
    assert.equal(keys.find('bob'), undefined)
    await keys.pin('bob', ALICE_KEY)
    for (const [key, value] of rows.space('login')) rows.space('login').set(key, value.subarray(0, 20))
    assert.throws(() => keys.find('bob'), CorruptError)
  })
})

function stringify(value: unknown): string {
  try {
    return JSON.stringify(value) ?? ''
  } catch {
    return '' // circular, or a bigint
  }
}
