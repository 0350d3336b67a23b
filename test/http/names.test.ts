/** Links, tags, renames and promotes over the wire (hub-api.md §5), with the recorded texts. */
import assert from 'node:assert/strict'
import { describe, it, type TestContext } from 'node:test'
import { ALICE, publish, startServer, type Harness } from './harness.ts'

const DONE = [200, '{"status": "success"}\n']

function error(status: number, message: string): [number, string] {
  return [status, `{"status": "error", "message": "${message}"}\n`]
}

/** As alice: status and text. */
async function as(harness: Harness, path: string, method = 'GET'): Promise<[number, string]> {
  const { status, text } = await harness.ask(method, `/api/flist/me/${path}`, { headers: ALICE })
  return [status, text]
}

/** A node on which alice has `base` and bob `theirs-1.0`. */
async function nodeOf(t: TestContext): Promise<Harness> {
  const harness = await startServer(t)
  await publish(harness.node, 'alice', 'base.flist')
  await publish(harness.node, 'bob', 'theirs-1.0.flist')
  return harness
}

const kindOf = ({ node }: Harness, name: string, tag?: string) =>
  node.repositories.find('alice', name, tag)?.target

describe('links', () => {
  it('lead to a name of the same repository, suffixes left out or not', async (t) => {
    const harness = await nodeOf(t)
    assert.deepEqual(await as(harness, 'base/link/latest'), DONE)
    assert.deepEqual(kindOf(harness, 'latest.flist'), { kind: 'link', name: 'base.flist' })
    assert.deepEqual(await as(harness, 'latest.flist/link/latest2.flist'), DONE)
    assert.deepEqual(await as(harness, 'base/link/latest2'), DONE)
    assert.deepEqual(kindOf(harness, 'latest2.flist'), { kind: 'link', name: 'base.flist' })
    assert.equal((await harness.ask('GET', '/api/flist/alice/latest2/light')).status, 200)
    assert.equal((await harness.ask('GET', '/alice/latest2.flist')).status, 200)
  })

  it('lead to a name of another repository', async (t) => {
    const harness = await nodeOf(t)
    assert.deepEqual(await as(harness, 'x/crosslink/bob/theirs-1.0'), DONE)
    assert.deepEqual(kindOf(harness, 'x.flist'), {
      kind: 'xlink',
      repository: 'bob',
      name: 'theirs-1.0.flist',
    })
    assert.deepEqual(await as(harness, 'x/crosslink/nobody/a'), error(404, 'source repository not found'))
    assert.deepEqual(await as(harness, 'x/crosslink/bob/nope'), error(404, 'source not found'))
    assert.deepEqual(
      await as(harness, 'base/crosslink/bob/theirs-1.0'),
      error(401, 'link destination is already a file'),
    )
  })

  it('are refused over files, to nothing, outside the rule of names, and for a loop', async (t) => {
    const harness = await nodeOf(t)
    assert.deepEqual(await as(harness, 'nope/link/zzz'), error(404, 'source not found'))
    assert.deepEqual(await as(harness, 'base/link/base'), error(401, 'link destination is already a file'))
    for (const path of ['base/link/%2e%2e', 'base/link/a%5cb', 'x/crosslink/%2e%2e/base'])
      assert.deepEqual(await as(harness, path), error(400, 'invalid name'), path)
    await as(harness, 'base/link/a')
    await as(harness, 'a/link/b')
    await as(harness, 'b/link/c')
    const loop = error(401, 'link destination leads back to the link itself')
    assert.deepEqual(await as(harness, 'c/link/a'), loop)
    assert.deepEqual(await as(harness, 'a/link/a'), loop)
    assert.deepEqual(await as(harness, 'a/crosslink/alice/c'), loop)
    assert.deepEqual(kindOf(harness, 'a.flist'), { kind: 'link', name: 'base.flist' })
  })

  it('need a repository to link within, and make one to link into another', async (t) => {
    const harness = await startServer(t)
    await publish(harness.node, 'bob', 'theirs-1.0.flist')
    assert.deepEqual(await as(harness, 'a/link/b'), error(404, 'user not found'))
    assert.deepEqual(await as(harness, 'a/rename/b'), error(404, 'user not found'))
    assert.deepEqual(await as(harness, 'x/crosslink/bob/theirs-1.0'), DONE)
    assert.deepEqual(harness.node.repositories.list(), ['alice', 'bob'])
  })
})

