import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, stat } from 'node:fs/promises'
import { createServer } from 'node:http'
import { connect, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { readBody } from '../../src/http/body.ts'
import { answerOf } from '../../src/http/errors.ts'
import { createHttpServer } from '../../src/http/server.ts'
import { fakeNode, SITE } from './doubles.ts'
import { UnavailableError } from '../../src/errors.ts'
import { ask, parseReply, publish, readToEnd, startServer } from './harness.ts'

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'zhub-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

test('503 before the node is open and 200 after', async (t) => {
  const server = createHttpServer({ listen: [{ host: '127.0.0.1', port: 0 }] })
  t.after(() => server.stop())
  const [{ port } = { port: 0 }] = await server.start()
  const early = await ask({ host: '127.0.0.1', port }, 'GET', '/healthz')
  assert.deepEqual([early.status, early.headers['retry-after']], [503, '1'])
  assert.match(early.text, /^{"status": "error", "message": /)
  await server.open(fakeNode(), SITE)
  const ready = await ask({ host: '127.0.0.1', port }, 'GET', '/healthz')
  assert.deepEqual([ready.status, ready.text], [200, '{"status":"ok"}\n'])
})

test('stop waits for what is in flight, and leaves nothing behind', async (t) => {
  const node = fakeNode()
  let finish = () => {}
  const started = new Promise<void>((resolve) => {
    Object.assign(node.operator, {
      fsck: () => {
        resolve()
        return new Promise((done) => (finish = () => done({ ok: true })))
      },
    })
  })
  const server = createHttpServer({ listen: [{ host: '127.0.0.1', port: 0 }] })
  t.after(() => server.stop())
  const [{ port } = { port: 0 }] = await server.start()
  await server.open(node, { ...SITE, auth: false })
  const idle = connect(port, '127.0.0.1').resume()
  const closed = once(idle, 'close')
  const answer = ask({ host: '127.0.0.1', port }, 'POST', '/api/v1/fsck')
  await started
  const stopped = server.stop()
  finish()
  assert.equal((await answer).text, '{"ok":true}\n')
  await stopped
  await closed
})

test('the control socket is the operator’s, whatever the settings', async (t) => {
  const controlSocket = join(await folder(t), 'control.sock')
  const { node } = await startServer(t, { readonly: true }, { controlSocket })
  const me = await ask({ path: controlSocket }, 'GET', '/api/flist/me', { headers: { 'active-user': 'bob' } })
  assert.equal(me.text, '{"status": "success", "payload": {"username": "bob"}}\n')
  await publish(node, 'bob', 'a.flist')
  const remove = await ask({ path: controlSocket }, 'DELETE', '/api/flist/me/a', {
    headers: { Cookie: 'active-user=bob' },
  })
  assert.equal(remove.status, 200)
  assert.deepEqual(node.repositories.applied.at(-1)?.user, { sub: 'root', idp: 'local' })
})

test('the control socket is private, taken over from a dead node, and never from a living one', async (t) => {
  const controlSocket = join(await folder(t), 'control.sock')
  const options = { listen: [] }
  const dead = `require('net').createServer().listen(${JSON.stringify(controlSocket)}, () => process.kill(process.pid, 'SIGKILL'))`
  spawnSync(process.execPath, ['-e', dead])
  const living = createHttpServer(options)
  t.after(() => living.stop())
  await living.startControl(controlSocket)
  assert.equal((await stat(controlSocket)).mode & 0o777, 0o600)
  await assert.rejects(createHttpServer(options).startControl(controlSocket), UnavailableError)
  assert.equal((await ask({ path: controlSocket }, 'GET', '/healthz')).status, 503)
})

test('headers that are too long or wrong', async (t) => {
  const { socket } = await startServer(t)
  const say = async (text: string) => {
    const client = await socket()
    client.write(text)
    return parseReply(await readToEnd(client))
  }
  assert.equal((await say(`GET / HTTP/1.1\r\nX: ${'y'.repeat(20_000)}\r\n\r\n`)).status, 431)
  const garbage = await say('HELLO\r\n\r\n')
  assert.deepEqual([garbage.status, garbage.headers['access-control-allow-origin']], [400, '*'])
  assert.equal((await say('GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n')).status, 200)
  assert.equal((await say('PROPFIND /healthz HTTP/1.1\r\nConnection: close\r\n\r\n')).status, 405)
})

test('headers that never end', async (t) => {
  const limits = { headersTimeout: 20, connectionsCheckingInterval: 10 }
  const { socket } = await startServer(t, {}, { limits })
  const client = await socket()
  client.write('GET / HTTP/1.1\r\nX: ')
  assert.equal(parseReply(await readToEnd(client)).status, 408)
})

test('connections over the limit are closed at once', async (t) => {
  const { socket } = await startServer(t, {}, { limits: { maxConnections: 2 } })
  await socket()
  await socket()
  const third = await socket()
  await once(third.resume(), 'close')
})

test('a body that stops coming is given up, one that is slowly read is not', async (t) => {
  const server = createServer((request, response) => {
    void (async () => {
      let length = 0
      for await (const piece of readBody(request, response, 1 << 20, { patienceMs: 1 }))
        length += piece.length
      response.end(String(length))
    })().catch((error: unknown) => response.writeHead(answerOf(error).status).end())
  })
  server.listen(0, '127.0.0.1')
  t.after(() => server.close())
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const whole = await ask({ host: '127.0.0.1', port }, 'POST', '/', { body: 'x'.repeat(300_000) })
  assert.equal(whole.text, '300000')
  const socket = connect(port, '127.0.0.1')
  socket.write('POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 10\r\n\r\nabc')
  assert.equal(parseReply(await readToEnd(socket)).status, 408)
})
