import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { TestContext } from 'node:test'
import { InvalidInputError, LimitError } from '../../src/errors.ts'
import { asText } from '../doubles/as-text.ts'
import type { Change, Repositories, Target, User } from '../../src/repo/entry.ts'

/** A clock to move, and repositories that can be closed and opened again over the same rows. */
export interface RepositoriesUnderTest {
  readonly repositories: Repositories
  readonly clock: { ms: number }
  reopen(): Promise<RepositoriesUnderTest>
}

const USER: User = { sub: 'alice.3bot', idp: '3bot' }

function file(number: number): Extract<Target, { kind: 'file' }> {
  return {
    kind: 'file',
    flist: new Uint8Array(32).fill(number),
    sizeBytes: number,
    md5: number.toString(16).padStart(32, '0'),
  }
}

function put(name: string, target: Target, tag?: string): Change {
  return { type: 'put', name, target, ...(tag !== undefined && { tag }) }
}

/** The contract of `Repositories`. */
export function testRepositories(
  name: string,
  open: (context: TestContext) => Promise<RepositoriesUnderTest>,
): void {
  describe(`${name} is Repositories: changes`, () => testChanges(open))
  describe(`${name} is Repositories: links and tags`, () => testLinks(open))
  describe(`${name} is Repositories: refusals`, () => testRefusals(open))
}

type Open = (context: TestContext) => Promise<RepositoriesUnderTest>

