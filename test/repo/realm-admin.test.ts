import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ConflictError, ForbiddenError, InvalidInputError, NotFoundError } from '../../src/errors.ts'
import { toHex } from '../../src/util/bytes.ts'
import { exchange, farm, filled, firstRoot, keyOf, newcomer, realmNode } from './a-realm.ts'
import type { RealmNode } from './a-realm.ts'

const LOG = filled(32, 50)
const isMember = (of: RealmNode, node: RealmNode) => of.realm.governance.isMember(node.key.publicKey)

describe('a node in its realm', () => {
  it('names the realm once, and itself in it', async () => {
    const node = await realmNode(firstRoot(), keyOf(10), [keyOf(2), keyOf(1)])
    await node.admin.admitSelf()
    for (const name of ['', ' x', 'x\n', 'x'.repeat(65)])
      await assert.rejects(node.admin.create(name, { name: 'one', addresses: [] }), InvalidInputError)
    await node.admin.create('my farm', { name: 'one', addresses: ['/ip4/10.0.0.1/tcp/9901'] })
    const { name, members } = node.realm.governance
    assert.equal(name, 'my farm')
    assert.deepEqual(
      members.map((member) => [member.name, member.roles, member.addresses]),
      [['one', ['writer', 'founder'], ['/ip4/10.0.0.1/tcp/9901']]],
    )
    await assert.rejects(node.admin.create('again', { name: 'one', addresses: [] }), ConflictError)
  })

  it('admits others when it holds a key for it, and gives each a name of its own', async () => {
    const [founder, member] = (await farm(2)) as [RealmNode, RealmNode]
    const late = await realmNode(firstRoot(), keyOf(30))
    assert.ok(founder.admin.mayAdmit && !member.admin.mayAdmit)
    await assert.rejects(member.admin.admit(newcomer(late, 'late')), ForbiddenError)
    const { name } = await founder.admin.admit(newcomer(late, 'node1'))
    assert.equal(name, 'node1-2')
    assert.equal((await founder.admin.admit(newcomer(late, 'node9'))).name, 'node9')
  })

  it('finds nodes by name and by the beginning of the key', async () => {
    const [founder, member] = (await farm(3)) as [RealmNode, RealmNode]
    const hex = toHex(member.key.publicKey)
    for (const text of ['node1', hex, hex.slice(0, 8)])
      assert.equal(toHex(founder.admin.find(text).node), hex)
    assert.throws(() => founder.admin.find('nobody'), NotFoundError)
    assert.throws(() => founder.admin.find(hex.slice(0, 2)), NotFoundError)
  })

  it('cuts a node to its last known operations, and takes that back', async () => {
    const [founder, member] = (await farm(2)) as [RealmNode, RealmNode]
    const node = member.key.publicKey
    await assert.rejects(member.admin.cut(founder.key.publicKey, []), ForbiddenError)
    await assert.rejects(founder.admin.cut(founder.key.publicKey, []), InvalidInputError)
    await assert.rejects(founder.admin.uncut(node), ConflictError)
    await founder.admin.cut(node, [{ log: LOG, sequence: 3, hash: filled(32, 3) }])
    assert.ok(!isMember(founder, member))
    assert.deepEqual(founder.realm.governance.limitsOf(node, LOG), [{ sequence: 3, hash: filled(32, 3) }])
    assert.equal(founder.realm.governance.limitsOf(node, filled(32, 51)), 'none')
    await assert.rejects(founder.admin.cut(node, []), ConflictError)
    await assert.rejects(founder.admin.admit(newcomer(member, 'again')), ForbiddenError)
    await founder.admin.uncut(node)
    assert.ok(isMember(founder, member))
    assert.equal(founder.realm.governance.limitsOf(node, LOG), 'all')
  })

  it('leaves by itself, and may come back', async () => {
    const [founder, member] = (await farm(2)) as [RealmNode, RealmNode]
    await member.admin.leave()
    await exchange([founder, member])
    const left = founder.realm.governance.member(member.key.publicKey)
    assert.deepEqual([left?.isCut, left?.hasLeft], [true, true])
    assert.equal(founder.realm.governance.limitsOf(member.key.publicKey, LOG), 'all')
    await founder.admin.admit(newcomer(member, 'back'))
    assert.ok(isMember(founder, member))
  })

  it('does not leave as the last that may admit others', async () => {
    const [founder, member] = (await farm(2)) as [RealmNode, RealmNode]
    await assert.rejects(founder.admin.leave(), ConflictError)
    await founder.admin.addAdmin(member.key.publicKey)
    await founder.admin.leave()
    assert.ok(!isMember(founder, founder))
  })

  it('voids tokens for everybody, and what a node revoked stays void when it is cut or leaves', async () => {
    const [founder, member, other] = (await farm(3)) as [RealmNode, RealmNode, RealmNode]
    await member.admin.revoke([{ token: filled(8, 1) }])
    await other.admin.revoke([{ user: 'alice' }])
    await other.admin.leave()
    await exchange([founder, member, other])
    await founder.admin.cut(member.key.publicKey, [])
    const { governance } = founder.realm
    assert.ok(governance.isRevoked(filled(8, 1), 'bob', 1))
    assert.ok(governance.isRevoked(filled(8, 2), 'alice', 1))
    assert.ok(!governance.isRevoked(filled(8, 2), 'bob', 1))
    await member.admin.revoke([{ user: 'bob' }])
    await exchange([founder, member])
    assert.ok(!founder.realm.governance.isRevoked(filled(8, 2), 'bob', 1))
  })
})

