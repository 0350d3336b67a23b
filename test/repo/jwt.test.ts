import assert from 'node:assert/strict'
import { createHmac, generateKeyPairSync, sign, type KeyObject } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { InvalidInputError, UnauthorizedError } from '../../src/errors.ts'
import { JwtVerifier, parseJwtKeys, type JwtOptions } from '../../src/repo/jwt.ts'
import { fuzzRuns } from '../doubles/golden.ts'

const NOW_S = 1_800_000_000
const issuer = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const stranger = generateKeyPairSync('ec', { namedCurve: 'P-384' })
const p256 = generateKeyPairSync('ec', { namedCurve: 'P-256' })
const pemOf = (key: KeyObject) => key.export({ type: 'spki', format: 'pem' }) as string
const PEM = pemOf(issuer.publicKey)

const CLAIMS = { username: 'alice', scope: ['user:memberof:orgA', ''], exp: NOW_S + 60 }
const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url')

interface Making {
  readonly header?: Readonly<Record<string, unknown>>
  readonly key?: KeyObject
  readonly digest?: string | null
}

function make(
  claims: unknown,
  { header = {}, key = issuer.privateKey, digest = 'sha384' }: Making = {},
): string {
  const signed = `${part({ alg: 'ES384', typ: 'JWT', ...header })}.${part(claims)}`
  return `${signed}.${sign(digest, Buffer.from(signed), { key, dsaEncoding: 'ieee-p1363' }).toString('base64url')}`
}

function verifier(options: Partial<JwtOptions> = {}, pem = PEM): JwtVerifier {
  return new JwtVerifier({ keys: parseJwtKeys(pem), clock: () => NOW_S * 1000, ...options })
}

const refused = (token: string, options: Partial<JwtOptions> = {}) =>
  assert.throws(() => verifier(options).verify(token), {
    constructor: UnauthorizedError,
    message: 'invalid token',
  })

