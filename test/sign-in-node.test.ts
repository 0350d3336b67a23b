/** Signing in at whole nodes: what settings and data folders have to do with it. */
import assert from 'node:assert/strict'
import { generateKeyPairSync, sign } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { loadConfig } from '../src/config.ts'
import { openNode } from '../src/node.ts'
import { SILENT } from '../src/util/logger.ts'
import { Browser } from './doubles/browser.ts'
import { startLoginServer, ThreeBotUser } from './doubles/login-server.ts'

async function folder(t: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'zhub-'))
  t.after(() => rm(path, { recursive: true, force: true }))
  return path
}

/** A node on a data folder, for as long as `use` takes. */
async function withNode<T>(
  data: string,
  settings: Readonly<Record<string, string>>,
  use: (browser: () => Browser) => Promise<T>,
): Promise<T> {
  const base = { ZHUB_DATA: data, ZHUB_HTTP: '127.0.0.1:0', ZHUB_RESP: '127.0.0.1:0', ZHUB_MIN_FREE: '0' }
  const config = loadConfig({ ...base, ...settings })
  const node = await openNode(config, { version: '0', log: SILENT, isPublic: true })
  try {
    const { port } = new URL(node.http[0] ?? '')
    return await use(() => new Browser(Number(port)))
  } finally {
    await node.stop()
  }
}

async function signIn(browser: Browser, user: ThreeBotUser, path = '/login') {
  const begun = (await browser.visit(path)).location ?? ''
  const callback = new URL(begun).searchParams.get('redirecturl') ?? ''
  const query = new URLSearchParams({ signedAttempt: user.attempt(begun) }).toString()
  return { begun: new URL(begun).searchParams, end: await browser.visit(`${callback}?${query}`) }
}

async function userOf(browser: Browser, token: string): Promise<string | number> {
  const { status, text } = await browser.visit('/api/flist/me', {
    headers: { Authorization: `bearer ${token}` },
  })
  if (status !== 200) return status
  return (JSON.parse(text) as { payload: { username: string } }).payload.username
}

test('whoever signed in once signs in again after a restart and without a network', async (t) => {
  const data = await folder(t)
  const login = await startLoginServer(t)
  const alice = new ThreeBotUser('alice.3bot')
  login.users.set(alice.name, alice.publicKey)
  const settings = { ZHUB_3BOT_LOGIN_URL: login.url, ZHUB_PUBLIC_URL: 'http://hub.farm.example:8080' }

  const first = await withNode(data, settings, async (browser) => {
    const chrome = browser()
    const { begun, end } = await signIn(chrome, alice, '/token')
    const token = (end.location ?? '').replace(/^\/token\//, '')
    assert.equal(await userOf(chrome, token), 'alice.3bot')
    assert.match((await chrome.visit(end.location ?? '')).text, /alice|bearer/)
    return { key: begun.get('publickey'), appId: begun.get('appid'), token }
  })
  assert.equal(first.appId, 'hub.farm.example:8080')
  await login.stop()
  await withNode(data, settings, async (browser) => {
    const { begun, end } = await signIn(browser(), alice)
    assert.deepEqual([end.status, end.location], [302, '/'])
    assert.equal(begun.get('publickey'), first.key, 'the key of login changed with a restart')
    assert.equal(await userOf(browser(), first.token), 'alice.3bot')
  })
  await withNode(await folder(t), settings, async (browser) => {
    assert.equal(await userOf(browser(), first.token), 401, 'a token of another node counts')
  })
})

test('settings: the key of login, its name, the issuers of JSON web tokens', async (t) => {
  const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-384' })
  const data = await folder(t)
  const pem = join(data, 'issuer.pem')
  await writeFile(pem, publicKey.export({ type: 'spki', format: 'pem' }))
  const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'ES384' })}.${part({ username: 'bob', scope: [] })}`
  const signature = sign('sha384', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' })
  const endless = `${signed}.${signature.toString('base64url')}`

  const settings = { ZHUB_JWT_KEYS: pem, ZHUB_3BOT_KEY: 'A'.repeat(42) + 'E=', ZHUB_3BOT_APPID: 'my.hub' }
  await withNode(join(data, 'node'), settings, async (browser) => {
    const { searchParams } = new URL((await browser().visit('/login')).location ?? '')
    assert.equal(searchParams.get('appid'), 'my.hub')
    // As libsodium has it: crypto_scalarmult_base of that key.
    assert.equal(searchParams.get('publickey'), '/TOE4TKtAqVsePRVR+5AA43HkAK5DSntkOCO7nYq5xU=')
    assert.equal(await userOf(browser(), endless), 403)
  })
  const none = { ...settings, ZHUB_JWT_ALLOW_NO_EXP: '1', ZHUB_3BOT_LOGIN_URL: '' }
  await withNode(join(data, 'node'), none, async (browser) => {
    assert.equal(await userOf(browser(), endless), 'bob')
    assert.equal((await browser().visit('/login')).status, 404)
    assert.doesNotMatch((await browser().visit('/login-method')).text, /ThreeFold/)
  })
})
