/** What the pages answer over HTTP: statuses, headers, who may see them, and errors for people and for programs. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { FakeNode } from './doubles.ts'
import { fakeNode } from './doubles.ts'
import { ALICE, BOUNDARY, MULTIPART, multipart, publish, startServer } from './harness.ts'

const HTML = { Accept: 'text/html,*/*;q=0.8' }
const USER = { sub: 'alice', idp: 'token' } as const

async function filled(): Promise<FakeNode> {
  const node = fakeNode()
  await publish(node, 'alice', 'a.flist')
  const put = (name: string, target: object, tag?: string) =>
    node.repositories.apply('alice', [{ type: 'put', name, target, ...(tag && { tag }) } as never], USER)
  await put('dangling.flist', { kind: 'link', name: 'gone.flist' })
  await put('near.flist', { kind: 'link', name: 'a.flist' })
  await put('app.flist', { kind: 'tagentry', repository: 'alice', name: 'a.flist' }, 'v1')
  await put('stable', { kind: 'taglink', repository: 'alice', tag: 'v1' })
  return node
}

test('pages have the statuses of the original', async (t) => {
  const { ask } = await startServer(
    t,
    { auth: false, publicUrl: 'http://hub.example.test' },
    {},
    await filled(),
  )
  const cases: Array<[path: string, status: number]> = [
    ['/', 200],
    ['/alice', 200],
    ['/alice/', 200],
    ['/nobody', 404],
    ['/alice/a.md', 200],
    ['/alice/a.flist.md', 200],
    ['/alice/near.md', 200],
    ['/alice/dangling.flist.md', 200],
    ['/alice/nope.md', 404],
    ['/alice/a.md?path=nowhere', 404],
    ['/nobody/a.md', 404],
    ['/alice/tags/v1', 200],
    ['/alice/tags/v9', 404],
    ['/alice/stable', 404],
    ['/search', 200],
    ['/search?q=a', 200],
    ['/search?q=ali', 200],
    ['/upload', 200],
    ['/upload-flist', 200],
    ['/merge', 200],
    ['/docker-convert', 200],
    ['/login-method', 200],
    ['/token/abc', 200],
    ['/readonly', 302],
    ['/static/js/hub.js', 200],
    ['/static/css/hub.css', 200],
    ['/static/nope.js', 404],
  ]
  for (const [path, status] of cases) {
    const reply = await ask('GET', path)
    assert.equal(reply.status, status, path)
    if (status === 200 && !path.startsWith('/static')) {
      assert.equal(reply.headers['content-type'], 'text/html; charset=utf-8', path)
      assert.match(reply.headers['content-security-policy'] ?? '', /script-src 'self';/, path)
    }
  }
})

test('a link that leads nowhere says so, on its own page and in the list', async (t) => {
  const { ask } = await startServer(t, {}, {}, await filled())
  const own = await ask('GET', '/alice/dangling.md')
  assert.match(own.text, /leads nowhere/)
  assert.doesNotMatch(own.text, /MD5|Download|g8ufs/)
  const { text } = await ask('GET', '/alice')
  assert.equal(text.match(/leads nowhere/g)?.length, 1)
  assert.match(text, /href="\/alice\/tags\/v1"/)
  assert.doesNotMatch(text, /href="\/alice\/dangling/)
})

test('an error is a page for who reads pages, and the envelope for everybody else and below /api', async (t) => {
  const { ask } = await startServer(t, {}, {}, await filled())
  const typeOf = async (path: string, headers: Record<string, string>) => {
    const { status, headers: given, text } = await ask('GET', path, { headers })
    assert.equal(status, 404, path)
    assert.equal(given['content-length'], String(Buffer.byteLength(text)), path)
    return given['content-type']
  }
  for (const path of ['/alice/nope.flist', '/alice/x/y/z', '/listen/none']) {
    assert.equal(await typeOf(path, HTML), 'text/html; charset=utf-8', path)
    assert.equal(await typeOf(path, { Accept: '*/*' }), 'application/json', path)
  }
  for (const path of ['/api', '/api/flist/nobody', '/api/nothing']) {
    assert.equal(await typeOf(path, HTML), 'application/json', path)
  }
  const refused = await ask('POST', '/alice', { headers: HTML })
  assert.deepEqual([refused.status, refused.headers['allow']], [405, 'GET, HEAD, OPTIONS'])
})

test('a page that was kept is given anew once its repository changes', async (t) => {
  const node = await filled()
  const { ask } = await startServer(t, {}, {}, node)
  assert.doesNotMatch((await ask('GET', '/alice')).text, /later\.flist/)
  await publish(node, 'alice', 'later.flist')
  assert.match((await ask('GET', '/alice')).text, /later\.flist/)
  const { text } = await ask('GET', '/alice?q=LATER')
  assert.match(text, /later\.flist/)
  assert.doesNotMatch(text, /near\.flist/)
})

test('a large repository comes a page at a time', async (t) => {
  const node = fakeNode()
  const names = Array.from({ length: 401 }, (_, at) => `n${String(at).padStart(3, '0')}.flist`)
  for (const name of names) await publish(node, 'big', name)
  const { ask } = await startServer(t, {}, {}, node)
  const seen: string[] = []
  let path: string | undefined = '/big'
  for (let pages = 0; path !== undefined; pages++) {
    assert.ok(pages < 3, 'too many pages')
    const { text } = await ask('GET', path)
    seen.push(...[...text.matchAll(/<bdi>(n\d+\.flist)<\/bdi>/g)].map(([, name = '']) => name))
    path = /rel="next" href="([^"]+)"/.exec(text)?.[1]
  }
  assert.deepEqual(seen, names)
  for (const from of ['-1', 'x', '1e3', '99999999999']) {
    assert.match((await ask('GET', `/big?from=${from}`)).text, /n000\.flist/, from)
  }
  assert.equal((await ask('GET', '/big?from=99999')).status, 200)
})