describe('tags', () => {
  it('hold entries, which are replaced and taken out', async (t) => {
    const harness = await nodeOf(t)
    assert.deepEqual(await as(harness, 'v1/app/tag/bob/theirs-1.0'), DONE)
    assert.deepEqual(await as(harness, 'v1/app/tag/alice/base'), DONE)
    assert.deepEqual(kindOf(harness, 'app.flist', 'v1'), {
      kind: 'tagentry',
      repository: 'alice',
      name: 'base.flist',
    })
    assert.equal((await harness.ask('GET', '/alice/tags/v1/app.flist')).status, 200)
    const missing = error(404, 'target not found on this tag')
    assert.deepEqual(await as(harness, 'v1/nope/tag/alice/base', 'DELETE'), missing)
    assert.deepEqual(await as(harness, 'v9/app/tag/alice/base', 'DELETE'), missing)
    assert.deepEqual(await as(harness, 'v1/app/tag/bob/anything', 'DELETE'), DONE)
    assert.equal((await harness.ask('GET', '/api/flist/alice/tags/v1')).status, 404)
    assert.deepEqual(await as(harness, 'v1/app/tag/nobody/x'), error(404, 'source repository not found'))
    assert.deepEqual(await as(harness, 'v1/app/tag/bob/x'), error(404, 'source not found'))
  })

  it('are linked by a name without a suffix', async (t) => {
    const harness = await nodeOf(t)
    await as(harness, 'v1/app/tag/bob/theirs-1.0')
    assert.deepEqual(await as(harness, 'stable/crosstag/alice/v1'), DONE)
    assert.deepEqual(await as(harness, 'stable/crosstag/alice/v1'), DONE)
    const taglink = await harness.ask('GET', '/api/flist/alice/stable/taglink')
    assert.equal(taglink.text, '{"target": "alice/tags/v1"}\n')
    const unknown = error(404, 'source tag not found')
    assert.deepEqual(await as(harness, 'stable2/crosstag/alice/v9'), unknown)
    assert.deepEqual(
      await as(harness, 'stable.flist/crosstag/alice/v1'),
      error(401, 'tag symlink cannot ends with .flist'),
    )
    assert.deepEqual(
      await as(harness, 'base/crosstag/alice/v1'),
      error(401, 'there is a .flist file with the same name existing already'),
    )
    assert.deepEqual(await as(harness, 'stable/crosstag/alice/v2', 'DELETE'), unknown)
    assert.deepEqual(await as(harness, 'stable/crosstag/alice/v1', 'DELETE'), DONE)
    assert.deepEqual(await as(harness, 'stable/crosstag/alice/v1', 'DELETE'), unknown)
  })
})

describe('names', () => {
  it('change in one operation, links as links, and what was there is overwritten', async (t) => {
    const harness = await nodeOf(t)
    await as(harness, 'base/link/latest')
    const { updatedS } = harness.node.repositories.find('alice', 'base.flist') ?? {}
    harness.node.repositories.now += 1000
    assert.deepEqual(await as(harness, 'base/rename/core'), DONE)
    assert.equal(harness.node.repositories.applied.at(-1)?.changes.length, 2)
    assert.equal(harness.node.repositories.find('alice', 'core.flist')?.updatedS, updatedS)
    assert.deepEqual(await as(harness, 'latest/rename/newest'), DONE)
    assert.deepEqual(kindOf(harness, 'newest.flist'), { kind: 'link', name: 'base.flist' })
    assert.deepEqual(await as(harness, 'core/rename/newest'), DONE)
    assert.equal(kindOf(harness, 'newest.flist')?.kind, 'file')
    assert.deepEqual(await as(harness, 'newest/rename/newest'), DONE)
    assert.equal(kindOf(harness, 'newest.flist')?.kind, 'file')
    assert.deepEqual(await as(harness, 'core/rename/x'), error(404, 'source not found'))
  })

  it('do not become a loop by a rename', async (t) => {
    const harness = await nodeOf(t)
    await as(harness, 'base/link/latest')
    assert.equal((await as(harness, 'latest/rename/base'))[0], 401)
    assert.equal(kindOf(harness, 'base.flist')?.kind, 'file')
  })

  it('are promoted from any repository, through links, and onto themselves without harm', async (t) => {
    const harness = await nodeOf(t)
    await as(harness, 'x/crosslink/bob/theirs-1.0')
    assert.deepEqual(await as(harness, 'promote/bob/theirs-1.0/mine'), [
      200,
      '{"status": "success", "payload": {"source": {"username": "bob", "filename": "theirs-1.0.flist"}, ' +
        '"destination": {"username": "alice", "filename": "mine.flist"}}}\n',
    ])
    assert.deepEqual(
      kindOf(harness, 'mine.flist'),
      harness.node.repositories.find('bob', 'theirs-1.0.flist')?.target,
    )
    assert.equal((await as(harness, 'promote/alice/x/fromlink'))[0], 200)
    assert.deepEqual(kindOf(harness, 'fromlink.flist'), kindOf(harness, 'mine.flist'))
    const changes = harness.node.repositories.applied.length
    assert.equal((await as(harness, 'promote/alice/mine/mine'))[0], 200)
    assert.equal(harness.node.repositories.applied.length, changes)
    assert.deepEqual(await as(harness, 'promote/bob/nope/x'), error(404, 'source not found'))
    assert.deepEqual(await as(harness, 'promote/nobody/nope/x'), error(404, 'user not found'))
  })

  it('are held while they are named again, and refused when their flist has gone', async (t) => {
    const harness = await nodeOf(t)
    const target = kindOf(harness, 'base.flist')
    assert.equal(target?.kind, 'file')
    await harness.node.flists.delete(target.flist)
    assert.deepEqual(await as(harness, 'base/rename/core'), error(404, 'source not found'))
    assert.deepEqual(await as(harness, 'promote/alice/base/core'), error(404, 'source not found'))
    assert.equal(kindOf(harness, 'core.flist'), undefined)
  })

  it('change for nobody without a token, nor for a page of another site', async (t) => {
    const harness = await nodeOf(t)
    for (const path of ['base/link/a', 'base/rename/a', 'promote/bob/theirs-1.0/a', 'v1/a/tag/alice/base']) {
      assert.equal((await harness.ask('GET', `/api/flist/me/${path}`)).status, 401, path)
      const headers = { ...ALICE, 'Sec-Fetch-Site': 'cross-site' }
      assert.equal((await harness.ask('GET', `/api/flist/me/${path}`, { headers })).status, 403, path)
    }
    assert.equal(kindOf(harness, 'a.flist'), undefined)
  })
})
