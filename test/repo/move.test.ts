import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Change } from '../../src/repo/entry.ts'
import { openIdentity } from '../../src/repo/identity.ts'
import { moveContent } from '../../src/repo/move.ts'
import type { Moved } from '../../src/repo/move.ts'
import { OperationReader } from '../../src/repo/operation-reader.ts'
import { openOwnRealm } from '../../src/repo/own-realm.ts'
import { enterChanges, movingFrom, readRealm } from '../../src/repo/realm-change.ts'
import { toHex } from '../../src/util/bytes.ts'
import { asText } from '../doubles/as-text.ts'
import type { MapRows } from '../doubles/map-rows.ts'
import { exchange, farm, newcomer } from './a-realm.ts'
import type { RealmNode } from './a-realm.ts'
import { ALICE, flist, openTestRepositories } from './a-repository.ts'
import type { Opened } from './a-repository.ts'

const holdsAll = (_flist: Uint8Array) => true

/** What people see of a data folder. */
function shown({ repositories }: Opened): string {
  const views = repositories.list().map((name) => {
    const of = (entries: ReturnType<typeof repositories.entries>) =>
      entries.map(({ name: entry, tag, target, updatedS }) => ({ entry, tag, target, updatedS }))
    const tags = repositories.tags(name).map((tag) => of(repositories.tagEntries(name, tag) ?? []))
    return { name, entries: of(repositories.entries(name)), tags, updatedS: repositories.updatedS(name) }
  })
  return asText(views)
}

/** The data folder's node is admitted to a realm of two others; its content is still to be moved. */
async function join({ rows, directory, clock }: Opened): Promise<RealmNode> {
  const [founder, other] = (await farm(2)) as [RealmNode, RealmNode]
  const identity = await openIdentity(rows, { directory, clock: clock.read })
  await founder.admin.admit({ ...newcomer(other, 'new'), node: identity.node.publicKey })
  await exchange([founder, other])
  const records = [...founder.realm.items()].map(({ bytes }) => bytes)
  await rows.write(
    enterChanges(identity.realm, readRealm(founder.realm.id, identity.node.publicKey, records)),
  )
  return founder
}

async function move({ rows, directory, clock }: Opened, holds = holdsAll): Promise<Moved | undefined> {
  const identity = await openIdentity(rows, { directory, clock: clock.read })
  const { realm } = await openOwnRealm(rows, identity, { directory, clock: clock.read })
  return moveContent({ rows, identity, clock: clock.read, authority: realm.governance, holds })
}

async function problemsOf({ repositories }: Opened): Promise<string[]> {
  const found: string[] = []
  for await (const { kind, id } of repositories.checkOperations({ holds: holdsAll }))
    found.push(`${kind} ${id}`)
  return found
}

const BOB = { sub: 'bob', idp: '3bot' } as const

async function withContent(opened: Opened): Promise<void> {
  const { repositories, clock } = opened
  await repositories.apply('alice', [{ type: 'put', name: 'a.flist', target: flist(1) }], ALICE)
  clock.ms += 1000
  await repositories.apply('alice', [{ type: 'put', name: 'a.flist', target: flist(2) }], BOB)
  await repositories.apply(
    'alice',
    [{ type: 'put', name: 'b.flist', target: { kind: 'link', name: 'a.flist' } }],
    ALICE,
  )
  const tagged = { kind: 'tagentry', repository: 'alice', name: 'a.flist' } as const
  await repositories.apply('tf', [{ type: 'put', name: 'a.flist', tag: 'v1', target: tagged }], ALICE)
  const taglink = { kind: 'taglink', repository: 'tf', tag: 'v1' } as const
  await repositories.apply('bob', [{ type: 'put', name: 'latest', target: taglink }], ALICE)
  await repositories.apply('gone', [{ type: 'put', name: 'x.flist', target: flist(9) }], ALICE)
  await repositories.apply('gone', [{ type: 'delete', name: 'x.flist' }], ALICE)
  clock.ms += 100_000
}

