/** Web sessions, and the routes that they open. */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { test, type TestContext } from 'node:test'
import { success } from '../../src/http/answer.ts'
import type { Call, Route } from '../../src/http/call.ts'
import type { SiteOptions } from '../../src/http/deps.ts'
import { HttpMetrics } from '../../src/http/metrics.ts'
import { Router } from '../../src/http/router.ts'
import { signInRoutes } from '../../src/http/routes-sign-in.ts'
import { createSite } from '../../src/http/site.ts'
import { whoIs } from '../../src/http/who-is.ts'
import { UnauthorizedError } from '../../src/errors.ts'
import { Browser, type Page } from '../doubles/browser.ts'
import { FakeTokens, fakeNode, SITE } from './doubles.ts'

const HOUR_MS = 3_600_000

/** Tokens that can be revoked. */
class RevocableTokens extends FakeTokens {
  readonly revoked = new Set<string>()
  override verify(token: string): string {
    if (this.revoked.has(token)) throw new UnauthorizedError('token revoked')
    return super.verify(token)
  }
}

/** The routes of signing in, a page and a form for sessions. */
async function startHub(t: TestContext, options: Partial<SiteOptions> = {}) {
  const clock = { ms: 1_800_000_000_000 }
  const tokens = new RevocableTokens()
  const node = { ...fakeNode(), tokens, clock: () => clock.ms }
  const site = createSite(node, { ...SITE, ...options }, [])
  const answer = (call: Call) => {
    const { repository, isAdministrator, user } = call.actor()
    return success({ repository, isAdministrator, idp: user.idp, visitor: whoIs(site, call)?.name ?? null })
  }
  const own = { access: 'session', path: '/page', handle: answer } as const
  const routes: Route[] = [
    ...signInRoutes(site),
    { ...own, method: 'GET', summary: 'a page' },
    { ...own, method: 'POST', mutates: true, summary: 'a form' },
  ]
  const metrics = new HttpMetrics([])
  const router = new Router(routes, { ...site, metrics }, { cacheBytes: 0 })
  await router.app.ready()
  const server = createServer((request, response) => router.handle(request, response, false))
  t.after(() => new Promise((resolve) => server.close(resolve)))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  return { clock, tokens, sessions: site.sessions, browser: () => new Browser(port) }
}

function signIn(browser: Browser, token: string): Promise<Page> {
  return browser.visit('/login-token', { method: 'POST', body: new URLSearchParams({ token }) })
}

async function csrfOf(browser: Browser): Promise<string> {
  const { text, headers } = await browser.visit('/api/v1/session')
  assert.equal(headers.get('cache-control'), 'no-store')
  return (JSON.parse(text) as { csrf: string }).csrf
}

const payloadOf = ({ status, text }: Page) => [
  status,
  (JSON.parse(text) as { payload?: { repository?: string } }).payload?.repository,
]

test('pages for sessions lead everybody else to the sign-in page', async (t) => {
  const { browser } = await startHub(t)
  const chrome = browser()
  for (const method of ['GET', 'POST']) {
    const { status, location } = await chrome.visit('/page', { method })
    assert.deepEqual([status, location], [302, '/login-method'])
  }
  chrome.cookies.set('zhub-session', 'A'.repeat(43))
  assert.equal((await chrome.visit('/page')).location, '/login-method')
})

test('a token opens a session, whichever kind it is', async (t) => {
  const { browser } = await startHub(t)
  const cases: Array<[token: string, repository: string]> = [
    ['sig-alice', 'alice'],
    [' sig-alice ', 'alice'],
    ['sig-Administrator', 'Administrator'],
    ['jwt.bob.orgA', 'bob'],
    ['guest.token.with.dots', 'guest'],
  ]
  for (const [token, repository] of cases) {
    const chrome = browser()
    const { status, location } = await signIn(chrome, token)
    assert.deepEqual([token, status, location], [token, 302, '/'])
    // The active-user cookie is the API's (hub-api.md 3.4).
    chrome.cookies.set('active-user', 'orgA')
    assert.deepEqual(payloadOf(await chrome.visit('/page')), [200, repository])
  }
})

test('a token that is none opens nothing', async (t) => {
  const { browser } = await startHub(t)
  const chrome = browser()
  const cases: Array<[token: string, status: number, message: RegExp]> = [
    ['', 401, /invalid signature/],
    ['bad', 401, /invalid signature/],
    ['old', 401, /token expired/],
    ['a.b.c', 403, /invalid token/],
    ['sig-me', 400, /invalid name/],
    ['jwt.Administrator.x', 403, /invalid token/],
  ]
  for (const [token, status, message] of cases) {
    const page = await signIn(chrome, token)
    assert.deepEqual([token, page.status, page.cookies], [token, status, []])
    assert.match(page.text, message)
  }
  const foreign = { method: 'POST', body: 'token=sig-alice', headers: { 'Sec-Fetch-Site': 'cross-site' } }
  assert.equal((await chrome.visit('/login-token', foreign)).status, 403)
  const flood = await chrome.visit('/login-token', { method: 'POST', body: 'x'.repeat(20_000) })
  assert.equal(flood.status, 413)
})

