import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { fakeNode } from './doubles.ts'
import { ALICE, startServer } from './harness.ts'

const USER = { sub: 'alice', idp: 'token' } as const

async function start(t: TestContext) {
  const node = fakeNode()
  const publish = async (repository: string, name: string, path: string) => {
    const bytes = Buffer.from(
      JSON.stringify({ fake: true, metadata: { from: name }, content: [{ size: 1, path }] }),
    )
    const flist = await node.flists.put({ bytes })
    const target = { kind: 'file', flist, sizeBytes: bytes.length, md5: '0'.repeat(32) } as const
    await node.repositories.apply(repository, [{ type: 'put', name, target }], USER)
  }
  await publish('bob', 'base.flist', '/base')
  await publish('bob', 'over.flist', '/over')
  const link = (name: string, to: string) =>
    node.repositories.apply('bob', [{ type: 'put', name, target: { kind: 'link', name: to } }], USER)
  await link('link.flist', 'over.flist')
  await link('dangling.flist', 'gone.flist')
  return await startServer(t, {}, {}, node)
}

test('a merge is published under its name, in a repository that it makes; sources may be links', async (t) => {
  const { ask } = await start(t)
  const body = JSON.stringify(['bob/base.flist', 'bob/link', 'bob/base'])
  const { status, text } = await ask('POST', '/api/flist/me/merge/sum', { headers: ALICE, body })
  assert.deepEqual([status, text], [200, '{"status": "success"}\n'])
  const { content } = JSON.parse((await ask('GET', '/api/flist/alice/sum.flist')).text) as {
    content: unknown
  }
  assert.deepEqual(content, [
    { size: 1, path: '/base' },
    { size: 1, path: '/over' },
  ])
})

test("what cannot be merged is refused in the contract's words, and nothing is published", async (t) => {
  const { ask, node } = await start(t)
  const many = JSON.stringify(Array.from({ length: 10_000 }, (_, at) => `bob/source-${at}`))
  const refusals: Array<[body: string, status: number, message: string]> = [
    ['', 500, 'malformed json request'],
    ['{nope', 500, 'malformed json request'],
    ['null', 500, 'malformed json request'],
    ['"bob/base"', 500, 'malformed json request'],
    ['{"flists": ["bob/base"]}', 500, 'malformed json request'],
    ['flists=a%2Fb', 500, 'malformed json request'],
    ['[]', 500, 'no source found'],
    ['["base"]', 500, 'malformed source filename'],
    ['[1]', 500, 'malformed source filename'],
    ['["bob/base.flist/x"]', 500, 'malformed source filename'],
    ['["bob/"]', 500, 'malformed source filename'],
    ['["bob/base", "bob/nope"]', 500, 'bob/nope.flist does not exists'],
    ['["nobody/nope.flist"]', 500, 'nobody/nope.flist does not exists'],
    ['["bob/dangling"]', 500, 'bob/dangling.flist does not exists'],
    ['["../base"]', 400, 'invalid name'],
    [many, 413, 'sources of a merge: the limit is 100 flists'],
    ['['.repeat(300_000), 413, 'body: the limit is 262144 bytes'],
  ]
  for (const [body, status, message] of refusals) {
    const reply = await ask('POST', '/api/flist/me/merge/sum', { headers: ALICE, body })
    assert.deepEqual(
      [reply.status, JSON.parse(reply.text)],
      [status, { status: 'error', message }],
      body.slice(0, 80),
    )
  }
  const badName = await ask('POST', '/api/flist/me/merge/..%2e', { headers: ALICE, body: '["bob/base"]' })
  assert.equal(badName.status, 400)
  const rfs = await ask('POST', '/api/flist/me/merge/sum.fl', { headers: ALICE, body: '["bob/base"]' })
  assert.equal(rfs.status, 400)
  assert.equal((await ask('POST', '/api/flist/me/merge/sum', { body: '["bob/base"]' })).status, 401)
  assert.equal((await ask('GET', '/api/flist/me/merge/sum', { headers: ALICE })).status, 405)
  assert.equal(node.repositories.has('alice'), false)
})

test('the form merges too, and its page says what went wrong', async (t) => {
  const { ask, node } = await start(t)
  const post = (body: string) => ask('POST', '/merge', { headers: ALICE, body })
  const base = 'flists%5B%5D=bob%2Fbase.flist'
  const problems: Array<[body: string, status: number, problem: RegExp]> = [
    [base, 400, /missing build \(target\) name/],
    [`${base}&name=`, 200, /missing build \(target\) name/],
    [`${base}&name=a%2Fb`, 200, /build name not allowed/],
    ['name=x', 200, /no source found/],
    [`${base}&flists%5B%5D=bob%2Fnope&name=x`, 200, /bob\/nope\.flist does not exists/],
  ]
  for (const [body, status, problem] of problems) {
    const reply = await post(body)
    assert.equal(reply.status, status)
    assert.match(reply.text, problem)
  }
  assert.equal(node.repositories.has('alice'), false)
  const made = await post(`${base}&flists%5B%5D=&flists%5B%5D=bob%2Fover&name=sum`)
  assert.equal(made.status, 200)
  assert.match(made.text, /sum\.flist/)
  assert.ok(node.repositories.find('alice', 'sum.flist'))
})