test('pages for publishing are for who is signed in, and lead elsewhere on a read-only node', async (t) => {
  const { ask } = await startServer(t)
  const reader = await startServer(t, { readonly: true })
  const forms = ['/upload', '/upload-flist', '/merge', '/docker-convert']
  for (const path of forms) {
    assert.deepEqual(await where(ask('GET', path)), [302, '/login-method'])
    assert.deepEqual(await where(reader.ask('GET', path)), [302, '/readonly'])
  }
  for (const path of ['/upload', '/upload-flist', '/docker-convert']) {
    assert.deepEqual(await where(ask('POST', path)), [302, '/login-method'])
    assert.deepEqual(await where(reader.ask('POST', path)), [302, '/readonly'])
  }
  assert.equal((await reader.ask('GET', '/readonly')).status, 200)
})

async function where(reply: Promise<{ status: number; headers: Readonly<Record<string, string>> }>) {
  const { status, headers } = await reply
  return [status, headers['location']]
}

test('an upload by the form is a job, whose events everybody who knows it can read', async (t) => {
  const { ask } = await startServer(t)
  const send = async (filename: string, body: string) => {
    const form = multipart([{ name: 'file', filename, body }])
    const reply = await ask('POST', '/upload', { headers: { ...ALICE, ...MULTIPART }, body: form })
    assert.equal(reply.status, 200)
    return JSON.parse(reply.text) as { jobid: string; status: string; message: string }
  }
  const listen = async (jobid: string) => {
    const { headers, text } = await ask('GET', `/listen/${jobid}`)
    assert.equal(headers['content-type'], 'text/event-stream; charset=utf-8')
    return text
  }
  const good = await send('x.tar.gz', 'abc')
  assert.match(good.jobid, /^[0-9a-f-]{36}$/)
  const flist = '{"regular": 1, "symlink": 0, "directory": 0, "special": 0, "failure": 0, "fullsize": 3}'
  assert.equal(
    await listen(good.jobid),
    'data: {"status": "update", "message": "Image ready !", "progress": 100}\n\n' +
      `data: {"status": "info", "info": {"filename": "x.flist", "flist": ${flist}}}\n\n`,
  )
  assert.equal(await listen(good.jobid), await listen(good.jobid))
  const unknown = await ask('GET', '/listen/00000000-0000-0000-0000-000000000000')
  assert.deepEqual([unknown.status, unknown.text], [404, '{"message":"job id not found","status":"error"}\n'])
  const bad = await send('x.tar.gz', 'BAD')
  assert.equal(
    await listen(bad.jobid),
    'data: {"status": "error", "message": "not an archive: BAD at byte 0"}\n\n',
  )
  assert.equal((await send('x.zip', 'abc')).message, 'this file is not allowed')
  assert.equal((await send('', 'abc')).message, 'no file selected')
  const none = await ask('POST', '/upload', {
    headers: { ...ALICE, ...MULTIPART },
    body: `--${BOUNDARY}--\r\n`,
  })
  assert.equal(none.text, '{"message":"no file found","status":"error"}\n')
})

test('what is wrong with a form is said on its page, with 200', async (t) => {
  const { ask } = await startServer(t)
  const flist = await ask('POST', '/upload-flist', {
    headers: { ...ALICE, ...MULTIPART },
    body: multipart([{ name: 'file', filename: 'x.zip', body: 'x' }]),
  })
  assert.deepEqual([flist.status, /role="alert">this file is not allowed</.test(flist.text)], [200, true])
  const image = await ask('POST', '/docker-convert', { headers: ALICE, body: 'x=1' })
  assert.deepEqual([image.status, /role="alert">missing docker image name</.test(image.text)], [200, true])
})

test('what pages load is asked for again only when it changed', async (t) => {
  const { ask } = await startServer(t)
  const { headers } = await ask('GET', '/static/js/hub.js')
  assert.equal(headers['content-type'], 'text/javascript; charset=utf-8')
  const kept = await ask('GET', '/static/js/hub.js', { headers: { 'If-None-Match': headers['etag'] ?? '' } })
  assert.deepEqual([kept.status, kept.body.length], [304, 0])
})
