import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { publish, startServer } from './harness.ts'

const link = (name: string) => ({ kind: 'link', name }) as const
const user = { sub: 'alice', idp: 'token' } as const

test('lists show files, links, tags and taglinks as the original does', async (t) => {
  const { node, ask } = await startServer(t)
  await publish(node, 'alice', 'base.flist')
  await node.repositories.apply(
    'alice',
    [
      { type: 'put', name: 'latest.flist', target: link('base.flist') },
      { type: 'put', name: 'lost.flist', target: { kind: 'xlink', repository: 'bob', name: 'x.flist' } },
      { type: 'put', name: 'stable', target: { kind: 'taglink', repository: 'alice', tag: 'v1' } },
      {
        type: 'put',
        tag: 'v1',
        name: 'app.flist',
        target: { kind: 'tagentry', repository: 'alice', name: 'base.flist' },
      },
    ],
    user,
  )
  const now = 1_700_000_000
  const list = await ask('GET', '/api/flist/alice')
  assert.equal(
    list.text,
    `[{"name": "v1", "size": "0 KB", "updated": ${now}, "type": "tag"}, ` +
      `{"name": "base.flist", "size": "0.05 KB", "updated": ${now}, "type": "regular"}, ` +
      `{"name": "latest.flist", "size": "0.05 KB", "updated": ${now}, "linktime": ${now}, "type": "symlink", "target": "base.flist"}, ` +
      `{"name": "lost.flist", "size": "0.01 KB", "updated": ${now}, "linktime": ${now}, "type": "symlink", "target": "bob/x.flist"}, ` +
      `{"name": "stable", "size": "4.00 KB", "updated": ${now}, "linktime": ${now}, "type": "taglink", "target": "alice/tags/v1"}]\n`,
  )
  assert.equal(list.headers['content-type'], 'application/json')
  assert.equal(list.headers['access-control-allow-origin'], '*')
  assert.equal(
    (await ask('GET', '/api/flist')).text,
    '["alice/.tag-v1", "alice/base.flist", "alice/latest.flist", "alice/lost.flist", "alice/stable"]\n',
  )
  assert.equal(
    (await ask('GET', '/api/flist/alice/tags/v1/')).text,
    `[{"name": "app.flist", "size": "0.05 KB", "updated": ${now}, "linktime": ${now}, "type": "symlink", "target": "alice/base.flist"}]\n`,
  )
  assert.equal(
    (await ask('GET', '/api/repositories')).text,
    `[{"name": "alice", "official": true, "updated": ${now}}]\n`,
  )
  assert.equal((await ask('GET', '/api/flist/alice/stable/taglink')).text, '{"target": "alice/tags/v1"}\n')
  assert.equal((await ask('GET', '/api/flist/alice/stable.flist/taglink')).status, 200)
  assert.equal(
    (await ask('GET', '/api/flist/alice/base/taglink')).text,
    '{"status": "error", "message": "source not found"}\n',
  )
})

test('a list changes with the repositories, though it is cached', async (t) => {
  const { node, ask } = await startServer(t)
  assert.equal((await ask('GET', '/api/flist')).text, '[]\n')
  assert.equal((await ask('GET', '/api/flist')).text, '[]\n')
  await publish(node, 'alice', 'a.flist')
  assert.equal((await ask('GET', '/api/flist')).text, '["alice/a.flist"]\n')
  assert.equal((await ask('GET', '/api/fileslist')).text.slice(0, 29), '{"alice": [{"name": "a.flist"')
})

test('dump, light and metadata of a flist, with and without its suffix', async (t) => {
  const { node, ask } = await startServer(t)
  await publish(node, 'alice', 'a b+c.flist', { metadata: { note: '{"é": [1.0, 2]}', plain: '42' } })
  const dump = await ask('GET', '/api/flist/alice/a%20b+c')
  assert.equal(
    dump.text,
    '{"content": [{"size": 4, "path": "/\\u00e9"}], "regular": 0, "symlink": 0, "directory": 0, "special": 0, "failure": 0, "fullsize": 0}\n',
  )
  const served = await ask('GET', '/alice/a%20b+c.flist')
  const md5 = createHash('md5').update(served.body).digest('hex')
  for (const path of ['/api/flist/alice/a%20b+c/light', '/api/flist/alice/a%20b+c.flist/light/']) {
    assert.equal(
      (await ask('GET', path)).text,
      `{"name": "a b+c.flist", "size": ${served.body.length}, "updated": 1700000000, "type": "regular", "md5": "${md5}"}\n`,
    )
  }
  assert.equal(
    (await ask('GET', '/api/flist/alice/a%20b+c/metadata')).text,
    '{"backend": {"namespace": "default", "host": "hub.example.test", "port": 9900}, ' +
      '"note": {"\\u00e9": [1.0, 2]}, "plain": "42"}\n',
  )
  assert.equal((await ask('GET', '/alice/a%20b+c.flist.md5')).text, `${md5}\n`)
  assert.equal(node.inspector.renderings, 1)
})

