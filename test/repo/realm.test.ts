import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { CorruptError, ForbiddenError, HubError, MalformedError } from '../../src/errors.ts'
import { signRecord } from '../../src/format/governance-record.ts'
import { signRoot } from '../../src/format/root-document.ts'
import { Judging } from '../../src/repo/judging.ts'
import { itemChange, openRealm } from '../../src/repo/realm.ts'
import { fromUtf8, toHex } from '../../src/util/bytes.ts'
import { MapRows } from '../doubles/map-rows.ts'
import { exchange, farm, filled, firstRoot, keyOf, newcomer, realmNode, summary } from './a-realm.ts'
import type { RealmNode } from './a-realm.ts'

const itemsOf = ({ realm }: RealmNode) => [...realm.items()].map(({ bytes }) => bytes)
const nodesOf = ({ realm }: RealmNode) => realm.governance.members.map(({ node }) => node)

/** A realm with everything in it: two administrators, a cut, one taken back, a leave, revocations. */
async function rich(): Promise<RealmNode[]> {
  const nodes = await farm(5)
  const [founder, second, third, fourth] = nodes as [RealmNode, RealmNode, RealmNode, RealmNode]
  await founder.admin.addAdmin(second.key.publicKey)
  await founder.admin.cut(third.key.publicKey, [{ log: filled(32, 50), sequence: 3, hash: filled(32, 3) }])
  await founder.admin.cut(fourth.key.publicKey, [])
  await founder.admin.uncut(fourth.key.publicKey)
  await fourth.admin.revoke([{ user: 'alice' }])
  await fourth.admin.leave()
  await exchange(nodes)
  const late = await realmNode(firstRoot(), keyOf(30))
  await second.admin.admit(newcomer(late, 'late'))
  await exchange(nodes)
  return nodes
}

