/** Browsers that sign in by 3Bot: real sockets, and a login server of the tests' own behind them. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test, type TestContext } from 'node:test'
import { loginServer } from '../../src/http/auth-login-server.ts'
import type { SiteOptions } from '../../src/http/deps.ts'
import { LoginKeys } from '../../src/repo/login-keys.ts'
import { ThreeBotLogin } from '../../src/repo/three-bot-login.ts'
import { Browser, type Page } from '../doubles/browser.ts'
import { startLoginServer, ThreeBotUser, type AttemptParts } from '../doubles/login-server.ts'
import { MapRows } from '../doubles/map-rows.ts'
import { fakeNode } from './doubles.ts'
import { ADMIN, startServer } from './harness.ts'

const NO_STATE = 'Invalid state received. Cannot authenticate request!'
const NOT_SIGNED = 'Unable to verify state signature, denied.'
const NOT_OPENED = 'Unable to decrypt payload, denied.'
const MINUTE_MS = 60_000

async function startHub(t: TestContext, site: Partial<SiteOptions> = {}, rows = new MapRows()) {
  const login = await startLoginServer(t)
  const clock = { ms: 1_800_000_000_000 }
  const now = () => clock.ms
  const keys = new LoginKeys(rows, now)
  const options = { privateKey: randomBytes(32), appId: 'hub.example.test', loginUrl: login.url }
  const threeBot = new ThreeBotLogin(options, keys, loginServer(login.url, { withinMs: 2000 }))
  const harness = await startServer(t, site, {}, { ...fakeNode(), threeBot, clock: now })
  const alice = new ThreeBotUser('alice.3bot')
  login.users.set(alice.name, alice.publicKey)
  return { ...harness, alice, login, keys, clock, browser: () => new Browser(harness.port) }
}

/** Where the hub sends a browser that wants to sign in. */
async function begin(browser: Browser, path = '/login'): Promise<string> {
  const { status, location } = await browser.visit(path)
  assert.equal(status, 302)
  return location ?? ''
}

function comeBack(browser: Browser, attempt: string, path = '/callback_threebot'): Promise<Page> {
  return browser.visit(`${path}?${new URLSearchParams({ signedAttempt: attempt }).toString()}`)
}

async function signIn(browser: Browser, user: ThreeBotUser, parts?: AttemptParts): Promise<Page> {
  return comeBack(browser, user.attempt(await begin(browser), parts))
}

async function whoAmI(browser: Browser): Promise<unknown> {
  const { text } = await browser.visit('/api/v1/session')
  return (JSON.parse(text) as { username: unknown }).username
}

const refusal = ({ status, text }: Page) => [status, text]

test('a browser is sent to the login server and comes back signed in', async (t) => {
  const { browser, alice, login } = await startHub(t)
  const chrome = browser()
  const url = new URL(await begin(chrome))
  assert.equal(url.origin, login.url)
  assert.deepEqual([...url.searchParams.keys()], ['appid', 'publickey', 'state', 'redirecturl', 'scope'])
  assert.equal(url.searchParams.get('appid'), 'hub.example.test')
  assert.match(url.searchParams.get('state') ?? '', /^[A-Za-z0-9]{32}$/)
  assert.match(url.search, /&redirecturl=%2Fcallback_threebot&scope=%7B%7D$/)
  assert.equal(await whoAmI(chrome), null)

  const payload = { email: { email: 'alice@example.test', verified: false } }
  const back = await comeBack(chrome, alice.attempt(url.href, { payload }))
  assert.deepEqual([back.status, back.location], [302, '/'])
  assert.match(
    back.cookies[0] ?? '',
    /^zhub-session=[\w-]{43}; Max-Age=43200; Path=\/; HttpOnly; SameSite=Strict$/,
  )
  assert.deepEqual([...chrome.cookies.keys()], ['zhub-session'])
  assert.equal(await whoAmI(chrome), 'alice.3bot')
  assert.equal(await whoAmI(browser()), null)
  // The session opens pages, never the API.
  assert.equal((await chrome.visit('/api/flist/me')).status, 401)
  const left = await chrome.visit('/logout')
  assert.equal(left.status, 200)
  assert.equal(await whoAmI(chrome), null)
})