test('the cookie alone changes nothing: a mutation repeats what only a page of ours can read', async (t) => {
  const { browser } = await startHub(t)
  const chrome = browser()
  await signIn(chrome, 'sig-alice')
  const csrf = await csrfOf(chrome)
  const other = browser()
  await signIn(other, 'sig-bob')
  const post = (headers: Record<string, string>) => chrome.visit('/page', { method: 'POST', headers })
  const refused = '{"message":"missing or wrong X-CSRF-Token","status":"error"}\n'
  for (const wrong of ['', 'x', csrf.slice(0, -1), `${csrf}x`, await csrfOf(other)]) {
    const { status, text } = await post(wrong === '' ? {} : { 'X-CSRF-Token': wrong })
    assert.deepEqual([wrong, status, text], [wrong, 403, refused])
  }
  assert.deepEqual(payloadOf(await post({ 'X-CSRF-Token': csrf })), [200, 'alice'])
  for (const foreign of [{ 'Sec-Fetch-Site': 'cross-site' }, { Origin: 'https://evil.example' }])
    assert.equal((await post({ 'X-CSRF-Token': csrf, ...foreign })).status, 403)
})

test('an Authorization header needs neither session nor CSRF token, and beats the session', async (t) => {
  const { browser } = await startHub(t)
  const chrome = browser()
  await signIn(chrome, 'sig-alice')
  const visit = (token: string, method = 'POST') =>
    chrome.visit('/page', { method, headers: { Authorization: `bearer ${token}` } })
  assert.deepEqual(payloadOf(await visit('sig-bob')), [200, 'bob'])
  assert.equal((await visit('bad')).status, 401)
  assert.equal((await visit('a.b.c', 'GET')).status, 403)
})

test('a session ends: after twelve hours, by signing out, by a new one, with its token', async (t) => {
  const { browser, clock, tokens, sessions } = await startHub(t)
  const isIn = async (one: Browser) => (await one.visit('/page')).status === 200
  const chrome = browser()
  await signIn(chrome, 'sig-alice')
  const first = new Map(chrome.cookies)
  await signIn(chrome, 'sig-alice')
  const second = new Map(chrome.cookies)
  assert.notDeepEqual(second, first)
  const thief = browser()
  thief.cookies.set('zhub-session', first.get('zhub-session') ?? '')
  assert.deepEqual([await isIn(chrome), await isIn(thief)], [true, false])

  thief.cookies.set('zhub-session', second.get('zhub-session') ?? '')
  const foreign = await chrome.visit('/logout', { headers: { 'Sec-Fetch-Site': 'cross-site' } })
  assert.deepEqual([foreign.status, await isIn(chrome)], [403, true])
  assert.equal((await chrome.visit('/logout')).status, 200)
  assert.deepEqual([await isIn(chrome), await isIn(thief)], [false, false])

  await signIn(chrome, 'sig-alice')
  tokens.revoked.add('sig-alice')
  assert.equal(await isIn(chrome), false)
  tokens.revoked.clear()
  assert.equal(await isIn(chrome), false)

  await signIn(chrome, 'sig-alice')
  await signIn(thief, 'sig-bob')
  assert.deepEqual([sessions.closeAllOf('alice'), sessions.closeAllOf('alice')], [1, 0])
  assert.deepEqual([await isIn(chrome), await isIn(thief)], [false, true])

  await signIn(chrome, 'sig-alice')
  clock.ms += 12 * HOUR_MS - 1
  assert.equal(await isIn(chrome), true)
  clock.ms += 1
  assert.equal(await isIn(chrome), false)
})

test('read-only leads to its page first, and with authentication off everybody is Administrator', async (t) => {
  const readonly = await startHub(t, { readonly: true })
  for (const method of ['GET', 'POST'])
    assert.equal((await readonly.browser().visit('/page', { method })).location, '/readonly')
  const { browser } = await startHub(t, { auth: false })
  const chrome = browser()
  assert.deepEqual(payloadOf(await chrome.visit('/page')), [200, 'Administrator'])
  assert.deepEqual(payloadOf(await chrome.visit('/page', { method: 'POST' })), [200, 'Administrator'])
  assert.equal(await csrfOf(chrome), null)
})