describe('a realm', () => {
  it('comes to the same from the same records, in any order and in any parts that rest on themselves', async () => {
    const [founder] = (await rich()) as [RealmNode]
    const all = itemsOf(founder)
    await fc.assert(
      fc.asyncProperty(
        fc.shuffledSubarray(all, { minLength: all.length }),
        fc.subarray(all),
        async (some, twice) => {
          const node = await realmNode(firstRoot(), keyOf(40))
          await node.realm.receive([...some, ...twice])
          assert.equal(toHex(node.realm.digest()), toHex(founder.realm.digest()))
          assert.equal(
            summary(node.realm.governance, nodesOf(founder)),
            summary(founder.realm.governance, nodesOf(founder)),
          )
          const again = await openRealm(node.rows, node.realm.id)
          assert.equal(toHex(again.digest()), toHex(founder.realm.digest()))
        },
      ),
      { numRuns: 50 },
    )
  })

  it('never goes back: what is known already changes nothing, and an older state adds nothing (I7)', async () => {
    const nodes = await rich()
    const [founder] = nodes as [RealmNode]
    const { writes } = founder.rows
    const digest = toHex(founder.realm.digest())
    for (const { bytes } of founder.realm.items()) {
      assert.deepEqual(await founder.realm.receive([bytes]), [])
    }
    assert.equal(founder.rows.writes, writes)
    assert.equal(toHex(founder.realm.digest()), digest)
  })

  it('refuses everything of a peer that sends one thing which must not be kept', async () => {
    const [founder, member] = (await farm(2)) as [RealmNode, RealmNode]
    const { realm } = member
    const common = { realm: realm.id, rootVersion: 1, issuedS: 9 }
    const stranger = keyOf(99)
    const add = {
      ...common,
      type: 'node.add',
      tokenKey: filled(32, 7),
      roles: ['writer'],
      name: 'x',
      addresses: [],
    } as const
    const cut = { ...common, type: 'node.cut', node: founder.key.publicKey } as const
    const roles = firstRoot().root.roles
    const foreign = signRoot(
      {
        version: 2,
        previous: firstRoot().hash,
        roles: { ...roles, root: { keys: [stranger.publicKey], threshold: 1 } },
        issuedS: 5,
      },
      [stranger],
    )
    const loose = signRoot({ version: 3, previous: filled(32, 1), roles, issuedS: 5 }, [keyOf(1)])
    const padded = signRoot({ version: 2, previous: firstRoot().hash, roles, issuedS: 5 }, [
      keyOf(1),
      stranger,
    ])
    const attempts = {
      'a stranger adds itself': signRecord({ ...add, node: stranger.publicKey }, stranger),
      'a member adds another': signRecord({ ...add, node: stranger.publicKey }, member.key),
      'a member cuts another': signRecord({ ...cut, others: 'all', ends: [] }, member.key),
      'a member takes back what it wrote': signRecord(
        { ...cut, node: member.key.publicKey, others: 'none', ends: [] },
        member.key,
      ),
      'a stranger voids tokens': signRecord(
        { ...common, type: 'token.revoke', user: 'alice', untilS: 9 },
        stranger,
      ),
      'a member names the realm': signRecord({ ...common, type: 'realm.name', name: 'mine' }, member.key),
      'a member purges': signRecord({ ...common, type: 'flist.purge', flist: filled(32, 1) }, member.key),
      'the administrator of another realm': signRecord(
        { ...add, realm: filled(32, 1), node: stranger.publicKey },
        keyOf(2),
      ),
      'a root that the one before did not sign': foreign,
      'a root that follows none': loose,
      'a root with a signature too many': padded,
      'the first root of another realm': firstRoot(keyOf(1), keyOf(2), 77),
    }
    const good = signRecord({ ...common, type: 'token.revoke', user: 'bob', untilS: 9 }, member.key)
    const digest = toHex(realm.digest())
    for (const [what, { bytes }] of Object.entries(attempts)) {
      for (const list of [[bytes], [bytes, good.bytes], [good.bytes, bytes]]) {
        await assert.rejects(
          realm.receive(list),
          (error) => error instanceof ForbiddenError || error instanceof MalformedError,
          what,
        )
        assert.equal(toHex(realm.digest()), digest, what)
      }
    }
    await realm.receive([good.bytes])
    assert.notEqual(toHex(realm.digest()), digest)
  })

  it('keeps nothing of altered bytes (I1)', async () => {
    const [founder] = (await rich()) as [RealmNode]
    const all = itemsOf(founder)
    const node = await realmNode(firstRoot(), keyOf(40))
    const digest = toHex(node.realm.digest())
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...all),
        fc.nat(),
        fc.integer({ min: 1, max: 255 }),
        async (bytes, at, flip) => {
          const altered = Uint8Array.from(bytes)
          altered[at % altered.length] = (altered[at % altered.length] ?? 0) ^ flip
          await assert.rejects(node.realm.receive([altered]), HubError)
          assert.equal(toHex(node.realm.digest()), digest)
        },
      ),
      { numRuns: 500 },
    )
  })

  it('is shared once it has a name or a second member', async () => {
    const root = firstRoot()
    const node = await realmNode(root, keyOf(10), [keyOf(2), keyOf(1)])
    await node.admin.admitSelf()
    assert.ok(!node.realm.isShared)
    await node.admin.create('farm', { name: 'one', addresses: [] })
    assert.ok(node.realm.isShared)
    const joined = await realmNode(root, keyOf(11))
    await node.admin.admit(newcomer(joined, 'two'))
    await joined.realm.receive(itemsOf(node))
    assert.ok(joined.realm.isShared)
  })

  it('counts nothing that is not on the disk', async () => {
    const [founder, member] = (await farm(2)) as [RealmNode, RealmNode]
    let told = 0
    founder.realm.subscribe(() => told++)
    founder.rows.failure = { error: new Error('no space'), butKeep: false }
    await assert.rejects(founder.admin.cut(member.key.publicKey, []), /no space/)
    assert.ok(founder.realm.governance.isMember(member.key.publicKey))
    assert.equal(told, 0)
    founder.rows.failure = undefined
    const nodes = await founder.admin.cut(member.key.publicKey, [])
    assert.deepEqual(nodes.map(toHex), [toHex(member.key.publicKey)])
    assert.equal(told, 1)
    assert.ok(!(await openRealm(founder.rows, founder.realm.id)).governance.isMember(member.key.publicKey))
  })

  it('reads the rows of the first releases, and renames them', async () => {
    const rows = new MapRows()
    const root = firstRoot()
    const key = keyOf(10).publicKey
    const fields = { tokenKey: filled(32, 7), roles: ['writer'], name: '', addresses: [] }
    const admission = signRecord(
      { type: 'node.add', realm: root.id, rootVersion: 1, issuedS: 5, node: key, ...fields },
      keyOf(2),
    )
    rows.space('gov').set(toHex(fromUtf8('root/0000000001')), root.bytes)
    rows.space('gov').set(toHex(Buffer.concat([fromUtf8('node/'), key])), admission.bytes)
    const realm = await openRealm(rows, root.id)
    assert.ok(realm.governance.isMember(key))
    const now = [...rows.space('gov').keys()].sort()
    assert.deepEqual(now, [root.hash, admission.hash].map((hash) => toHex(root.id) + toHex(hash)).sort())
    assert.equal(toHex((await openRealm(rows, root.id)).digest()), toHex(realm.digest()))
  })

  it('keeps realms apart, and says when its first root is missing or a row is damaged', async () => {
    const [mine, other] = [firstRoot(), firstRoot(keyOf(4), keyOf(5))]
    const rows = new MapRows()
    await rows.write([itemChange(mine.id, mine), itemChange(other.id, other)])
    const realm = await openRealm(rows, mine.id)
    assert.deepEqual(realm.hashes().map(toHex), [toHex(mine.hash)])
    await assert.rejects(openRealm(rows, filled(32, 1)), CorruptError)
    await rows.write([{ ...itemChange(mine.id, mine), value: filled(5, 1) } as never])
    await assert.rejects(openRealm(rows, mine.id), CorruptError)
  })
})

describe('judging anew', () => {
  it('happens after each change that operations count by, and after a crash before it was done', async () => {
    const [founder, member, other] = (await farm(3)) as [RealmNode, RealmNode, RealmNode]
    await founder.realm.setJudged(founder.realm.unjudged(), founder.realm.digest())
    const judged: string[][] = []
    const failures: unknown[] = []
    let isBroken = true
    const open = (realm = founder.realm) =>
      new Judging({
        realm,
        repositories: {
          recount: (nodes) => {
            if (isBroken) return Promise.reject(new Error('broken'))
            judged.push(nodes.map(toHex))
            return Promise.resolve()
          },
        },
        onError: (error) => failures.push(error),
      })
    const first = open()
    await first.start()
    await founder.admin.cut(member.key.publicKey, [])
    await first.settled()
    await first.stop()
    assert.deepEqual(judged, [])
    assert.ok(failures.length > 0)
    isBroken = false
    const realm = await openRealm(founder.rows, founder.realm.id)
    const second = open(realm)
    await second.start()
    assert.deepEqual(judged, [[toHex(member.key.publicKey)]])
    assert.deepEqual(realm.unjudged(), [])
    await realm.receive([
      signRecord(
        {
          type: 'node.cut',
          realm: realm.id,
          rootVersion: 1,
          issuedS: 9,
          node: other.key.publicKey,
          others: 'none',
          ends: [],
        },
        keyOf(2),
      ).bytes,
    ])
    await second.settled()
    await second.stop()
    assert.deepEqual(judged.at(-1), [toHex(other.key.publicKey)])
  })
})
