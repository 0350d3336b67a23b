import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { UnauthorizedError, UnavailableError } from '../../src/errors.ts'
import { signingKey } from '../../src/format/ed25519.ts'
import { signRecord } from '../../src/format/governance-record.ts'
import { tokenRealm } from '../../src/repo/own-realm.ts'
import { encodeToken } from '../../src/repo/token-format.ts'
import { Tokens } from '../../src/repo/tokens.ts'
import type { TokensOptions } from '../../src/repo/tokens.ts'
import { exchange, farm, firstRoot, keyOf, newcomer, realmNode } from './a-realm.ts'
import type { RealmNode } from './a-realm.ts'
import { START_MS, temporaryFolder } from './a-repository.ts'

const START_S = START_MS / 1000
/** A seed that the operator gave, and that others have too. */
const SHARED = new Uint8Array(32).fill(9)

function tokensOf(node: RealmNode, options: Partial<TokensOptions> = {}): Tokens {
  const own = node.key.publicKey // what realmNode makes the token key of
  const deps = { rows: node.rows, clock: node.clock.read, realm: tokenRealm(node.realm, node.admin) }
  return new Tokens(deps, { seed: own, isOwnSeed: true, ownSeed: own, ...options })
}

const refusal = (message: string) => ({ constructor: UnauthorizedError, message })

