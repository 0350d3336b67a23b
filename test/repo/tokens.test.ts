import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HubError, InvalidInputError, MalformedError, UnauthorizedError } from '../../src/errors.ts'
import { signingKey } from '../../src/format/ed25519.ts'
import { encodeToken, MAX_TOKEN_BYTES } from '../../src/repo/token-format.ts'
import { Tokens } from '../../src/repo/tokens.ts'
import type { TokensOptions } from '../../src/repo/tokens.ts'
import { MapRows } from '../doubles/map-rows.ts'
import { START_MS, temporaryFolder, TestClock } from './a-repository.ts'

const RECORDED = '../shared/golden/hub'
/** The seed of the recorded profile `auth`: 32 bytes. */
const RECORDED_SEED = Buffer.from('0123456789abcdef0123456789abcdef')
const SEED = new Uint8Array(32).fill(9)
const START_S = START_MS / 1000
const DAY_S = 86_400

function open(options: Partial<TokensOptions> = {}, rows = new MapRows(), clock = new TestClock()) {
  const tokens = new Tokens({ rows, clock: clock.read }, { seed: SEED, isOwnSeed: true, ...options })
  return { tokens, rows, clock }
}

const refusal = (message: string) => ({ constructor: UnauthorizedError, message })

/** A token as somebody with the seed makes it. */
function sign(user: string, issuedS: number, expiresS?: number): string {
  return encodeToken({ user, issuedS, expiresS }, signingKey(SEED))
}

describe('a token', () => {
  it('proves its user until it expires', async () => {
    const { tokens, clock } = open()
    const issued = await tokens.issue('alice.3bot', 60)
    assert.equal(issued.user, 'alice.3bot')
    assert.equal(issued.expiresS, START_S + 60)
    clock.ms += 59_000
    assert.deepEqual(tokens.read(issued.token), {
      user: 'alice.3bot',
      issuedS: START_S,
      expiresS: START_S + 60,
    })
    clock.ms += 1000
    assert.throws(() => tokens.verify(issued.token), refusal('token expired'))
  })

  it('lives 30 days with an own seed, for ever with an operator’s, and as long as it says', async () => {
    const own = open()
    assert.equal((await own.tokens.issue('alice')).expiresS, START_S + 30 * DAY_S)
    assert.equal((await own.tokens.issue('alice', 0)).expiresS, undefined)
    const given = open({ isOwnSeed: false })
    const { token, expiresS } = await given.tokens.issue('alice')
    assert.equal(expiresS, undefined)
    given.clock.ms += 3650 * DAY_S * 1000
    assert.equal(given.tokens.verify(token), 'alice')
    assert.equal((await given.tokens.issue('alice', 60)).expiresS, given.clock.ms / 1000 + 60)
    assert.equal((await open({ ttlS: 5 }).tokens.issue('alice')).expiresS, START_S + 5)
  })

  it('that does not say lives as long as the node is set to', () => {
    const token = sign('alice', START_S - 31 * DAY_S)
    assert.throws(() => open().tokens.verify(token), refusal('token expired'))
    assert.equal(open({ isOwnSeed: false }).tokens.verify(token), 'alice')
    assert.equal(open({ ttlS: 32 * DAY_S }).tokens.verify(token), 'alice')
    assert.equal(open().tokens.verify(sign('alice', 1, 0)), 'alice')
  })

  it('from over 10 minutes ahead has expired', () => {
    const { tokens } = open({ isOwnSeed: false })
    assert.equal(tokens.verify(sign('alice', START_S + 600)), 'alice')
    assert.throws(() => tokens.verify(sign('alice', START_S + 601)), refusal('token expired'))
  })

  it('is nothing with a byte changed, cut, under another seed, or too long', async () => {
    const { tokens } = open()
    const { token } = await tokens.issue('alice')
    assert.throws(() => open({ seed: RECORDED_SEED }).tokens.verify(token), refusal('invalid signature'))
    fc.assert(
      fc.property(fc.nat(token.length - 3), fc.constantFrom('A', 'b', '_', '0'), (at, letter) => {
        const other = token.slice(0, at) + letter + token.slice(at + 1)
        if (!Buffer.from(other, 'base64url').equals(Buffer.from(token, 'base64url')))
          assert.throws(() => tokens.verify(other), refusal('invalid signature'))
      }),
    )
    const long = sign('a'.repeat(MAX_TOKEN_BYTES), START_S)
    for (const other of [
      '',
      'x',
      token.slice(0, 80),
      `${token} `,
      `${token}\n`,
      `${token}.a`,
      long,
      'ÿ'.repeat(99),
    ]) {
      assert.throws(() => tokens.verify(other), refusal('invalid signature'))
    }
  })

  const signed = (payload: string) => {
    const bytes = Buffer.from(payload)
    return Buffer.concat([signingKey(SEED).sign(bytes), bytes]).toString('base64url')
  }

  it('is an error of whoever holds the seed when it is signed and no JSON', () => {
    for (const payload of ['nope', '["alice",', '\xff'])
      assert.throws(() => open().tokens.verify(signed(payload)), MalformedError)
  })

  const payloads = ['{"user":1}', '[]', '["alice"]', '["alice",-1]', '["alice",1.5]', '[1,1]', '["",1]']
  for (const payload of [
    ...payloads,
    '["alice",1,"x"]',
    '["alice",1,0,0]',
    '["alice",1e99]',
    '["alice",null]',
  ]) {
    it(`is nothing when it is signed but says ${payload}`, () => {
      assert.throws(() => open().tokens.verify(signed(payload)), refusal('invalid signature'))
    })
  }

  it('is not made for a user who can have no repository', async () => {
    for (const user of ['', '..', 'a/b', 'api'])
      await assert.rejects(open().tokens.issue(user), InvalidInputError)
  })

  it('is spelled as the original spells it, when it says no more', async () => {
    const { token } = await open({ isOwnSeed: false }).tokens.issue('alice.3bot')
    assert.equal(Buffer.from(token, 'base64url').subarray(64).toString(), `["alice.3bot", ${START_S}]`)
    assert.equal(token.length % 4, 0)
  })

  it('is taken as recorded', { skip: !existsSync(RECORDED) && `${RECORDED} is not here` }, async () => {
    const { tokens } = open({ seed: RECORDED_SEED, isOwnSeed: false }, new MapRows(), recordingClock())
    const verified = new Map<string, string>()
    for (const [id, token] of await recordedTokens())
      verified.set(
        id,
        outcome(() => tokens.verify(token)),
      )
    const expected = {
      '3bot-ok': 'alice.3bot',
      '3bot-ok-upper': 'alice.3bot',
      '3bot-old': 'alice.3bot',
      '3bot-dotted-name-ok': 'bob.3bot',
      '3bot-wrong-key': 'invalid signature',
      '3bot-garbage': 'invalid signature',
      '3bot-nonjson': 'a signed token is no JSON',
      '3bot-active-user-mapped-ok': 'tfofficial.3bot',
      'callback-token-works': 'alice.3bot',
    }
    for (const [id, result] of Object.entries(expected)) assert.equal(verified.get(id), result, id)
  })
})