test('what is not there is said as the original says it, in the envelope', async (t) => {
  const { node, ask } = await startServer(t)
  await publish(node, 'alice', 'a.flist')
  await node.repositories.apply(
    'alice',
    [{ type: 'put', name: 'loop.flist', target: link('loop.flist') }],
    user,
  )
  const envelope = (message: string) => `{"status": "error", "message": "${message}"}\n`
  const cases: Array<readonly [path: string, status: number, message: string]> = [
    ['/api/flist/bob', 404, 'not found'],
    ['/api/flist/alice/tags/v9', 404, 'not found'],
    ['/api/flist/bob/a', 404, 'user not found'],
    ['/api/flist/alice/b', 404, 'source not found'],
    ['/api/flist/alice/b/light', 404, 'source not found'],
    ['/api/flist/me/a/light', 404, 'user not found'],
    ['/api/flist/alice/loop', 404, 'source not found'],
    ['/api/flist/alice/loop/metadata', 404, 'source not found'],
    ['/alice/loop.flist', 404, 'not found'],
    ['/alice/loop.flist.md5', 404, 'not found'],
    ['/alice/a', 404, 'not found'],
    ['/alice/a.md5', 404, 'not found'],
    ['/alice/a.exe', 404, 'not found'],
    ['/nobody/a.txt', 404, 'not found'],
    ['/a/b/c/d', 404, 'not found'],
    ['/api', 404, 'not found'],
    ['/api/flist/alice/x%2Fa.flist', 404, 'not found'],
    ['/api/flist/%2e%2e', 400, 'invalid name'],
    ['/%2e%2e/x.flist', 400, 'invalid name'],
    ['/api/flist/alice/%00/light', 400, 'invalid name'],
    ['/api/flist/alice/%zz', 400, 'invalid name'],
    ['/api/flist/__proto__', 404, 'not found'],
    ['/api/flist/constructor/x', 404, 'user not found'],
  ]
  for (const [path, status, message] of cases) {
    const reply = await ask('GET', path)
    assert.deepEqual([path, reply.status, reply.text], [path, status, envelope(message)])
    assert.equal(reply.headers['access-control-allow-origin'], '*')
  }
})

test('wrong methods, OPTIONS, HEAD, INFO and slashes', async (t) => {
  const { node, ask } = await startServer(t)
  await publish(node, 'alice', 'a.flist')
  const post = await ask('POST', '/api/flist/alice/a')
  assert.equal(post.status, 405)
  assert.equal(post.headers['allow'], 'GET, HEAD, INFO, OPTIONS')
  assert.equal(post.text, '{"status": "error", "message": "method not allowed"}\n')
  const options = await ask('OPTIONS', '/api/flist/me/a')
  assert.deepEqual([options.status, options.text], [200, ''])
  assert.equal(options.headers['allow'], 'DELETE, GET, HEAD, INFO, OPTIONS')
  assert.equal((await ask('OPTIONS', '/a/b/c/d')).status, 404)
  const get = await ask('GET', '/api/flist/alice/a/light')
  const head = await ask('HEAD', '/api/flist/alice/a/light')
  assert.deepEqual([head.status, head.text], [200, ''])
  assert.equal(head.headers['content-length'], get.headers['content-length'])
  const info = await ask('INFO', '/api/flist/alice/a.flist')
  assert.deepEqual([info.status, info.text], [200, get.text])
  assert.equal(
    (await ask('INFO', '/api/flist/me/a')).text,
    '{"status": "error", "message": "user not found"}\n',
  )
  assert.equal((await ask('INFO', '/api/flist')).status, 405)
  const merged = await ask('GET', '/api//flist?x=1')
  assert.deepEqual([merged.status, merged.headers['location']], [308, '/api/flist?x=1'])
  assert.equal((await ask('GET', '/api/flist/alice/?x=1')).status, 200)
})

test('names in URLs are decoded once', async (t) => {
  const { node, ask } = await startServer(t)
  const names = ['a%20b', 'a+b;c=d', 'é#?&=%25', 'x%2Fy', "q'(1)!~*$,:@", '100%']
  for (const name of names) {
    await publish(node, 'alice', `${name}.flist`)
    const light = await ask('GET', `/api/flist/alice/${encodeURIComponent(name)}/light`)
    assert.deepEqual([name, light.status], [name, name.includes('/') ? 404 : 200])
    if (light.status === 200) assert.equal((JSON.parse(light.text) as { name: string }).name, `${name}.flist`)
  }
  assert.equal((await ask('GET', '/api/flist/alice/a%2520b/light')).status, 200)
  assert.equal((await ask('GET', '/api/flist/alice/a%20b/light')).status, 404)
})