describe('a JSON web token', () => {
  it('names its user and the accounts of its scopes', () => {
    const cases: Array<[scope: unknown, accounts: string[]]> = [
      [
        ['user:memberof:orgA', 'user:memberof:orgB', ''],
        ['alice', 'orgA', 'orgB'],
      ],
      [
        ['foo:bar:orgC', 'user:memberof:a.b.c', 'user:memberof:x:y'],
        ['alice', 'orgC', 'a.b.c', 'x'],
      ],
      ['user:memberof:orgA', ['alice']],
      [[], ['alice']],
    ]
    for (const [scope, accounts] of cases)
      assert.deepEqual(verifier().verify(make({ ...CLAIMS, scope })), { username: 'alice', accounts })
  })

  it('is signed by the key of its issuer, each curve with its one algorithm', () => {
    const pairs = [
      { alg: 'ES256', digest: 'sha256', ...p256 },
      { alg: 'ES512', digest: 'sha512', ...generateKeyPairSync('ec', { namedCurve: 'P-521' }) },
      { alg: 'EdDSA', digest: null, ...generateKeyPairSync('ed25519') },
    ]
    const all = [issuer, ...pairs].map(({ publicKey }) => pemOf(publicKey)).join('')
    for (const { alg, digest, privateKey, publicKey } of pairs) {
      const token = make(CLAIMS, { header: { alg }, key: privateKey, digest })
      assert.equal(verifier({}, pemOf(publicKey)).verify(token).username, 'alice')
      assert.equal(verifier({}, all).verify(token).username, 'alice')
      refused(token)
      refused(make(CLAIMS, { header: { alg }, digest })) // our issuer's key under another algorithm's name
    }
  })

  it('is none without a signature, or with one that the public key makes', () => {
    const payload = part(CLAIMS)
    for (const alg of ['none', 'None', 'NONE', '', null, undefined])
      for (const signature of ['', 'AA', make(CLAIMS).split('.')[2]])
        refused(`${part({ alg, typ: 'JWT' })}.${payload}.${signature}`)
    for (const secret of [PEM, PEM.trim(), issuer.publicKey.export({ type: 'spki', format: 'der' })]) {
      const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${payload}`
      refused(`${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`)
    }
  })

  it('is none by another key, however its header leads there', () => {
    const jwk = stranger.publicKey.export({ format: 'jwk' })
    const leads = [
      {},
      { jwk },
      { jku: 'http://127.0.0.1:1/keys' },
      { x5u: 'http://127.0.0.1:1/' },
      { kid: '/dev/null' },
    ]
    for (const header of leads) refused(make(CLAIMS, { header, key: stranger.privateKey }))
    refused(make(CLAIMS, { header: { alg: 'ES384' }, key: p256.privateKey }))
    // Of our own key they mean nothing, but for the one that asks to be understood.
    assert.equal(verifier().verify(make(CLAIMS, { header: { kid: '../../x', jwk } })).username, 'alice')
    refused(make(CLAIMS, { header: { crit: ['b64'], b64: false } }))
  })

  it('has its time, to the second', () => {
    refused(make({ ...CLAIMS, exp: NOW_S }))
    refused(make({ ...CLAIMS, exp: NOW_S - 1 }))
    refused(make({ ...CLAIMS, nbf: NOW_S + 1 }))
    assert.equal(
      verifier().verify(make({ ...CLAIMS, exp: NOW_S + 1, nbf: NOW_S, iat: NOW_S })).username,
      'alice',
    )
    for (const name of ['exp', 'nbf', 'iat'])
      for (const value of ['1', 1.5, null, 1e300, true, []]) refused(make({ ...CLAIMS, [name]: value }))
  })

  it('ends, unless the operator takes those that do not', () => {
    const endless = make({ username: 'alice', scope: [] })
    refused(endless)
    assert.equal(verifier({ allowNoExpiry: true }).verify(endless).username, 'alice')
    refused(make({ ...CLAIMS, exp: NOW_S }), { allowNoExpiry: true })
  })

  it('is for us: one with an audience is for somebody else, one that names nobody for nobody', () => {
    const bad = [
      { aud: 'me' },
      { aud: [] },
      { username: undefined },
      { username: '' },
      { username: 1 },
      { scope: undefined },
      { scope: 1 },
      { scope: {} },
      { scope: ['a', 1] },
      { sub: 1 },
      { jti: {} },
      { iss: 1 },
    ]
    for (const claims of bad) refused(make({ ...CLAIMS, ...claims }))
    for (const claims of [[], 'alice', 1, null]) refused(make(claims))
  })

  it('is not anything else with dots', () => {
    const good = make(CLAIMS)
    const [header, payload, signature] = good.split('.')
    const others = [
      '',
      '.',
      '..',
      'a.b.c',
      good + '.',
      `${good}.x`,
      ` ${good}`,
      `${good}=`,
      `${header}.${payload}`,
      `${header}=.${payload}.${signature}`,
      `${header}.${part({ ...CLAIMS, username: 'bob' })}.${signature}`,
      `${good.slice(0, -1)}`,
      `${header}.${payload}.${Buffer.alloc(96).toString('base64url')}`,
      make({ ...CLAIMS, padding: 'x'.repeat(8192) }),
    ]
    for (const other of others) refused(other)
  })

  it('is signed in the form of its kind: DER is none', () => {
    const signed = make(CLAIMS).split('.').slice(0, 2).join('.')
    refused(`${signed}.${sign('sha384', Buffer.from(signed), issuer.privateKey).toString('base64url')}`)
  })
})

describe('any text', () => {
  it('is a token that our issuer signed, or refused as one that is none', () => {
    const good = make(CLAIMS)
    const cut = (at: number, length: number, text: string) =>
      good.slice(0, at) + text + good.slice(at + length)
    const changed = fc
      .tuple(
        fc.nat(good.length),
        fc.nat(4),
        fc.oneof(fc.constantFrom('.', '..', '=', '', ' '), fc.base64String()),
      )
      .map(([at, length, text]) => cut(at, length, text))
    const parts = fc.tuple(fc.json(), fc.json(), fc.string()).map((texts) => {
      return texts.map((text) => Buffer.from(text).toString('base64url')).join('.')
    })
    const any = fc.oneof(fc.string({ unit: 'binary' }), changed, parts)
    fc.assert(
      fc.property(any, (text) => text === good || refused(text) === undefined),
      { numRuns: fuzzRuns(500) },
    )
  })
})

describe("an issuer's key", () => {
  it('is one of the kinds that sign', () => {
    const bad: Array<[pem: string, message: RegExp]> = [
      ['', /no public key/],
      ['-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n', /cannot be read/],
      [issuer.privateKey.export({ type: 'pkcs8', format: 'pem' }) as string, /private key/],
      [pemOf(generateKeyPairSync('rsa', { modulusLength: 1024 }).publicKey), /the kind rsa/],
      [pemOf(generateKeyPairSync('ec', { namedCurve: 'secp256k1' }).publicKey), /the kind secp256k1/],
      [pemOf(generateKeyPairSync('x25519').publicKey), /the kind x25519/],
    ]
    for (const [pem, message] of bad)
      assert.throws(() => parseJwtKeys(pem), { constructor: InvalidInputError, message })
  })
})