describe('revocation', () => {
  it('voids a token by its id, however its base64 is spelled', async () => {
    const { tokens } = open()
    const { token, id } = await tokens.issue('alice')
    const other = await tokens.issue('alice')
    assert.deepEqual(
      (await tokens.revoke(id)).map((info) => [info.id, info.revoked]),
      [[id, true]],
    )
    const spellings = [token, token.replace(/=+$/, ''), token.replaceAll('-', '+').replaceAll('_', '/')]
    for (const spelling of spellings) assert.throws(() => tokens.verify(spelling), refusal('token revoked'))
    assert.equal(tokens.verify(other.token), 'alice')
  })

  it('voids all tokens of a user, and none of another', async () => {
    const { tokens } = open()
    const alice = [await tokens.issue('alice'), await tokens.issue('alice')]
    const bob = await tokens.issue('bob')
    assert.equal((await tokens.revoke('alice')).length, 2)
    for (const { token } of alice) assert.throws(() => tokens.verify(token), refusal('token revoked'))
    assert.equal(tokens.verify(bob.token), 'bob')
    assert.equal(tokens.verify((await tokens.issue('alice')).token), 'alice')
    assert.deepEqual(await tokens.revoke('nobody'), [])
    assert.deepEqual(await tokens.revoke('0123456789abcdef'), [])
  })

  it('voids a token that somebody else made with the seed, alone or with its user’s', async () => {
    const { tokens, clock } = open({ isOwnSeed: false })
    const [first, second] = [sign('alice', START_S - 9), sign('alice', START_S - 8)]
    assert.equal((await tokens.revoke(first)).length, 1)
    assert.throws(() => tokens.verify(first), refusal('token revoked'))
    assert.equal(tokens.verify(second), 'alice')
    assert.equal((await tokens.revoke('alice')).length, 1)
    assert.throws(() => tokens.verify(second), refusal('token revoked'))
    clock.ms += 1000
    assert.equal(tokens.verify(sign('alice', START_S + 1)), 'alice')
  })

  it('outlives a restart, and the list never shows a token', async () => {
    const { tokens, rows, clock } = open()
    const { token, ...info } = await tokens.issue('alice', 0)
    clock.ms += 5000
    await tokens.issue('bob')
    await tokens.revoke(token)
    const again = open({}, rows, clock).tokens
    assert.throws(() => again.verify(token), refusal('token revoked'))
    const list = await again.list()
    assert.deepEqual(list[0], { ...info, revoked: true })
    assert.deepEqual(
      list.map(({ user }) => user),
      ['alice', 'bob'],
    )
    assert.equal(JSON.stringify(list).includes(token), false)
    assert.equal(
      [...rows.space('token').values()].some((row) => Buffer.from(row).includes(token)),
      false,
    )
  })

  it('cannot be undone by making a token in the same second', async () => {
    const { tokens } = open()
    const { token } = await tokens.issue('alice')
    await tokens.revoke(token)
    assert.notEqual((await tokens.issue('alice')).token, token)
    assert.throws(() => tokens.verify(token), refusal('token revoked'))
  })
})

