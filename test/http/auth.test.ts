import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ForbiddenError } from '../../src/errors.ts'
import { fakeNode } from './doubles.ts'
import { ADMIN, ALICE, publish, startServer } from './harness.ts'

const styleB = (message: string) => `{"message":"${message}","status":"error"}\n`
const INVALID_NAME = '{"status": "error", "message": "invalid name"}\n'
const username = (name: string) => `{"status": "success", "payload": {"username": "${name}"}}\n`

test('who signs in, and what is said to those who do not', async (t) => {
  const { ask } = await startServer(t)
  const cases: Array<readonly [headers: Record<string, string>, status: number, text: string]> = [
    [{}, 401, styleB('no authorization provided')],
    [{ Authorization: '' }, 401, styleB('no authorization provided')],
    [{ Cookie: 'caddyoauth=a.b.c' }, 401, styleB('no authorization provided')],
    [{ Authorization: 'sig-alice' }, 400, styleB('invalid authorization header')],
    [{ Authorization: 'basic sig-alice' }, 400, styleB('invalid authorization header')],
    [{ Authorization: 'bearer ' }, 401, styleB('invalid signature')],
    [{ Authorization: 'bearer garbage' }, 401, styleB('invalid signature')],
    [{ Authorization: 'bearer old' }, 401, styleB('token expired')],
    [{ Authorization: 'bearer a.b.c' }, 403, styleB('invalid token')],
    [{ Authorization: 'a.b.c' }, 401, styleB('could not authenticate')],
    [{ Authorization: 'a.b.c', Cookie: 'caddyoauth=x.y.z' }, 403, styleB('invalid token')],
    [{ Authorization: 'bearer guest.token.with.dots' }, 200, username('guest')],
    [{ Authorization: 'BEARER sig-alice' }, 200, username('alice')],
    [{ ...ALICE, Cookie: 'a=b; active-user=official-apps' }, 200, username('alice')],
    [
      { Authorization: 'bearer sig-tfofficial', Cookie: 'active-user=official-apps' },
      200,
      username('tfofficial'),
    ],
    [{ ...ADMIN, Cookie: 'active-user=bob' }, 200, username('bob')],
    [ADMIN, 200, username('Administrator')],
    [{ Authorization: 'bearer sig-me' }, 400, INVALID_NAME],
    [{ Authorization: 'bearer sig-a/b' }, 400, INVALID_NAME],
    [{ ...ADMIN, Cookie: 'active-user=%2e%2e' }, 400, INVALID_NAME],
    [{ Authorization: 'bearer jwt.bob.orgA,orgB' }, 200, username('bob')],
    [{ Authorization: 'bearer jwt.bob.orgA,orgB', Cookie: 'active-user=orgB' }, 200, username('orgB')],
    [{ Authorization: 'bearer jwt.bob.orgA,orgB', 'Active-User': 'orgA' }, 200, username('orgA')],
    [{ Authorization: 'bearer jwt.bob.orgA', Cookie: 'active-user=orgZ' }, 200, username('bob')],
    [
      { Authorization: 'bearer jwt.bob.Administrator', Cookie: 'active-user=Administrator' },
      200,
      username('bob'),
    ],
    [{ Authorization: 'bearer jwt.bob.a/b', Cookie: 'active-user=a%2fb' }, 400, INVALID_NAME],
    [{ Authorization: 'bearer jwt.a/b.orgA' }, 400, INVALID_NAME],
    [{ Authorization: 'bearer jwt.a/b.orgA', Cookie: 'active-user=orgA' }, 400, INVALID_NAME],
    [{ Authorization: 'bearer jwt.Administrator.orgA' }, 403, styleB('invalid token')],
    [{ Authorization: 'x.y', Cookie: 'caddyoauth=jwt.bob.orgA' }, 200, username('bob')],
    [{ Authorization: 'bearer jwt.bob.x', Cookie: 'caddyoauth=jwt.eve.x' }, 200, username('bob')],
    [{ Authorization: 'bearer no.a.token', Cookie: 'caddyoauth=jwt.eve.x' }, 403, styleB('invalid token')],
    [{ Authorization: 'bearer guest.token.with.dots.' }, 403, styleB('invalid token')],
    [{ Authorization: 'guest.token.with.dots' }, 401, styleB('could not authenticate')],
    [{ Authorization: 'bearer broken' }, 500, '{"status": "error", "message": "internal server error"}\n'],
  ]
  for (const [headers, status, text] of cases) {
    const reply = await ask('GET', '/api/flist/me', { headers })
    assert.deepEqual([headers, reply.status, reply.text], [headers, status, text])
  }
})

test('a virtual user acts under its own name', async (t) => {
  const { ask } = await startServer(t, { usersMap: new Map([['official-apps', 'tfofficial']]) })
  const headers = { Authorization: 'bearer sig-tfofficial', Cookie: 'active-user=official-apps' }
  assert.equal((await ask('GET', '/api/flist/me', { headers })).text, username('official-apps'))
})

