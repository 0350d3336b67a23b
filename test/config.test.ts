import assert from 'node:assert/strict'
import { generateKeyPairSync } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { loadConfig } from '../src/config.ts'
import { InvalidInputError } from '../src/errors.ts'
import { environmentName, SETTINGS } from '../src/settings.ts'

const refused = (message: RegExp) => (error: unknown) =>
  error instanceof InvalidInputError && message.test(error.message)

describe('configuration', () => {
  it('has defaults that serve on loopback only', () => {
    const config = loadConfig({ HOME: '/home/someone' })
    assert.deepEqual(config.http, [{ host: '127.0.0.1', port: 5555 }])
    assert.deepEqual(config.resp, [{ host: '127.0.0.1', port: 9900 }])
    assert.equal(config.auth, true)
    assert.equal(config.respPassword, undefined)
    assert.equal(config.limits.maxUploadBytes, 4 * 2 ** 30)
  })

  it('puts data under XDG_DATA_HOME when that is an absolute path', () => {
    assert.equal(loadConfig({ XDG_DATA_HOME: '/srv/share' }).data, '/srv/share/zhub')
    assert.match(loadConfig({ XDG_DATA_HOME: 'relative' }).data, /\.local\/share\/zhub$/)
  })

  it('prefers a flag over the environment over the file over the default', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'zhub-config-'))
    const file = join(folder, 'zhub.json')
    await writeFile(
      file,
      JSON.stringify({ log: 'error', 'max-entries': 5, auth: true, official: ['a', 'b'] }),
    )
    try {
      assert.equal(loadConfig({ ZHUB_CONFIG: file }).log, 'error')
      assert.equal(loadConfig({ ZHUB_CONFIG: file }).limits.maxEntries, 5)
      assert.deepEqual(loadConfig({ ZHUB_CONFIG: file }).official, ['a', 'b'])
      assert.equal(loadConfig({ ZHUB_CONFIG: file, ZHUB_LOG: 'warn' }).log, 'warn')
      assert.equal(loadConfig({ ZHUB_CONFIG: file, ZHUB_LOG: 'warn' }, { log: 'debug' }).log, 'debug')
      await writeFile(file, JSON.stringify({ colour: 'red' }))
      assert.throws(() => loadConfig({ ZHUB_CONFIG: file }), refused(/"colour"/))
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('refuses unknown names, naming them, and leaves the budgets of tests alone', () => {
    assert.throws(() => loadConfig({ ZHUB_DATTA: '/x' }), refused(/ZHUB_DATTA/))
    assert.throws(() => loadConfig({ ZHUB_TOKENS: 'x' }), refused(/ZHUB_TOKENS/))
    assert.doesNotThrow(() =>
      loadConfig({ ZHUB_FUZZ_RUNS: '10', ZHUB_SIMULATIONS: '10', ZHUB_TOKEN: 'of commands with --url' }),
    )
  })

  it('refuses authentication off unless every HTTP address is loopback', () => {
    assert.throws(() => loadConfig({ ZHUB_AUTH: 'off', ZHUB_HTTP: '0.0.0.0:5555' }), refused(/auth/))
    assert.throws(() => loadConfig({ ZHUB_AUTH: 'off', ZHUB_HTTP: '127.0.0.1:1,[::]:1' }), refused(/auth/))
    assert.equal(loadConfig({ ZHUB_AUTH: 'off', ZHUB_HTTP: '127.0.0.1:0,[::1]:0' }).auth, false)
  })

  it('takes a 3bot seed only in its two spellings of 32 bytes', () => {
    const hex = '00'.repeat(31) + 'ff'
    const base64 = Buffer.from(hex, 'hex').toString('base64')
    assert.equal(loadConfig({ ZHUB_3BOT_SEED: hex }).threebotSeed?.[31], 255)
    assert.equal(loadConfig({ ZHUB_3BOT_SEED: base64 }).threebotSeed?.length, 32)
    assert.equal(loadConfig({ ZHUB_3BOT_SEED: base64.replace('=', '') }).threebotSeed?.length, 32)
    for (const seed of ['0123456789abcdef0123456789abcdef', hex + '0', 'x'.repeat(45)]) {
      assert.throws(() => loadConfig({ ZHUB_3BOT_SEED: seed }), refused(/3bot-seed/))
    }
  })

  it('asks the login server of ThreeFold, another, or none', () => {
    assert.equal(loadConfig({}).threebotLoginUrl, 'https://login.threefold.me')
    assert.equal(
      loadConfig({ ZHUB_3BOT_LOGIN_URL: 'http://127.0.0.1:9/x/' }).threebotLoginUrl,
      'http://127.0.0.1:9/x',
    )
    assert.equal(loadConfig({ ZHUB_3BOT_LOGIN_URL: '' }).threebotLoginUrl, undefined)
    assert.throws(() => loadConfig({ ZHUB_3BOT_LOGIN_URL: 'login' }), refused(/3bot-login-url/))
    assert.throws(() => loadConfig({ ZHUB_3BOT_KEY: 'short' }), refused(/3bot-key/))
  })

  it('reads the keys of issuers, and names the file that holds none', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'zhub-config-'))
    t.after(() => rm(folder, { recursive: true }))
    const [good, bad] = [join(folder, 'good.pem'), join(folder, 'bad.pem')]
    const pem = generateKeyPairSync('ec', { namedCurve: 'P-384' }).publicKey.export({
      type: 'spki',
      format: 'pem',
    })
    await writeFile(good, String(pem) + String(pem))
    await writeFile(bad, 'nothing')
    assert.deepEqual(loadConfig({}).jwtKeys, [])
    assert.equal(loadConfig({ ZHUB_JWT_KEYS: `${good},${good}` }).jwtKeys.length, 4)
    assert.throws(
      () => loadConfig({ ZHUB_JWT_KEYS: `${good},${bad}` }),
      refused(/jwt-keys: .*bad\.pem holds no/),
    )
    assert.throws(() => loadConfig({ ZHUB_JWT_KEYS: '/nowhere.pem' }), refused(/jwt-keys: cannot read/))
  })

  it('says where images may come from, and whose credentials are for where', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'zhub-config-'))
    t.after(() => rm(folder, { recursive: true }))
    const file = join(folder, 'config.json')
    const auth = Buffer.from('me:of-file').toString('base64')
    await writeFile(file, JSON.stringify({ auths: { 'ghcr.io': { auth }, 'quay.io': { auth } } }))
    const { registries, credentials, platform } = loadConfig({
      ZHUB_REGISTRIES: 'lan:5000=http://lan:5000+private, ghcr.io',
      ZHUB_REGISTRY_CONFIG: file,
      ZHUB_REGISTRY_AUTH: 'quay.io=me:of-setting',
      ZHUB_PLATFORM: 'linux/arm64',
    }).images
    assert.equal(registries.find('lan:5000').endpoint.origin, 'http://lan:5000')
    assert.throws(() => registries.find('docker.io'))
    assert.deepEqual(
      ['ghcr.io', 'quay.io'].map((name) => credentials.get(name)?.password),
      ['of-file', 'of-setting'],
    )
    assert.deepEqual({ ...platform }, { os: 'linux', architecture: 'arm64', variant: undefined })
    assert.throws(() => loadConfig({ ZHUB_REGISTRIES: '' }).images.registries.find('docker.io'))
    assert.throws(() => loadConfig({ ZHUB_REGISTRIES: 'a=b=c' }), refused(/^registries: /))
    assert.throws(
      () => loadConfig({ ZHUB_REGISTRY_AUTH: 'secret' }),
      refused(/^registry-auth: entry 1 is not/),
    )
    assert.throws(
      () => loadConfig({ ZHUB_REGISTRY_CONFIG: join(folder, 'none') }),
      refused(/^registry-config: /),
    )
    assert.throws(() => loadConfig({ ZHUB_PLATFORM: 'amd64' }), refused(/^platform: /))
  })

  it('lets tokens live for ever only under a seed of the operator', () => {
    assert.equal(loadConfig({}).tokenTtlMs, 30 * 86_400_000)
    assert.equal(loadConfig({ ZHUB_3BOT_SEED: '11'.repeat(32) }).tokenTtlMs, 0)
    assert.equal(loadConfig({ ZHUB_TOKEN_TTL: '1h' }).tokenTtlMs, 3_600_000)
  })

  it('reads listen lists, chunk addresses and URLs, and names what it cannot read', () => {
    const config = loadConfig({
      ZHUB_RESP: '127.0.0.1:0, [::1]:9940',
      ZHUB_PUBLIC_CHUNKS: 'zdb://hub.example.test:9900',
    })
    assert.deepEqual(config.resp[1], { host: '::1', port: 9940 })
    assert.deepEqual(config.publicChunks, { namespace: 'default', host: 'hub.example.test', port: 9900 })
    assert.equal(
      loadConfig({ ZHUB_PUBLIC_URL: 'https://hub.example.test/' }).publicUrl,
      'https://hub.example.test',
    )
    assert.throws(() => loadConfig({ ZHUB_HTTP: '127.0.0.1' }), refused(/http/))
    assert.throws(() => loadConfig({ ZHUB_MAX_UPLOAD: 'lots' }), refused(/max-upload/))
    assert.throws(() => loadConfig({ ZHUB_LOG: 'loud' }), refused(/log/))
  })

  it('names every setting once in each spelling', () => {
    assert.equal(new Set(SETTINGS.map(({ key }) => environmentName(key))).size, SETTINGS.length)
    assert.equal(environmentName('3bot-seed'), 'ZHUB_3BOT_SEED')
  })
})