describe('the Administrator', () => {
  it('has a token in a file of its own, made once, that never expires', async (context) => {
    const path = join(await temporaryFolder(context), 'admin.token')
    const { tokens, rows, clock } = open()
    const made = await tokens.ensureAdminToken(path)
    assert.equal(made.isNew, true)
    assert.equal(await readFile(path, 'utf8'), made.token)
    assert.equal((await stat(path)).mode & 0o777, 0o600)
    clock.ms += 3650 * DAY_S * 1000
    assert.deepEqual(await open({}, rows, clock).tokens.ensureAdminToken(path), {
      token: made.token,
      isNew: false,
    })
    assert.equal(tokens.verify(made.token), 'Administrator')
  })

  it('keeps that token when the index is lost, and gets another when it was revoked or the seed changed', async (context) => {
    const path = join(await temporaryFolder(context), 'admin.token')
    const { token } = await open().tokens.ensureAdminToken(path)
    const { tokens } = open()
    assert.deepEqual(await tokens.ensureAdminToken(path), { token, isNew: false })
    assert.equal(tokens.verify(token), 'Administrator')
    await tokens.revoke('Administrator')
    const second = await tokens.ensureAdminToken(path)
    assert.equal(second.isNew, true)
    assert.equal(tokens.verify(second.token), 'Administrator')
    assert.throws(() => tokens.verify(token), refusal('token revoked'))
    const given = open({ seed: RECORDED_SEED, isOwnSeed: false }).tokens
    const third = await given.ensureAdminToken(path)
    assert.equal(third.isNew, true)
    assert.equal(given.verify(third.token), 'Administrator')
    await writeFile(path, 'garbage')
    assert.equal((await given.ensureAdminToken(path)).isNew, true)
  })

  it('gets another token in place of one that a clock far ahead has dated', async (context) => {
    const path = join(await temporaryFolder(context), 'admin.token')
    const { tokens, clock } = open()
    clock.ms += DAY_S * 1000
    await tokens.ensureAdminToken(path)
    clock.ms -= DAY_S * 1000
    const { token, isNew } = await tokens.ensureAdminToken(path)
    assert.equal(isNew, true)
    assert.equal(tokens.verify(token), 'Administrator')
  })

  it('is nobody’s user name: a token signed elsewhere is refused', () => {
    for (const isOwnSeed of [true, false]) {
      const { tokens } = open({ isOwnSeed })
      assert.throws(() => tokens.verify(sign('Administrator', START_S)), refusal('invalid signature'))
      assert.throws(() => tokens.verify(sign('Administrator', START_S, 0)), refusal('invalid signature'))
    }
  })
})

function outcome(verify: () => string): string {
  try {
    return verify()
  } catch (error) {
    return error instanceof HubError ? error.message : assert.fail(String(error))
  }
}

/** A day after the latest recorded token. */
function recordingClock(): TestClock {
  const clock = new TestClock()
  clock.ms = 1_795_500_000_000
  return clock
}

async function recordedTokens(): Promise<Array<[id: string, token: string]>> {
  const tokens: Array<[string, string]> = []
  for (const file of (await readdir(RECORDED)).filter((name) => /^\d+-.*\.json$/.test(name))) {
    const { id, request } = JSON.parse(await readFile(join(RECORDED, file), 'utf8')) as {
      id: string
      request: { headers: Record<string, string> }
    }
    const token = /^bearer (.*)$/i.exec(request.headers.Authorization ?? '')?.[1]
    if (token !== undefined) tokens.push([id, token])
  }
  return tokens
}