test("revoking a user's tokens signs the user's browsers out", async (t) => {
  const { browser, alice, ask, login } = await startHub(t)
  const bob = new ThreeBotUser('bob.3bot')
  login.users.set(bob.name, bob.publicKey)
  const [chrome, firefox, others] = [browser(), browser(), browser()]
  await signIn(chrome, alice)
  await signIn(firefox, alice)
  await signIn(others, bob)
  const revoke = () => ask('DELETE', '/api/v1/tokens/alice.3bot', { headers: ADMIN })
  assert.equal((await revoke()).status, 200)
  assert.deepEqual(
    [await whoAmI(chrome), await whoAmI(firefox), await whoAmI(others)],
    [null, null, 'bob.3bot'],
  )
  assert.equal((await revoke()).status, 404)
})

test('cookies of an https site are held to it', async (t) => {
  const { browser, alice } = await startHub(t, { publicUrl: 'https://hub.example.test' })
  const chrome = browser()
  const began = await chrome.visit('/login')
  assert.match(
    began.cookies[0] ?? '',
    /^__Host-zhub-login=\S+; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax; Secure$/,
  )
  const { cookies } = await comeBack(chrome, alice.attempt(began.location ?? ''))
  assert.match(cookies[0] ?? '', /^__Host-zhub-session=.*; SameSite=Strict; Secure$/)
})

test('a sign-in for a token ends on the page of a token that works', async (t) => {
  const { browser, alice, ask } = await startHub(t)
  const chrome = browser()
  const url = await begin(chrome, '/token')
  assert.equal(new URL(url).searchParams.get('redirecturl'), '/callback_token')
  const { status, location } = await comeBack(chrome, alice.attempt(url), '/callback_token')
  assert.equal(status, 302)
  const token = /^\/token\/(.+)$/.exec(location ?? '')?.[1] ?? ''
  const shown = await chrome.visit(location ?? '')
  assert.equal(shown.status, 200)
  assert.match(shown.text, /sig-alice\.3bot/)
  assert.equal(shown.headers.get('referrer-policy'), 'no-referrer')
  assert.equal(shown.headers.get('cache-control'), 'no-store')
  // The double of the token book writes names with dots; the real one is tried by conformance.
  assert.equal(token, 'sig-alice.3bot')
  assert.equal(await whoAmI(chrome), null)
  assert.equal((await ask('GET', '/token/%3Cscript%3E')).text.includes('<script>'), false)
})

test('a state is good for its browser, its callback, ten minutes, and once', async (t) => {
  const { browser, alice, clock, login } = await startHub(t)
  const chrome = browser()
  const attempt = alice.attempt(await begin(chrome))
  assert.deepEqual(refusal(await comeBack(browser(), attempt)), [400, NO_STATE])
  const other = browser()
  await begin(other)
  assert.deepEqual(refusal(await comeBack(other, attempt)), [400, NO_STATE])
  assert.deepEqual(refusal(await comeBack(chrome, attempt, '/callback_token')), [400, NO_STATE])
  assert.deepEqual(login.asked, [], 'strangers made the node ask the login server')

  const before = new Map(chrome.cookies)
  assert.equal((await comeBack(chrome, attempt)).status, 302)
  for (const [name, value] of before) chrome.cookies.set(name, value)
  assert.deepEqual(refusal(await comeBack(chrome, attempt)), [400, NO_STATE])

  const late = browser()
  const slow = alice.attempt(await begin(late))
  clock.ms += 10 * MINUTE_MS
  assert.deepEqual(refusal(await comeBack(late, slow)), [400, NO_STATE])
})

