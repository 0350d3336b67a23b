import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseCredentials, parseDockerConfig } from '../../src/image/credentials.ts'
import { fitOf, parsePlatform } from '../../src/image/platform.ts'
import { parseImageReference, publishedName } from '../../src/image/reference.ts'
import { RegistryList } from '../../src/image/registries.ts'

const DIGEST = `sha256:${'ab'.repeat(32)}`

describe('the name of an image', () => {
  const NAMES: Array<[text: string, registry: string, repository: string, tag: string]> = [
    ['busybox', 'docker.io', 'library/busybox', 'latest'],
    ['busybox:1.36', 'docker.io', 'library/busybox', '1.36'],
    ['docker.io/busybox', 'docker.io', 'library/busybox', 'latest'],
    ['index.docker.io/acme/web', 'docker.io', 'acme/web', 'latest'],
    ['acme/web:1.0', 'docker.io', 'acme/web', '1.0'],
    ['ghcr.io/acme/a.b_c--d/web', 'ghcr.io', 'acme/a.b_c--d/web', 'latest'],
    ['GHCR.io/acme/web', 'ghcr.io', 'acme/web', 'latest'],
    ['localhost/web', 'localhost', 'web', 'latest'],
    ['localhost:5000/web:v1', 'localhost:5000', 'web', 'v1'],
    ['[::1]:5000/web', '[::1]:5000', 'web', 'latest'],
    [`acme/web:1.0@${DIGEST}`, 'docker.io', 'acme/web', '1.0'],
  ]
  it('is spelled out as docker does', () => {
    for (const [text, registry, repository, tag] of NAMES) {
      const digest = text.includes('@') ? DIGEST : undefined
      assert.deepEqual(parseImageReference(text), { registry, repository, tag, digest }, text)
    }
  })

  it('is refused when it is none', () => {
    const refused = [
      '',
      'A',
      'a//b',
      '/a',
      'a/',
      'a:',
      'a b',
      'a:b c',
      'a@md5:00',
      'a@sha512:' + 'ab'.repeat(64),
    ]
    refused.push(
      `a@sha256:${'AB'.repeat(32)}`,
      '../a',
      'a/../b',
      'x?y',
      'evil.com#/a',
      'u@h/a',
      'http://h/a',
      '\u0130',
      'a%2fb',
    )
    refused.push('h.example:99999999/a', 'a'.repeat(300), '-a', 'a.')
    for (const text of refused)
      assert.throws(() => parseImageReference(text), { code: 'HUB_INVALID_INPUT' }, text)
  })

  it('becomes the name of the flist as the contract says', () => {
    assert.equal(publishedName('busybox'), 'busybox-latest')
    assert.equal(publishedName('acme/web:1.0'), 'acme-web-1.0')
    assert.equal(publishedName('localhost:5000/app'), 'localhost-5000-app')
  })
})

describe('the list of registries', () => {
  const list = new RegistryList([
    'docker.io',
    'ghcr.io',
    'lan:5000=http://lan:5000+private',
    'quay.io=https://mirror.example',
  ])
  it('knows where each answers', () => {
    assert.equal(list.find('docker.io').endpoint.origin, 'https://registry-1.docker.io')
    assert.equal(list.find('ghcr.io').endpoint.origin, 'https://ghcr.io')
    assert.equal(list.find('lan:5000').endpoint.origin, 'http://lan:5000')
    assert.equal(list.find('quay.io').endpoint.origin, 'https://mirror.example')
    assert.throws(() => list.find('evil.example'), { code: 'HUB_FORBIDDEN' })
    assert.throws(() => new RegistryList([]).find('docker.io'), { code: 'HUB_FORBIDDEN' })
    assert.equal(new RegistryList(['*']).find('evil.example').endpoint.origin, 'https://evil.example')
  })

  it('allows plain HTTP and private addresses just where it says so', () => {
    assert.equal(list.mayBePlain(new URL('http://lan:5000/v2/')), true)
    assert.equal(list.mayBePrivate(new URL('http://lan:5000/v2/')), true)
    for (const url of ['http://lan:5001', 'http://ghcr.io', 'http://lan']) {
      assert.equal(list.mayBePlain(new URL(url)), false, url)
      assert.equal(list.mayBePrivate(new URL(url)), false, url)
    }
    assert.equal(list.mayBePrivate(new URL('https://ghcr.io')), false)
  })

  it('is refused when an entry is none', () => {
    for (const entry of [
      '',
      'a=b=c',
      'a=ftp://b',
      'a=http://b/path',
      'a=http://u:p@b',
      'a b',
      'a+public',
      '=http://b',
    ])
      assert.throws(() => new RegistryList([entry]), { code: 'HUB_INVALID_INPUT' }, entry)
  })
})

describe('credentials', () => {
  it('come from a setting and from a docker config.json', () => {
    assert.deepEqual(parseCredentials(['ghcr.io=me:a:b=c']).get('ghcr.io'), { user: 'me', password: 'a:b=c' })
    const auth = Buffer.from('me:secret').toString('base64')
    const book = parseDockerConfig(
      JSON.stringify({
        auths: {
          'https://index.docker.io/v1/': { auth },
          'LAN:5000': { username: 'u', password: 'p' },
          empty: {},
          bad: { auth: 'AAAA' },
        },
        credsStore: 'desktop',
      }),
    )
    assert.deepEqual(book.get('docker.io'), { user: 'me', password: 'secret' })
    assert.deepEqual(book.get('lan:5000'), { user: 'u', password: 'p' })
    assert.equal(book.size, 2)
    assert.equal(parseDockerConfig('{}').size, 0)
  })

  it('are refused without showing them', () => {
    for (const refuse of [
      () => parseCredentials(['hunter2']),
      () => parseDockerConfig('{"auths": "hunter2"}'),
      () => parseDockerConfig('hunter2'),
    ])
      assert.throws(
        refuse,
        (error: Error) => !error.message.includes('hunter2') && error.name === 'InvalidInputError',
      )
  })
})

describe('a platform', () => {
  const fit = (offered: string, wanted: string) => fitOf(parsePlatform(offered), parsePlatform(wanted))
  it('fits with its usual variant', () => {
    assert.equal(fit('linux/amd64', 'linux/amd64'), 2)
    assert.equal(fit('linux/arm64/v8', 'linux/arm64'), 2)
    assert.equal(fit('linux/arm64', 'linux/arm64/v8'), 2)
    assert.equal(fit('linux/arm/v6', 'linux/arm'), 1)
    assert.equal(fit('linux/arm/v6', 'linux/arm/v7'), 0)
    assert.equal(fit('linux/arm64', 'linux/amd64'), 0)
    assert.equal(fit('windows/amd64', 'linux/amd64'), 0)
  })
  it('is refused when it is none', () => {
    for (const text of ['', 'linux', 'linux/', 'Linux/amd64', 'linux/amd64/v1/x', 'linux amd64'])
      assert.throws(() => parsePlatform(text), { code: 'HUB_INVALID_INPUT' }, text)
  })
})
