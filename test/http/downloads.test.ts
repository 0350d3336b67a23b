import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { contentDisposition } from '../../src/http/downloads.ts'
import { publish, startServer } from './harness.ts'

const MODIFIED = 'Tue, 14 Nov 2023 22:13:20 GMT'

test('a flist goes out whole, in part, or not at all', async (t) => {
  const { node, ask } = await startServer(t)
  await publish(node, 'alice', 'a.flist')
  const get = (headers: Record<string, string> = {}, method = 'GET') =>
    ask(method, '/alice/a.flist', { headers })
  const whole = await get()
  const etag = `"${createHash('md5').update(whole.body).digest('hex')}"`
  assert.equal(whole.status, 200)
  assert.equal(whole.headers['content-type'], 'application/octet-stream')
  assert.equal(whole.headers['content-disposition'], 'inline; filename=a.flist')
  assert.equal(whole.headers['cache-control'], 'no-cache')
  assert.equal(whole.headers['etag'], etag)
  assert.equal(whole.headers['last-modified'], MODIFIED)
  assert.equal(whole.headers['x-hub-complete'], 'true')
  const size = whole.body.length

  const head = await get({}, 'HEAD')
  assert.deepEqual([head.status, head.text, head.headers['content-length']], [200, '', String(size)])

  const ranges: Array<[string, number, number]> = [
    ['bytes=0-9', 0, 9],
    ['bytes=5-', 5, size - 1],
    ['bytes=-3', size - 3, size - 1],
    ['bytes=2-999999', 2, size - 1],
    [`bytes=-999999`, 0, size - 1],
  ]
  for (const [range, from, to] of ranges) {
    const part = await get({ Range: range })
    assert.deepEqual(
      [range, part.status, part.headers['content-range']],
      [range, 206, `bytes ${from}-${to}/${size}`],
    )
    assert.deepEqual(part.body, whole.body.subarray(from, to + 1))
  }
  for (const range of ['bytes=99999999-', 'bytes=9-3', 'bytes=-', 'bytes=-0', 'bytes=0-1,3-4', 'lines=1-2']) {
    const refused = await get({ Range: range })
    assert.deepEqual(
      [range, refused.status, refused.headers['content-range']],
      [range, 416, `bytes */${size}`],
    )
  }
  for (const headers of [
    { 'If-None-Match': etag },
    { 'If-None-Match': `"x", W/${etag}` },
    { 'If-None-Match': '*' },
    { 'If-Modified-Since': MODIFIED },
  ]) {
    const same = await get(headers)
    assert.deepEqual([same.status, same.text, same.headers['etag']], [304, '', etag])
  }
  assert.equal((await get({ 'If-None-Match': '"x"', 'If-Modified-Since': MODIFIED })).status, 200)
  assert.equal((await get({ 'If-Modified-Since': 'Tue, 14 Nov 2023 22:13:19 GMT' })).status, 200)
  assert.equal((await get({ Range: 'bytes=0-1', 'If-Range': '"x"' })).status, 200)
  assert.equal((await get({ Range: 'bytes=0-1', 'If-Range': etag })).status, 206)
})

test('a download through links, tags and a version', async (t) => {
  const { node, ask } = await startServer(t)
  await publish(node, 'bob', 'real.flist')
  const target = { kind: 'xlink', repository: 'bob', name: 'real.flist' } as const
  const user = { sub: 'alice', idp: 'token' } as const
  await node.repositories.apply(
    'alice',
    [
      { type: 'put', name: 'x.flist', target },
      { type: 'put', name: 'app.flist', tag: 'v1', target: { ...target, kind: 'tagentry' } },
      { type: 'put', name: 'stable', target: { kind: 'taglink', repository: 'alice', tag: 'v1' } },
    ],
    user,
  )
  const real = await ask('GET', '/bob/real.flist')
  assert.deepEqual((await ask('GET', '/alice/x.flist')).body, real.body)
  assert.deepEqual((await ask('GET', '/alice/tags/v1/app.flist')).body, real.body)
  assert.equal((await ask('GET', '/alice/tags/v1/nope.flist')).status, 404)
  assert.equal((await ask('GET', '/alice/tags/v1/app')).status, 404)
  assert.equal((await ask('GET', '/alice/stable/app.flist')).status, 404)
  const light = (await ask('GET', '/api/flist/alice/x/light')).text
  assert.match(
    light,
    /"type": "symlink", "md5": "[0-9a-f]{32}", "linktime": \d+, "target": "\.\.\/bob\/real\.flist"}\n$/,
  )
})

test('the words about a flist', async (t) => {
  const { node, ask } = await startServer(t)
  await publish(node, 'alice', 'a.flist')
  const md5 = (await ask('GET', '/alice/a.flist.md5')).text.trim()
  const source = 'http://hub.example.test/alice/a.flist'
  const text = await ask('GET', '/alice/a.txt')
  assert.equal(text.headers['content-type'], 'text/plain')
  assert.equal(
    text.text,
    `File:     a.flist\nUploader: alice\nSource:   ${source}\nStorage:  zdb://hub.example.test:9900\nChecksum: ${md5}\n`,
  )
  assert.equal((await ask('GET', '/alice/a.flist.txt')).text, text.text)
  const { body } = await ask('GET', '/alice/a.flist')
  assert.equal(
    (await ask('GET', '/alice/a.flist.json')).text,
    `{"name": "a.flist", "uploader": "alice", "source": "${source}", "storage": "zdb://hub.example.test:9900", ` +
      `"md5": "${md5}", "size": ${body.length}, "updated": 1700000000}\n`,
  )
})

test('which backend a flist is served with', async (t) => {
  const own = '{"namespace": "default", "host": "hub.example.test", "port": 9900}'
  const foreign = '{"host": "other.example.test"}'
  const cases = [
    ['auto', undefined, own],
    ['auto', foreign, foreign],
    ['local', foreign, own],
    ['keep', foreign, foreign],
    ['keep', undefined, undefined],
  ] as const
  for (const [flistBackend, present, served] of cases) {
    const { node, ask } = await startServer(t, { flistBackend })
    await publish(node, 'alice', 'a.flist', { metadata: present === undefined ? {} : { backend: present } })
    const flist = JSON.parse((await ask('GET', '/alice/a.flist')).text) as { metadata: { backend?: string } }
    assert.equal(flist.metadata.backend, served)
  }
})

test('without a public chunk address a flist is served as it is stored', async (t) => {
  const { node, ask } = await startServer(t, { publicChunks: undefined })
  await publish(node, 'alice', 'a.flist')
  await ask('GET', '/alice/a.flist')
  assert.equal(node.inspector.renderings, 0)
  assert.equal((await ask('GET', '/api/flist/alice/a/metadata')).text, '{}\n')
})

test('file names in headers', () => {
  assert.equal(contentDisposition('a b.flist'), 'inline; filename="a b.flist"')
  assert.equal(
    contentDisposition('é"x.flist'),
    `inline; filename="e\\"x.flist"; filename*=UTF-8''%C3%A9%22x.flist`,
  )
})