describe('a node that comes into another realm', () => {
  it('shows the same, in operations of its own that the realm counts, with users, times and history', async (context) => {
    const opened = await openTestRepositories(context)
    await withContent(opened)
    const before = shown({ ...opened })
    const founder = await join(opened)
    assert.deepEqual(await move(opened), { names: 4, left: 0 })
    const after = await opened.reopen()
    assert.equal(shown(after), before.replace(/,?\{"name":"gone"[^}]*\}/, ''))
    assert.deepEqual(await problemsOf(after), [])
    const history = await after.repositories.history('alice', 'a.flist')
    assert.deepEqual(
      history.map(({ author, state }) => [author, state]),
      [
        ['bob', 'current'],
        ['bob', 'superseded'],
        ['alice', 'superseded'],
      ],
    )
    const flists = new Set<string>()
    const retention = { keepVersions: 10, keepForMs: 0 }
    for await (const id of after.repositories.liveFlists(retention)) flists.add(toHex(id))
    assert.deepEqual([...flists].sort(), [1, 2, 9].map((number) => toHex(flist(number).flist)).sort())
    for await (const { id } of new OperationReader(opened.rows).repositories()) {
      for (const log of await new OperationReader(opened.rows).logs(id)) {
        for await (const bytes of new OperationReader(opened.rows).operations(log.id, 1))
          assert.ok(Buffer.from(bytes).includes(Buffer.from(founder.realm.id)))
      }
    }
    const writes = opened.rows.writes
    assert.equal(await move(opened), undefined)
    assert.ok(opened.rows.writes <= writes + 1)
    await after.repositories.apply('alice', [{ type: 'put', name: 'c.flist', target: flist(3) }], ALICE)
    assert.deepEqual(await problemsOf(await opened.reopen()), [])
  })

  it('goes on where a crash broke it off: nothing is lost, nothing moved twice', async (context) => {
    for (let at = 0; ; at++) {
      const opened = await openTestRepositories(context)
      await withContent(opened)
      const before = shown(opened)
      await join(opened)
      const isDone = await crashAfter(opened.rows, at, () => move(opened))
      await move(opened)
      const after = await opened.reopen()
      assert.equal(shown(after), before.replace(/,?\{"name":"gone"[^}]*\}/, ''))
      assert.deepEqual(await problemsOf(after), [])
      assert.equal(movingFrom(opened.rows), undefined)
      let operations = 0
      for await (const row of opened.rows.rows('op')) operations += row.length / 2
      assert.equal(operations, 4)
      if (isDone) break
    }
  })

  it('leaves what it does not hold, and signs under another incarnation when it comes back', async (context) => {
    const opened = await openTestRepositories(context)
    await withContent(opened)
    const home = await openIdentity(opened.rows, { directory: opened.directory, clock: opened.clock.read })
    await join(opened)
    const holds = (id: Uint8Array) => toHex(id) !== toHex(flist(2).flist)
    assert.deepEqual(await move(opened, holds), { names: 3, left: 1 })
    const away = await openIdentity(opened.rows, { directory: opened.directory, clock: opened.clock.read })
    assert.notEqual(toHex(away.incarnation), toHex(home.incarnation))
    assert.equal((await opened.reopen()).repositories.find('alice', 'a.flist'), undefined)
  })

  it('shows the same whatever it held before', async (context) => {
    const change = fc.record({
      repository: fc.constantFrom('alice', 'bob'),
      name: fc.constantFrom('a.flist', 'b.flist', 'c.flist'),
      number: fc.option(fc.nat(5)),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 12 }), async (changes) => {
        const opened = await openTestRepositories(context)
        for (const { repository, name, number } of changes) {
          opened.clock.ms += 1000
          const one: Change =
            number === null ? { type: 'delete', name } : { type: 'put', name, target: flist(number) }
          await opened.repositories.apply(repository, [one], ALICE)
        }
        const entries = ({ repositories }: Opened) =>
          ['alice', 'bob'].map((name) =>
            repositories.entries(name).map((entry) => [entry.name, asText(entry.target), entry.updatedS]),
          )
        const before = entries(opened)
        await join(opened)
        await move(opened)
        const after = await opened.reopen()
        assert.deepEqual(entries(after), before)
        assert.deepEqual(await problemsOf(after), [])
      }),
      { numRuns: 30 },
    )
  })
})

/** Runs `work` until its write number `at`, which fails; true when it ended before. */
async function crashAfter(rows: MapRows, at: number, work: () => Promise<unknown>): Promise<boolean> {
  const until = rows.writes + at
  const write = rows.write.bind(rows)
  rows.write = (changes) => (rows.writes >= until ? Promise.reject(new Error('crash')) : write(changes))
  try {
    await work()
    return true
  } catch (error) {
    assert.match(String(error), /crash/)
    return false
  } finally {
    rows.write = write
  }
}