describe('in a realm a token', () => {
  it('of one member is good on every other, also the one of its administrator', async (context) => {
    const [a, b] = (await farm(2)) as [RealmNode, RealmNode]
    const [onA, onB] = [tokensOf(a), tokensOf(b)]
    const { token } = await onA.issue('alice')
    assert.equal(onB.verify(token), 'alice')
    const admin = await onA.ensureAdminToken(join(await temporaryFolder(context), 'admin.token'))
    assert.equal(onB.verify(admin.token), 'Administrator')
  })

  it('is nothing on a node of another realm, or of somebody who was never admitted', async () => {
    const [a, b] = (await farm(2)) as [RealmNode, RealmNode]
    const { token } = await tokensOf(a).issue('alice')
    const other = await realmNode(firstRoot(keyOf(4), keyOf(5)), keyOf(20), [keyOf(5)])
    await other.admin.admitSelf()
    assert.throws(() => tokensOf(other).verify(token), refusal('invalid signature'))
    const foreign = await tokensOf(other).issue('alice')
    assert.throws(() => tokensOf(b).verify(foreign.token), refusal('invalid signature'))
  })

  it('that one member revoked is void on all, once they know, whatever is remembered of it', async () => {
    const [a, b, c] = (await farm(3)) as [RealmNode, RealmNode, RealmNode]
    const [onA, onB, onC] = [tokensOf(a), tokensOf(b), tokensOf(c)]
    const [first, second, third] = [
      await onA.issue('alice'),
      await onA.issue('bob'),
      await onA.issue('carol'),
    ]
    for (const { token } of [first, second, third]) onC.verify(token)
    await onB.revoke(first.id)
    await onB.revoke('bob')
    await onB.revoke(third.token)
    onC.verify(first.token)
    await exchange([a, b, c])
    for (const { token } of [first, second, third]) {
      for (const tokens of [onA, onB, onC])
        assert.throws(() => tokens.verify(token), refusal('token revoked'))
    }
    const again = await onA.issue('bob')
    assert.equal(onC.verify(again.token), 'bob')
    assert.ok(again.createdS > START_S)
  })

  it('was void before the realm was made, and is void in it', async () => {
    const root = firstRoot()
    const a = await realmNode(root, keyOf(10), [keyOf(2), keyOf(1)])
    await a.admin.admitSelf()
    const onA = tokensOf(a)
    const [one, two] = [await onA.issue('alice'), await onA.issue('alice')]
    await onA.revoke(one.id)
    assert.equal([...a.realm.items()].length, 2)
    await a.admin.create('farm', { name: 'one', addresses: [] })
    await onA.shareRevocations()
    const before = [...a.realm.items()].length
    await onA.shareRevocations()
    assert.equal([...a.realm.items()].length, before)
    const b = await realmNode(root, keyOf(11))
    await a.admin.admit(newcomer(b, 'b'))
    await exchange([a, b])
    assert.throws(() => tokensOf(b).verify(one.token), refusal('token revoked'))
    assert.equal(tokensOf(b).verify(two.token), 'alice')
  })

  it('is void when its node is cut or has left, also one that was good a moment ago', async () => {
    const [a, b, c] = (await farm(3)) as [RealmNode, RealmNode, RealmNode]
    const onA = tokensOf(a)
    const { token } = await tokensOf(b).issue('alice')
    const left = await tokensOf(c).issue('alice')
    assert.equal(onA.verify(token), 'alice')
    assert.equal(onA.verify(left.token), 'alice')
    await a.admin.cut(b.key.publicKey, [])
    await c.admin.leave()
    await exchange([a, c])
    for (const one of [token, left.token]) assert.throws(() => onA.verify(one), refusal('invalid signature'))
    await a.admin.uncut(b.key.publicKey)
    assert.equal(onA.verify(token), 'alice')
  })

  it('signed with a seed that an operator gave counts where it is given, and never for Administrator', async (context) => {
    const [a, b] = (await farm(2)) as [RealmNode, RealmNode]
    const given = { seed: SHARED, isOwnSeed: false }
    const onA = tokensOf(a, given)
    const stranger = (user: string) =>
      encodeToken({ user, issuedS: START_S, expiresS: undefined }, signingKey(SHARED))
    assert.equal(onA.verify(stranger('alice')), 'alice')
    assert.throws(() => onA.verify(stranger('Administrator')), refusal('invalid signature'))
    assert.throws(() => tokensOf(b).verify(stranger('alice')), refusal('invalid signature'))
    // Its own go by the key that the members know.
    assert.equal(tokensOf(b).verify((await onA.issue('alice')).token), 'alice')
    const path = join(await temporaryFolder(context), 'admin.token')
    await onA.ensureAdminToken(path)
    assert.equal(tokensOf(b).verify(await readFile(path, 'utf8')), 'Administrator')
    // A member that names that seed as its token key lends nobody more.
    await a.admin.admit({ ...newcomer(b, 'b'), tokenKey: signingKey(SHARED).publicKey })
    assert.throws(() => onA.verify(stranger('Administrator')), refusal('invalid signature'))
  })

  it('is not made while a member voids all of its user’s far into the future', async () => {
    const [a, b] = (await farm(2)) as [RealmNode, RealmNode]
    const far = signRecord(
      {
        type: 'token.revoke',
        realm: a.realm.id,
        rootVersion: 1,
        issuedS: 5,
        user: 'alice',
        untilS: START_S + 9999,
      },
      b.key,
    )
    await a.realm.receive([far.bytes])
    await assert.rejects(tokensOf(a).issue('alice'), UnavailableError)
    assert.equal((await tokensOf(a).issue('bob')).user, 'bob')
  })

  it('is looked for among the members once, however often it comes, until governance changes', async () => {
    const [a, b] = (await farm(2)) as [RealmNode, RealmNode]
    const { token } = await tokensOf(b).issue('alice')
    const real = tokenRealm(a.realm, a.admin)
    let walks = 0
    const realm = {
      ...real,
      isShared: true,
      get governance() {
        const { isRevoked, members } = real.governance
        return {
          isRevoked,
          get members() {
            return (walks++, members)
          },
        }
      },
    }
    const deps = { rows: a.rows, clock: a.clock.read, realm }
    const onA = new Tokens(deps, { seed: a.key.publicKey, isOwnSeed: true })
    for (let count = 0; count < 10; count++) {
      onA.verify(token)
      assert.throws(() => onA.verify('A'.repeat(120)), UnauthorizedError)
    }
    assert.equal(walks, 2)
    await a.admin.revoke([{ user: 'bob' }])
    onA.verify(token)
    assert.equal(walks, 3)
  })
})
