import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Harness, Part } from './harness.ts'
import { ADMIN, ALICE, MULTIPART, multipart, parseReply, publish, readToEnd, startServer } from './harness.ts'

const UPLOAD = '/api/flist/me/upload'

function upload({ ask }: Harness, parts: readonly Part[], headers: Record<string, string> = {}) {
  return ask('POST', UPLOAD, { headers: { ...ALICE, ...MULTIPART, ...headers }, body: multipart(parts) })
}

function error(message: string): string {
  return `{"status": "error", "message": "${message}"}\n`
}

test('an upload is published with its metadata, wherever the fields stand', async (t) => {
  const server = await startServer(t)
  const reply = await upload(server, [
    { name: 'metadata-before', body: 'é' },
    { name: 'file', filename: 'my app (1) é.v1.2.tar.gz', body: 'archive' },
    { name: 'metadata-after', body: '2' },
    { name: 'metadata-backend', body: 'protected' },
  ])
  assert.equal(
    reply.text,
    '{"status": "success", "payload": {"name": "my_app_1_e.v1.2.flist", "files": {"success": true, "error": null, ' +
      '"response": {"regular": 1, "symlink": 0, "directory": 0, "special": 0, "failure": 0, "fullsize": 7}, "status": 0}}}\n',
  )
  assert.equal(reply.status, 200)
  assert.deepEqual(server.node.archives, [Buffer.from('archive')])
  assert.equal(
    (await server.ask('GET', '/api/flist/alice/my_app_1_e.v1.2/metadata')).text,
    '{"after": "2", "backend": {"namespace": "default", "host": "hub.example.test", "port": 9900}, "before": "\\u00e9"}\n',
  )
  assert.deepEqual(server.node.repositories.applied[0]?.user, { sub: 'alice', idp: 'token' })
})

test('names of uploads', async (t) => {
  const server = await startServer(t)
  const cases: Array<readonly [filename: string, original: string | undefined, name: string]> = [
    ['../../etc/evil.tar.gz', undefined, 'etc_evil.flist'],
    ['日本.tar.gz', undefined, 'tar.gz.flist'],
    ['a.tgz', undefined, 'a.flist'],
    ['a.tar', undefined, 'a.flist'],
    ['a.tar.zst', undefined, 'a.flist'],
    ['a.tar.gz.tar.gz', undefined, 'a.tar.gz.flist'],
    ['x.tar.gz', '/some/where/custom name+x.tar.gz', 'custom name+x.flist'],
    ['x.tar.gz', 'custom2', 'custom2.flist'],
    ['x.tar.gz', 'custom3.flist', 'custom3.flist'],
  ]
  for (const [filename, original, name] of cases) {
    const headers = original === undefined ? undefined : { 'X-Original-Name': original }
    const reply = await upload(server, [{ name: 'file', filename, body: 'x' }], headers)
    const { payload } = JSON.parse(reply.text) as { payload: { name: string } }
    assert.equal(payload.name, name)
  }
})

test('bad uploads: the message, and nothing stored', async (t) => {
  const server = await startServer(t)
  const file = { name: 'file', filename: 'a.tar.gz', body: 'x' }
  const cases: Array<readonly [Part[], number, string, Record<string, string>?]> = [
    [[], 500, 'no file found'],
    [[{ name: 'other', filename: 'a.tar.gz', body: 'x' }], 500, 'no file found'],
    [[{ name: 'file', body: 'x' }], 500, 'no file found'],
    [[{ ...file, filename: '' }], 500, 'no file selected'],
    [[{ ...file, filename: 'a.zip' }], 500, 'this file is not allowed'],
    [[{ ...file, filename: 'a.TAR.GZ' }], 500, 'this file is not allowed'],
    [[file], 400, 'invalid name', { 'X-Original-Name': '..' }],
    [[file], 400, 'invalid name', { 'X-Original-Name': 'a/' }],
    [[{ ...file, body: 'BAD archive' }], 400, 'not an archive: BAD at byte 0'],
    [[{ name: 'metadata-x', body: 'y'.repeat(70_000) }, file], 413, 'form field: the limit is 65536 bytes'],
    [
      Array.from({ length: 70 }, (_, at) => ({ name: `f${at}`, body: '' })),
      413,
      'form: the limit is 64 parts',
    ],
  ]
  for (const [parts, status, message, headers] of cases) {
    const reply = await upload(server, parts, headers)
    assert.deepEqual([reply.status, reply.text], [status, error(message)])
  }
  const plain = await server.ask('POST', UPLOAD, {
    headers: { ...ALICE, 'Content-Type': 'application/json' },
    body: '{}',
  })
  assert.deepEqual([plain.status, plain.text], [500, error('no file found')])
  const empty = await server.ask('POST', UPLOAD, { headers: ALICE })
  assert.deepEqual([empty.status, empty.text], [500, error('no file found')])
  assert.deepEqual(server.node.repositories.list(), [])
})

test('a body over the limit is refused before it comes', async (t) => {
  const server = await startServer(t)
  const socket = await server.socket()
  socket.write(
    `POST ${UPLOAD} HTTP/1.1\r\nHost: x\r\nAuthorization: bearer sig-alice\r\nExpect: 100-continue\r\n` +
      `Content-Type: ${MULTIPART['Content-Type']}\r\nContent-Length: 99999999\r\n\r\n`,
  )
  socket.end()
  const reply = parseReply(await readToEnd(socket))
  assert.equal(reply.status, 413)
  assert.equal(reply.headers['connection'], 'close')
})