function testChanges(open: Open): void {
  it('knows nothing at first', async (context) => {
    const { repositories } = await open(context)
    assert.deepEqual([...repositories.list()], [])
    assert.equal(repositories.has('alice'), false)
    assert.equal(repositories.revision('alice'), 0)
    assert.equal(repositories.updatedS('alice'), 0)
    assert.equal(repositories.totalRevision, 0)
    assert.deepEqual([...repositories.entries('alice')], [])
    assert.equal(repositories.find('alice', 'a.flist'), undefined)
    assert.deepEqual(await repositories.history('alice', 'a.flist'), [])
  })

  it('shows a put once it resolves, and after a restart', async (context) => {
    const opened = await open(context)
    const [entry] = await opened.repositories.apply('alice', [put('a.flist', file(1))], USER)
    assert.equal(entry?.name, 'a.flist')
    assert.equal(entry.updatedS, Math.floor(opened.clock.ms / 1000))
    for (const { repositories } of [opened, await opened.reopen()]) {
      const found = repositories.find('alice', 'a.flist')
      assert.equal(asText(found), asText(entry))
      assert.deepEqual([...repositories.list()], ['alice'])
      assert.equal(repositories.revision('alice'), 1)
      assert.equal(repositories.totalRevision, 1)
      assert.equal(repositories.updatedS('alice'), Math.floor(opened.clock.ms / 1000))
    }
  })

  it('lists in byte order, names and repositories', async (context) => {
    const opened = await open(context)
    const { repositories } = opened
    const names = ['b.flist', 'a.flist', 'Z.flist', 'é.flist', '\u{1f600}.flist', '\uff5e.flist', 'a b.flist']
    const sorted = [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    for (const one of names) await repositories.apply(one, [put(one, file(1)), put('x.flist', file(2))], USER)
    for (const one of names) await repositories.apply('all', [put(one, file(1))], USER)
    for (const { repositories: read } of [opened, await opened.reopen()]) {
      assert.deepEqual(
        read.entries('all').map(({ name }) => name),
        sorted,
      )
      assert.deepEqual(
        [...read.list()],
        [...sorted, 'all'].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
      )
    }
  })

  it('gives out lists that later changes do not touch', async (context) => {
    const { repositories } = await open(context)
    await repositories.apply('alice', [put('a.flist', file(1))], USER)
    const before = repositories.entries('alice')
    await repositories.apply('alice', [put('b.flist', file(1)), { type: 'delete', name: 'a.flist' }], USER)
    assert.deepEqual(
      before.map(({ name }) => name),
      ['a.flist'],
    )
    assert.deepEqual(
      repositories.entries('alice').map(({ name }) => name),
      ['b.flist'],
    )
  })

  it('keeps every version in the history, newest first', async (context) => {
    const opened = await open(context)
    await opened.repositories.apply('alice', [put('a.flist', file(1))], USER)
    opened.clock.ms += 5000
    await opened.repositories.apply('alice', [put('a.flist', file(2))], USER)
    await opened.repositories.apply('alice', [{ type: 'delete', name: 'a.flist' }], USER)
    const { repositories } = await opened.reopen()
    const history = await repositories.history('alice', 'a.flist')
    assert.deepEqual(
      history.map(({ kind, state, timeS }) => [kind, state, timeS]),
      [
        ['delete', 'current', Math.floor(opened.clock.ms / 1000)],
        ['file', 'superseded', Math.floor(opened.clock.ms / 1000)],
        ['file', 'superseded', Math.floor(opened.clock.ms / 1000) - 5],
      ],
    )
    assert.equal(history[0]?.author, 'alice.3bot')
    assert.equal(history[0].target, undefined)
    assert.deepEqual(history[1]?.target?.kind === 'file' && history[1].target.sizeBytes, 2)
  })

  it('keeps a repository after its last delete', async (context) => {
    const { repositories } = await open(context)
    await repositories.apply('alice', [put('a.flist', file(1))], USER)
    await repositories.apply('alice', [{ type: 'delete', name: 'a.flist' }], USER)
    assert.deepEqual([...repositories.list()], ['alice'])
    assert.deepEqual([...repositories.entries('alice')], [])
    assert.equal(repositories.revision('alice'), 2)
    assert.equal(repositories.find('alice', 'a.flist'), undefined)
  })

  it('changes nothing by deleting what is not there', async (context) => {
    const { repositories } = await open(context)
    assert.deepEqual(await repositories.apply('alice', [{ type: 'delete', name: 'a.flist' }], USER), [])
    assert.equal(repositories.has('alice'), false)
    assert.equal(repositories.totalRevision, 0)
  })

  it('takes all changes of a call as one, and keeps the time of a renamed file', async (context) => {
    const { repositories, clock } = await open(context)
    const [old] = await repositories.apply('alice', [put('old.flist', file(1))], USER)
    clock.ms += 60_000
    assert.ok(old)
    const { updatedS } = old
    const rename: Change[] = [
      { type: 'delete', name: 'old.flist' },
      { type: 'put', name: 'new.flist', target: old.target, updatedS },
    ]
    const [moved] = await repositories.apply('alice', rename, USER)
    assert.equal(moved?.updatedS, updatedS)
    assert.equal(repositories.revision('alice'), 2)
    assert.deepEqual(
      repositories.entries('alice').map(({ name }) => name),
      ['new.flist'],
    )
    assert.equal(repositories.updatedS('alice'), Math.floor(clock.ms / 1000))
  })

  it('lets two puts of one name at once both succeed: one is the version, one is history', async (context) => {
    const { repositories } = await open(context)
    const both = [1, 2].map((number) => repositories.apply('alice', [put('a.flist', file(number))], USER))
    await Promise.all(both)
    const entry = repositories.find('alice', 'a.flist')
    assert.equal(entry?.target.kind === 'file' && entry.target.sizeBytes, 2)
    assert.equal(entry?.conflicts, 0)
    const states = (await repositories.history('alice', 'a.flist')).map(({ state }) => state)
    assert.deepEqual(states, ['current', 'superseded'])
  })

  it('counts revisions of a repository and of all', async (context) => {
    const { repositories } = await open(context)
    const names = ['a', 'b', 'a', 'c', 'a']
    await Promise.all(
      names.map((name, index) => repositories.apply(name, [put(`${index}.flist`, file(1))], USER)),
    )
    assert.deepEqual(
      ['a', 'b', 'c'].map((name) => repositories.revision(name)),
      [3, 1, 1],
    )
    assert.equal(repositories.totalRevision, 5)
  })
}

function testLinks(open: Open): void {
  it('follows links and crosslinks to the file', async (context) => {
    const { repositories } = await open(context)
    await repositories.apply('other', [put('theirs.flist', file(7))], USER)
    await repositories.apply(
      'alice',
      [put('x.flist', { kind: 'xlink', repository: 'other', name: 'theirs.flist' })],
      USER,
    )
    await repositories.apply('alice', [put('y.flist', { kind: 'link', name: 'x.flist' })], USER)
    const resolved = repositories.resolve('alice', 'y.flist')
    assert.equal(resolved?.target.sizeBytes, 7)
    assert.equal(resolved.entry.repository, 'other')
    assert.equal(repositories.resolve('other', 'theirs.flist')?.entry.name, 'theirs.flist')
  })

  it('finds nothing behind links that dangle, loop, are too long, or lead to a tag', async (context) => {
    const { repositories } = await open(context)
    const link = (from: string, to: string) => put(`${from}.flist`, { kind: 'link', name: `${to}.flist` })
    await repositories.apply(
      'alice',
      [link('dangling', 'gone'), link('self', 'self'), link('a', 'b'), link('b', 'a')],
      USER,
    )
    const chain = Array.from({ length: 9 }, (_, index) => link(String(index + 1), String(index)))
    await repositories.apply('alice', [put('0.flist', file(1)), ...chain], USER)
    await repositories.apply(
      'alice',
      [put('stable', { kind: 'taglink', repository: 'alice', tag: 'v1' })],
      USER,
    )
    for (const name of ['dangling.flist', 'self.flist', 'a.flist', '9.flist', 'stable', 'never.flist']) {
      assert.equal(repositories.resolve('alice', name), undefined, name)
    }
    assert.equal(repositories.resolve('alice', '8.flist')?.entry.name, '0.flist')
    assert.equal(repositories.find('alice', 'stable')?.target.kind, 'taglink')
  })

  it('keeps entries of tags apart from files, and a tag as long as it has one', async (context) => {
    const opened = await open(context)
    const { repositories } = opened
    await repositories.apply('alice', [put('app.flist', file(3))], USER)
    const entry: Target = { kind: 'tagentry', repository: 'alice', name: 'app.flist' }
    await repositories.apply('alice', [put('app.flist', entry, 'v2'), put('lib.flist', entry, 'v1 b')], USER)
    await repositories.apply('alice', [put('lib.flist', entry, 'v1')], USER)
    for (const { repositories: read } of [opened, await opened.reopen()]) {
      assert.deepEqual([...read.tags('alice')], ['v1', 'v1 b', 'v2'])
      assert.deepEqual(
        read.tagEntries('alice', 'v2')?.map(({ name, tag }) => [name, tag]),
        [['app.flist', 'v2']],
      )
      assert.equal(read.tagEntries('alice', 'v3'), undefined)
      assert.equal(read.resolve('alice', 'app.flist', 'v2')?.target.sizeBytes, 3)
      assert.equal(read.find('alice', 'app.flist', 'v1'), undefined)
      assert.deepEqual(
        read.entries('alice').map(({ name }) => name),
        ['app.flist'],
      )
    }
    await repositories.apply('alice', [{ type: 'delete', name: 'app.flist', tag: 'v2' }], USER)
    assert.deepEqual([...repositories.tags('alice')], ['v1', 'v1 b'])
    assert.equal(repositories.tagEntries('alice', 'v2'), undefined)
    assert.equal((await repositories.history('alice', 'app.flist', 'v2')).length, 2)
    assert.equal((await repositories.history('alice', 'app.flist')).length, 1)
  })
}

function testRefusals(open: Open): void {
  const refused: Record<string, [repository: string, changes: Change[]]> = {
    'a reserved repository': ['me', [put('a.flist', file(1))]],
    'a repository outside the rule': ['..', [put('a.flist', file(1))]],
    'a name outside the rule': ['alice', [put('../a.flist', file(1))]],
    'a file without suffix': ['alice', [put('a', file(1))]],
    'a delete of a bad name': ['alice', [{ type: 'delete', name: 'a\0.flist' }]],
    'a tag outside the rule': [
      'alice',
      [put('a.flist', { kind: 'tagentry', repository: 'b', name: 'a.flist' }, '.t')],
    ],
    'a file as a tag entry': ['alice', [put('a.flist', file(1), 'v1')]],
    'a tag entry without a tag': [
      'alice',
      [put('a.flist', { kind: 'tagentry', repository: 'b', name: 'a.flist' })],
    ],
    'a link to a bad name': ['alice', [put('a.flist', { kind: 'link', name: '../x.flist' })]],
    'a link into a reserved repository': [
      'alice',
      [put('a.flist', { kind: 'xlink', repository: 'api', name: 'b.flist' })],
    ],
    'a taglink with a suffix': ['alice', [put('a.flist', { kind: 'taglink', repository: 'b', tag: 'v1' })]],
    'a name twice': ['alice', [put('a.flist', file(1)), { type: 'delete', name: 'a.flist' }]],
  }
  for (const [what, [repository, changes]] of Object.entries(refused)) {
    it(`refuses ${what}, and changes nothing`, async (context) => {
      const { repositories } = await open(context)
      const good = put('good.flist', file(1))
      await assert.rejects(repositories.apply(repository, [good, ...changes], USER), InvalidInputError)
      assert.deepEqual([...repositories.list()], [])
    })
  }

  it('refuses over 64 changes at once', async (context) => {
    const { repositories } = await open(context)
    const changes = Array.from({ length: 65 }, (_, index) => put(`${index}.flist`, file(1)))
    await assert.rejects(repositories.apply('alice', changes, USER), LimitError)
    await repositories.apply('alice', changes.slice(1), USER)
    assert.equal(repositories.entries('alice').length, 64)
  })
}
