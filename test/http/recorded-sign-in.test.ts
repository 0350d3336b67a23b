/** The recorded requests that sign in, with the keys of the recording: answered as recorded, or as a departure says. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { JwtVerifier, parseJwtKeys } from '../../src/repo/jwt.ts'
import { LoginKeys } from '../../src/repo/login-keys.ts'
import { ThreeBotLogin } from '../../src/repo/three-bot-login.ts'
import { Tokens } from '../../src/repo/tokens.ts'
import type { SiteOptions } from '../../src/http/deps.ts'
import { readCases, type RecordedCase } from '../conformance/recorded.ts'
import { recordedData } from '../doubles/golden.ts'
import { MapRows } from '../doubles/map-rows.ts'
import { fakeNode } from './doubles.ts'
import { startServer, type Harness, type Reply } from './harness.ts'

const recorded = recordedData('hub')
/** A day after the recording. */
const NOW_MS = 1_795_500_000_000
const NO_STATE = 'Invalid state received. Cannot authenticate request!'
const NOBODY = () => Promise.resolve(undefined)

const styleA = (message: string) => `{"status": "error", "message": "${message}"}\n`
const styleB = (message: string) => `{"message":"${message}","status":"error"}\n`
const username = (name: string) => `{"status": "success", "payload": {"username": "${name}"}}\n`

/** Where we leave the recording, and what of it says no answer: status, and text or location. */
const OWN: Readonly<Record<string, readonly [status: number, text: string]>> = {
  '3bot-dotted-name-ok': [200, username('bob.3bot')],
  '3bot-nonjson': [500, styleA('internal server error')], // hub-departures 21
  '3bot-active-user-mapped-wrong': [200, username('alice.3bot')],
  'jwt-active-user': [200, username('orgA')],
  'jwt-scope-string': [200, username('jwtuser')],
  'jwt-no-scope': [403, styleB('invalid token')],
  'jwt-expired': [403, styleB('invalid token')],
  'jwt-aud': [403, styleB('invalid token')],
  'jwt-es256': [403, styleB('invalid token')], // hub-departures 8
  'jwt-other-key': [403, styleB('invalid token')],
  'jwt-garbage': [403, styleB('invalid token')],
  'jwt-session': [200, username('sessuser')],
  'session-plus-dot': [403, styleB('invalid token')], // hub-departures 8
  'session-plus-dot-active': [401, styleB('could not authenticate')], // hub-departures 8
  'jwt-user-slash': [400, styleA('invalid name')], // hub-departures 7
  'auth-upload-slash': [400, styleA('invalid name')], // hub-departures 7
  'auth-upload-dotdot': [400, styleA('invalid name')], // hub-departures 7
  'auth-none-get-x': [401, styleB('no authorization provided')],
  'login-iyo': [302, '/login-method'], // hub-departures 28, as the next
  'iyo-callback-none': [302, '/login-method'],
  'iyo-login-start': [302, '/login-method'],
  'iyo-callback-badstate': [302, '/login-method'],
  'iyo-callback-nocode': [302, '/login-method'],
  'iyo-callback-badcode': [302, '/login-method'],
  'iyo-callback-ok': [302, '/login-method'],
  'iyo-session-active': [302, '/login-method'],
  'callback-none': [400, NO_STATE], // hub-departures 8, as the next
  'callback-ok': [400, NO_STATE],
  'callback-noemail': [400, NO_STATE],
  'callback-unverified-null': [400, NO_STATE],
  'callback-unverified-false': [400, NO_STATE],
  'callback-badsig': [400, NO_STATE],
  'callback-badbox': [400, NO_STATE],
  'callback-notjson': [400, NO_STATE],
  'callback-token': [400, NO_STATE],
  'guest-nodot': [200, username('guest')], // hub-departures 8
}

const OF_SIGN_IN =
  /^(?:auth-none|3bot|jwt|session|guest|iyo-(?!session-upload)|login|callback|auth-upload-slash|auth-upload-dotdot|ui-session-api|ro-me)/

async function startRecorded(t: TestContext, options: Partial<SiteOptions>): Promise<Harness> {
  const rows = new MapRows()
  const clock = () => NOW_MS
  const seed = Buffer.from('0123456789abcdef0123456789abcdef')
  const pem = readFileSync(join(recorded.path, 'jwt-test-public.pem'), 'utf8')
  const login = {
    privateKey: Buffer.alloc(32, 7),
    appId: 'hub.example.test',
    loginUrl: 'https://login.threefold.me',
  }
  const node = {
    ...fakeNode(),
    clock,
    tokens: new Tokens({ rows, clock }, { seed, isOwnSeed: false }),
    jwts: new JwtVerifier({ keys: parseJwtKeys(pem), allowNoExpiry: true, clock }),
    threeBot: new ThreeBotLogin(login, new LoginKeys(rows, clock), NOBODY),
  }
  return startServer(t, { guestToken: 'guest.token.with.dots', ...options }, {}, node)
}

function isAsRecorded({ id, response }: RecordedCase, { status, text, headers }: Reply): void {
  const location = headers['location'] ?? ''
  const own = OWN[id]
  if (own !== undefined || response === null) {
    assert.deepEqual([id, status, status === 302 ? location : text], [id, ...(own ?? [])])
    return
  }
  assert.deepEqual([id, status], [id, response.status])
  const [, wanted = ''] = response.headers.find(([name]) => name === 'Location') ?? []
  assert.equal(steady(location), steady(wanted), id)
  const recordedText = response.body?.text ?? ''
  if (!recordedText.startsWith('<!doctype')) assert.equal(text, recordedText, id)
}

/** A URL without what differs with every login, and with every hub. */
function steady(url: string): string {
  return url.replace(/state=[A-Za-z0-9]{32}&/, 'state=S&').replace(/publickey=[\w%]+?%3D&/, 'publickey=K&')
}

test('recorded sign-ins', { skip: recorded.skip }, async (t) => {
  const hubs = {
    auth: await startRecorded(t, { usersMap: new Map([['official-apps', 'tfofficial.3bot']]) }),
    nodot: await startRecorded(t, { guestToken: 'no5rjrsFpgXVxCd6bzicvyI7YmvhuTIs' }),
    readonly: await startRecorded(t, { readonly: true }),
  }
  const seen: string[] = []
  for (const one of readCases(recorded.path)) {
    const { id, profile, request, response } = one
    if (!(profile in hubs) || !OF_SIGN_IN.test(id)) continue
    if (/promote|crosslink|crosstag|link-b|tag-r-s|rename|docker|merge/.test(id)) continue // of other route groups
    if (response === null && OWN[id] === undefined) continue
    const headers = { ...request.headers, 'Content-Length': '0' }
    isAsRecorded(one, await hubs[profile as keyof typeof hubs].ask(request.method, request.path, { headers }))
    seen.push(id)
  }
  for (const id of Object.keys(OWN)) assert.ok(seen.includes(id), `${id} was not asked`)
  assert.ok(seen.length > 60, `only ${seen.length} cases were asked`)
})