test('two requests with one state: one of them signs in', async (t) => {
  const { browser, alice } = await startHub(t)
  const chrome = browser()
  const attempt = alice.attempt(await begin(chrome))
  const answers = await Promise.all([comeBack(chrome, attempt), comeBack(chrome, attempt)])
  assert.deepEqual(answers.map(({ status }) => status).sort(), [302, 400])
})

test('a cookie that this node did not make binds nothing', async (t) => {
  const { browser, alice, clock } = await startHub(t)
  const chrome = browser()
  const url = await begin(chrome)
  const [state, end, seal = ''] = (chrome.cookies.get('zhub-login') ?? '').split('.')
  const own = 'A'.repeat(32)
  for (const cookie of [
    `${own}.${end}.${seal}`,
    `${state}.${clock.ms * 2}.${seal}`,
    `${state}.${end}.`,
    `${state}.${end}.${seal.slice(0, -1)}`,
    `${state}.NaN.${seal}`,
    `${state}`,
    '..',
  ]) {
    chrome.cookies.set('zhub-login', cookie)
    for (const claims of [{}, { signedState: own }, { signedState: '' }])
      assert.deepEqual(refusal(await comeBack(chrome, alice.attempt(url, { claims }))), [400, NO_STATE])
  }
})

test('what comes back and proves nothing is refused in the words of the original', async (t) => {
  const { browser, alice, login, ask } = await startHub(t)
  const chrome = browser()
  const stranger = new ThreeBotUser('alice.3bot')
  const emails = [{ email: { verified: null } }, { email: {} }, { email: null }, { email: 'x' }]
  for (const payload of emails)
    assert.deepEqual(refusal(await signIn(chrome, alice, { payload })), [
      400,
      'Email unverified, access denied.',
    ])
  for (const payload of [[], 'x', null])
    assert.deepEqual(refusal(await signIn(chrome, alice, { payload })), [400, NOT_OPENED])
  for (const data of [undefined, {}, { nonce: 'AAAA', ciphertext: 'AAAA' }, { nonce: 1, ciphertext: [] }])
    assert.deepEqual(refusal(await signIn(chrome, alice, { claims: { data } })), [400, NOT_OPENED])
  assert.deepEqual(refusal(await signIn(chrome, stranger)), [400, NOT_SIGNED])
  assert.deepEqual(refusal(await signIn(chrome, new ThreeBotUser('nobody.3bot'))), [400, NOT_SIGNED])
  assert.deepEqual(refusal(await signIn(chrome, alice, { claims: { appId: 'evil.example' } })), [
    400,
    NOT_SIGNED,
  ])
  for (const name of ['..', 'a/b', 'me', 'Administrator']) {
    const user = new ThreeBotUser(name)
    login.users.set(name, user.publicKey)
    assert.deepEqual(refusal(await signIn(chrome, user)), [400, 'invalid name'])
  }
  for (const attempt of ['', 'xx', '[]', '{}', '{"doubleName":"alice.3bot"}', 'x'.repeat(15_000)])
    assert.deepEqual(refusal(await comeBack(chrome, attempt)), [400, NO_STATE])
  assert.equal(await whoAmI(chrome), null)
  assert.equal((await signIn(chrome, alice, { claims: { appId: 'hub.example.test' } })).status, 302)

  const cancelled = await ask('GET', '/callback_threebot?error=UserCancelled%20x')
  assert.deepEqual([cancelled.status, cancelled.text], [400, 'Authentication failed: UserCancelled%20x'])
  const script = await ask('GET', '/callback_token?error=%3Cscript%3E%27%28')
  assert.equal(script.text, 'Authentication failed: %3Cscript%3E%27%28')
})