test('a guest token needs no dot', async (t) => {
  const { ask } = await startServer(t, { guestToken: 'guesttoken' })
  const headers = { Authorization: 'bearer guesttoken' }
  assert.equal((await ask('GET', '/api/flist/me', { headers })).text, username('guest'))
})

test('with authentication off everybody is Administrator', async (t) => {
  const { node, ask } = await startServer(t, { auth: false })
  assert.equal((await ask('GET', '/api/flist/me')).text, username('Administrator'))
  await publish(node, 'Administrator', 'a.flist')
  await publish(node, 'alice', 'a.flist')
  assert.match(
    (await ask('GET', '/api/repositories')).text,
    /"Administrator", "official": true.*"alice", "official": false/,
  )
})

test('with authentication off a foreign name for this node is refused, as a rebound page would send it', async (t) => {
  const { ask } = await startServer(t, { auth: false })
  const me = (host: string) => ask('GET', '/api/flist/me', { headers: { Host: host } })
  for (const host of [
    'evil.example',
    'evil.example:8080',
    'localhost.evil.example',
    '10.0.0.1',
    '[::2]',
    '',
  ]) {
    const reply = await me(host)
    assert.deepEqual([host, reply.status, reply.text], [host, 403, styleB('cross-site request refused')])
  }
  for (const host of [
    'localhost:80',
    'app.localhost',
    '127.0.0.1:9',
    '127.1.2.3',
    '[::1]:80',
    'HUB.example.test',
  ])
    assert.equal((await me(host)).status, 200, host)
  assert.equal((await ask('GET', '/api/flist', { headers: { Host: 'evil.example' } })).status, 200)
  const signed = await startServer(t)
  const headers = { ...ALICE, Host: 'evil.example' }
  assert.equal((await signed.ask('GET', '/api/flist/me', { headers })).status, 200)
})

test('read-only comes before everything, and reads go on', async (t) => {
  const { ask } = await startServer(t, { readonly: true })
  for (const [method, path] of [
    ['GET', '/api/flist/me'],
    ['DELETE', '/api/flist/me/x'],
    ['POST', '/api/flist/me/upload'],
  ] as const) {
    const reply = await ask(method, path, { headers: { 'Sec-Fetch-Site': 'cross-site' } })
    assert.deepEqual([reply.status, reply.text], [400, styleB('readonly mode')])
  }
  assert.equal((await ask('GET', '/api/flist')).status, 200)
})

test('a node that was cut takes nothing that it would sign, of no form either, and reads go on', async (t) => {
  const requireStanding = () => {
    throw new ForbiddenError('this node was cut')
  }
  const { ask } = await startServer(t, {}, {}, { ...fakeNode(), requireStanding })
  for (const [method, path] of [
    ['DELETE', '/api/flist/me/x'],
    ['POST', '/api/flist/me/upload'],
    ['POST', '/upload'],
    ['POST', '/merge'],
  ] as const) {
    const { status, text } = await ask(method, path, { headers: ALICE })
    assert.equal(status, 403, path)
    assert.match(text, /this node was cut/, path)
  }
  for (const path of ['/api/flist', '/api/flist/me', '/upload'])
    assert.equal((await ask('GET', path, { headers: ALICE })).status, 200, path)
})

test('a request that a browser marks as cross-site changes nothing', async (t) => {
  const { node, ask } = await startServer(t, { auth: false })
  await publish(node, 'Administrator', 'a.flist')
  const foreign = [
    { 'Sec-Fetch-Site': 'cross-site' },
    { 'Sec-Fetch-Site': 'same-site' },
    { Origin: 'https://evil.example' },
    { Origin: 'null' },
  ]
  for (const headers of foreign) {
    const reply = await ask('DELETE', '/api/flist/me/a', { headers })
    assert.deepEqual([reply.status, reply.text], [403, styleB('cross-site request refused')])
  }
  const own = { 'Sec-Fetch-Site': 'same-origin', Origin: 'http://hub.example.test' }
  assert.equal((await ask('DELETE', '/api/flist/me/a', { headers: own })).status, 200)
  assert.equal((await ask('GET', '/api/flist/me', { headers: foreign[0] ?? {} })).status, 200)
})

test('failed sign-ins run out, per address, told through trusted proxies', async (t) => {
  const { ask } = await startServer(t, {}, { trustedProxies: ['127.0.0.1'] })
  const from = (address: string, token: string) =>
    ask('GET', '/api/flist/me', {
      headers: { Authorization: `bearer ${token}`, 'X-Forwarded-For': `6.6.6.6, ${address}` },
    })
  for (let at = 0; at < 100; at++) assert.equal((await from('10.0.0.1', 'bad')).status, 401)
  const refused = await from('10.0.0.1', 'bad')
  assert.equal(refused.status, 429)
  assert.match(refused.headers['retry-after'] ?? '', /^[1-9]\d*$/)
  assert.equal((await from('10.0.0.2', 'sig-alice')).status, 200)
})