describe('a second administrator', () => {
  it('may do everything the first may, also without it', async () => {
    const [founder, second, third] = (await farm(3)) as [RealmNode, RealmNode, RealmNode]
    await assert.rejects(second.admin.addAdmin(second.key.publicKey), ForbiddenError)
    await founder.admin.addAdmin(second.key.publicKey)
    await assert.rejects(founder.admin.addAdmin(second.key.publicKey), ConflictError)
    await exchange([founder, second, third])
    assert.equal(second.realm.governance.root.version, 2)
    assert.ok(second.admin.mayAdmit && founder.admin.mayAdmit && !third.admin.mayAdmit)
    assert.ok(second.realm.governance.member(second.key.publicKey)?.isAdmin)
    await second.admin.addAdmin(third.key.publicKey)
    await exchange([founder, second, third])
    assert.ok(third.admin.mayAdmit)
  })

  it('is taken out of the root when it is cut; what it signed until then stays', async () => {
    const [founder, second, third] = (await farm(3)) as [RealmNode, RealmNode, RealmNode]
    await founder.admin.addAdmin(second.key.publicKey)
    await exchange([founder, second])
    const fourth = await realmNode(firstRoot(), keyOf(30))
    await second.admin.admit(newcomer(fourth, 'fourth'))
    await second.admin.cut(third.key.publicKey, [])
    await exchange([founder, second, third, fourth])
    await founder.admin.cut(second.key.publicKey, [])
    await exchange([founder, second, third, fourth])
    for (const node of [founder, second, third, fourth]) {
      assert.ok(isMember(node, fourth) && isMember(node, founder))
      assert.ok(!isMember(node, second) && !isMember(node, third))
      assert.equal(node.realm.governance.root.version, 3)
    }
    assert.ok(!second.admin.mayAdmit)
    // What its key signs now is kept, as it once was one, and counts nowhere.
    await assert.rejects(second.admin.uncut(second.key.publicKey), ForbiddenError)
  })

  it('can cut the founder, whose first keys then do nothing any more', async () => {
    const [founder, second, third] = (await farm(3)) as [RealmNode, RealmNode, RealmNode]
    await founder.admin.addAdmin(second.key.publicKey)
    await exchange([founder, second, third])
    await second.admin.cut(founder.key.publicKey, [])
    await exchange([founder, second, third])
    assert.ok(!founder.admin.mayAdmit && second.admin.mayAdmit)
    for (const node of [founder, second, third]) {
      assert.ok(!isMember(node, founder) && isMember(node, second) && isMember(node, third))
      assert.equal(node.realm.governance.name, 'farm')
    }
  })
})