test('a body cut in the middle stores nothing', async (t) => {
  const server = await startServer(t)
  const body = multipart([{ name: 'file', filename: 'a.tar.gz', body: 'x'.repeat(1000) }])
  const socket = await server.socket()
  socket.write(
    `POST ${UPLOAD} HTTP/1.1\r\nHost: x\r\nAuthorization: bearer sig-alice\r\n` +
      `Content-Type: ${MULTIPART['Content-Type']}\r\nContent-Length: ${body.length}\r\n\r\n`,
  )
  socket.write(body.subarray(0, 500))
  socket.end()
  await readToEnd(socket)
  const unfinished = await server.ask('POST', UPLOAD, {
    headers: { ...ALICE, ...MULTIPART },
    body: body.subarray(0, 700),
  })
  assert.equal(unfinished.status, 400)
  assert.match(unfinished.text, /malformed form/)
  const other = multipart([{ name: 'other', filename: 'b', body: 'x'.repeat(1000) }]).subarray(0, 500)
  assert.equal(
    (await server.ask('POST', UPLOAD, { headers: { ...ALICE, ...MULTIPART }, body: other })).status,
    400,
  )
  assert.deepEqual(server.node.repositories.list(), [])
  assert.deepEqual(server.node.archives, [])
})

test('an error that is known early reaches a client that is still sending', async (t) => {
  const server = await startServer(t)
  const body = multipart([{ name: 'file', filename: 'a.tar.gz', body: 'BAD' + 'x'.repeat(500_000) }])
  const socket = await server.socket()
  socket.write(
    `POST ${UPLOAD} HTTP/1.1\r\nHost: x\r\nAuthorization: bearer sig-alice\r\n` +
      `Content-Type: ${MULTIPART['Content-Type']}\r\nContent-Length: ${body.length}\r\n\r\n`,
  )
  socket.write(body.subarray(0, 100_000))
  const first = await new Promise<Buffer>((resolve) => socket.once('data', resolve))
  assert.equal(parseReply(first).status, 400)
  assert.equal(parseReply(first).headers['connection'], 'close')
  let isClosed = false
  socket.on('close', () => (isClosed = true))
  await new Promise((resolve) => socket.write(body.subarray(100_000, -10), resolve))
  assert.equal(isClosed, false)
  socket.write(body.subarray(-10))
  await readToEnd(socket)
})

test('upload-flist takes a flist whose chunks are here', async (t) => {
  const server = await startServer(t)
  const { node, ask } = server
  node.chunkBytes.set('aa'.repeat(16), new Uint8Array(1))
  const send = (body: string, filename = 'home.flist') =>
    ask('POST', '/api/flist/me/upload-flist', {
      headers: { ...ALICE, ...MULTIPART },
      body: multipart([{ name: 'file', filename, body }]),
    })
  const flist = (chunk: string) =>
    JSON.stringify({ fake: true, chunks: [chunk.repeat(16)], content: [{ size: 7, path: '/f' }] })
  const good = await send(flist('aa'))
  assert.equal(
    good.text,
    '{"status": "success", "payload": {"name": "home.flist", "files": {"success": true, "error": null, "response": ' +
      '{"content": [{"size": 7, "path": "/f"}], "regular": 0, "symlink": 0, "directory": 0, "special": 0, "failure": 0, "fullsize": 0}, "status": 0}}}\n',
  )
  const missing = await send(flist('bb'), 'other.flist')
  assert.deepEqual(
    [missing.status, missing.text],
    [500, error('unauthorized upload, contents is not fully present on backend')],
  )
  assert.equal((await send('garbage', 'other.flist')).status, 400)
  assert.equal((await send(flist('aa'), 'x.tar.gz')).text, error('this file is not allowed'))
  assert.equal((await send(flist('aa') + ' '.repeat(70_000))).status, 413)
  assert.deepEqual((await ask('GET', '/api/flist')).text, '["alice/home.flist"]\n')
})

test('delete removes what the name is, and says what is missing', async (t) => {
  const { node, ask } = await startServer(t)
  const remove = async (name: string) =>
    (await ask('DELETE', `/api/flist/me/${name}`, { headers: ALICE })).text
  assert.equal(await remove('a'), error('user not found'))
  await publish(node, 'alice', 'a.flist')
  await node.repositories.apply(
    'alice',
    [{ type: 'put', name: 'stable', target: { kind: 'taglink', repository: 'alice', tag: 'v' } }],
    { sub: 'alice', idp: 'token' },
  )
  assert.equal(await remove('b'), error('source not found'))
  assert.equal(await remove('a'), '{"status": "success"}\n')
  assert.equal(await remove('stable'), '{"status": "success"}\n')
  assert.equal(await remove('a'), error('source not found'))
  assert.equal((await ask('GET', '/api/flist/alice')).text, '[]\n')
})

test('the Administrator writes any repository by active-user', async (t) => {
  const { node, ask } = await startServer(t)
  const send = (headers: Record<string, string>) =>
    ask('POST', UPLOAD, {
      headers: { ...ADMIN, ...MULTIPART, ...headers },
      body: multipart([{ name: 'file', filename: 'a.tar.gz', body: 'x' }]),
    })
  await send({ Cookie: 'active-user=tf-official%20apps' })
  await send({ 'active-user': 'bob' })
  await send({})
  assert.deepEqual(node.repositories.list(), ['Administrator', 'bob', 'tf-official apps'])
  assert.equal((await send({ 'active-user': '..' })).status, 400)
})