test('a key is pinned: without a network whoever was here signs in, and nobody with another key', async (t) => {
  const rows = new MapRows()
  const { browser, alice, login, ask } = await startHub(t, {}, rows)
  assert.equal((await signIn(browser(), alice)).status, 302)
  const bob = new ThreeBotUser('bob.3bot')
  const thief = new ThreeBotUser('alice.3bot')
  login.users.set('alice.3bot', thief.publicKey)
  assert.deepEqual(refusal(await signIn(browser(), thief)), [400, NOT_SIGNED])
  assert.equal(login.asked.length, 1)

  const listed = await ask('GET', '/api/v1/login-keys', { headers: ADMIN })
  const [item] = (JSON.parse(listed.text) as { items: Array<{ user: string; key: string; pinned: number }> })
    .items
  assert.deepEqual(item, {
    user: 'alice.3bot',
    key: Buffer.from(alice.publicKey, 'base64').toString('hex'),
    pinned: 1_800_000_000,
  })
  assert.equal((await ask('GET', '/api/v1/login-keys')).status, 401)

  await login.stop()
  assert.equal((await signIn(browser(), alice)).status, 302)
  for (let attempt = 0; attempt < 120; attempt++) await signIn(browser(), bob) // no failures of who asks
  const refused = await signIn(browser(), bob)
  assert.deepEqual(refusal(refused), [503, 'the login server cannot tell the key of bob.3bot'])
  const again = await startHub(t, {}, rows)
  again.login.users.clear()
  assert.equal((await signIn(again.browser(), alice)).status, 302)

  const seat = browser()
  await signIn(seat, alice)
  assert.equal((await seat.visit('/upload')).status, 200)
  const forget = () => ask('DELETE', '/api/v1/login-keys/alice.3bot', { headers: ADMIN })
  assert.deepEqual([(await forget()).status, (await forget()).status], [200, 404])
  assert.equal((await seat.visit('/upload')).location, '/login-method') // who has the old key may sit there
  again.login.users.set('alice.3bot', thief.publicKey)
  assert.equal((await signIn(again.browser(), thief)).status, 302)
})

test('a login server that stalls, floods, redirects or talks nonsense signs nobody in', async (t) => {
  const { browser, alice, login } = await startHub(t)
  const answers: Array<NonNullable<typeof login.answer>> = [
    (_request, response) => void response.writeHead(500).end(),
    (_request, response) => void response.writeHead(302, { Location: `${login.url}/elsewhere` }).end(),
    (_request, response) => void response.end('no json'),
    (_request, response) => void response.end('null'),
    (_request, response) => void response.end(JSON.stringify({ publicKey: 'AAAA' })),
    (_request, response) => void response.end(JSON.stringify({ publicKey: 1 })),
    (_request, response) => void response.end(JSON.stringify({ padding: 'x'.repeat(70_000) })),
    (_request, response) => void response.destroy(),
    () => {}, // never
  ]
  for (const answer of answers) {
    login.answer = answer
    assert.equal((await signIn(browser(), alice)).status, 503)
  }
  login.answer = undefined
  assert.equal((await signIn(browser(), alice)).status, 302)
})

test('callbacks that fail run out like other failed sign-ins', async (t) => {
  const { browser } = await startHub(t)
  for (let at = 0; at < 100; at++) assert.equal((await comeBack(browser(), 'x')).status, 400)
  assert.equal((await comeBack(browser(), 'x')).status, 429)
})

test('without sign-in there is no login, and itsyou.online is gone', async (t) => {
  const off = await startHub(t, { auth: false })
  for (const path of ['/login', '/token', '/callback_threebot', '/callback_token'])
    assert.equal((await off.ask('GET', path)).status, 404, path)
  assert.equal(await whoAmI(off.browser()), 'Administrator')
  const { ask } = await startHub(t)
  for (const path of ['/login-iyo', '/login-iyo?x=1', '/_iyo_callback?code=c&state=s']) {
    const reply = await ask('GET', path)
    assert.deepEqual([reply.status, reply.headers['location']], [302, '/login-method'])
  }
  assert.equal((await ask('GET', '/login-method')).status, 200)
})
