import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { after, before, beforeEach, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { parseCredentials } from '../../src/image/credentials.ts'
import type { ImagesOptions, OpenOptions } from '../../src/image/images.ts'
import { RegistryList } from '../../src/image/registries.ts'
import { digestOf, TestRegistry } from '../doubles/registry.ts'
import { member, tarOf } from '../doubles/tar-bytes.ts'
import { isBlob, pullFrom } from './pulling.ts'

const one = gzipSync(tarOf(member({ path: 'one', content: '1' })))
const two = gzipSync(tarOf(member({ path: 'two', content: '2' })))

let registry: TestRegistry
before(async () => (registry = await TestRegistry.start()))
after(() => registry.stop())
beforeEach(() => {
  registry.intercept = () => false
  registry.requests.length = 0
})

const pull = (name: string, options?: Partial<ImagesOptions>, open?: OpenOptions) =>
  pullFrom(registry, name, options, open)

describe('signing in', () => {
  const credentials = (text = 'me:secret') => ({
    credentials: parseCredentials([`${registry.host}=${text}`]),
  })
  const basic = `Basic ${Buffer.from('me:secret').toString('base64')}`

  it('is by a token of the realm that the registry names, which is kept', async () => {
    registry.push('private:1', { layers: [one, two] })
    const challenge = `Bearer realm="${registry.url}/token?x=1",service="test",scope="repository:private:pull"`
    let tokens = 0
    registry.intercept = ({ url = '', headers }, response) => {
      if (url.startsWith('/token?')) {
        tokens++
        assert.equal(headers.authorization, basic)
        assert.equal(url, '/token?x=1&service=test&scope=repository%3Aprivate%3Apull')
        return !!response.end(JSON.stringify({ token: `t${tokens}` }))
      }
      if (headers.authorization === 'Bearer t1') return false
      return !!response.writeHead(401, { 'WWW-Authenticate': challenge }).end()
    }
    assert.deepEqual(await pull('private:1', credentials()), [one, two])
    assert.equal(tokens, 1)
  })

  it('is anonymous without credentials, and again when a token has run out', async () => {
    registry.push('public:1', { layers: [one, two] })
    const challenge = `Bearer realm="${registry.url}/token",service="test"`
    const uses = new Map<string, number>()
    registry.intercept = ({ url = '', headers: { authorization = '' } }, response) => {
      if (url.startsWith('/token')) {
        assert.equal(authorization, '')
        return !!response.end(JSON.stringify({ access_token: `t${uses.size}` }))
      }
      const used = (uses.get(authorization) ?? 0) + 1
      if (authorization !== '') uses.set(authorization, used)
      return authorization !== '' && used <= 2
        ? false
        : !!response.writeHead(401, { 'WWW-Authenticate': challenge }).end()
    }
    assert.deepEqual(await pull('public:1'), [one, two])
    assert.ok(uses.size >= 2)
  })

  it('is basic where the registry asks for that', async () => {
    registry.push('basic:1', { layers: [one] })
    registry.intercept = ({ headers }, response) =>
      headers.authorization !== basic &&
      !!response.writeHead(401, { 'WWW-Authenticate': 'Basic realm="x"' }).end()
    assert.deepEqual(await pull('basic:1', credentials()), [one])
    await assert.rejects(pull('basic:1'), { name: 'ImageNotFoundError' })
    await assert.rejects(pull('basic:1', credentials('me:wrong')), {
      name: 'ImageNotFoundError',
    })
  })

  it('tells nothing to a host that a redirect led to, whatever that asks for', async () => {
    registry.push('led:1', { layers: [one] })
    const other = await TestRegistry.start()
    const challenge = `Bearer realm="${other.url}/token"`
    other.intercept = (_, response) => !!response.writeHead(401, { 'WWW-Authenticate': challenge }).end()
    registry.intercept = (request, response) =>
      isBlob(request, { digest: digestOf(one) }) &&
      !!response.writeHead(307, { Location: `${other.url}/blob` }).end()
    const registries = new RegistryList([`test.example=${registry.url}+private`, `b=${other.url}+private`])
    const pulled = pull('led:1', { ...credentials(), registries })
    await assert.rejects(pulled, { name: 'ImageNotFoundError' }).finally(() => other.stop())
    assert.deepEqual(
      other.requests.map(({ url, authorization }) => [url, authorization]),
      [['/blob', undefined]],
    )
  })

  it('at a mirror is not with the credentials of the registry that it stands in for', async () => {
    registry.push('mirrored:1', { layers: [one] })
    registry.intercept = (_, response) => !!response.writeHead(401, { 'WWW-Authenticate': 'Basic' }).end()
    const book = parseCredentials(['test.example=me:secret'])
    await assert.rejects(pull('mirrored:1', { credentials: book }), { name: 'ImageNotFoundError' })
    assert.ok(registry.requests.every(({ authorization }) => authorization === undefined))
  })

  it('fails by name when the token service does', async () => {
    registry.push('notoken:1', { layers: [one] })
    const asks =
      (realm: string) =>
      ({ url = '' }: IncomingMessage, response: ServerResponse) =>
        !url.startsWith('/token') &&
        !!response.writeHead(401, { 'WWW-Authenticate': `Bearer realm="${realm}"` }).end()
    const refused: Array<[realm: string, code: string]> = [
      [`${registry.url}/token`, 'HUB_UNAVAILABLE'], // 404
      ['', 'HUB_MALFORMED'],
      ['/token', 'HUB_MALFORMED'],
      ['http://127.0.0.1:1/token', 'HUB_FORBIDDEN'],
      ['https://169.254.169.254/token', 'HUB_FORBIDDEN'],
      ['file:///etc/passwd', 'HUB_FORBIDDEN'],
    ]
    for (const [realm, code] of refused) {
      registry.intercept = asks(realm)
      await assert.rejects(pull('notoken:1'), { code }, realm)
    }
    for (const body of ['', '{}', '{"token":"a b"}', '{"token":1}', 'x'.repeat(70_000)]) {
      registry.intercept = (request, response) =>
        request.url?.startsWith('/token') === true
          ? !!response.end(body)
          : asks(`${registry.url}/token`)(request, response)
      await assert.rejects(pull('notoken:1'), { code: body.length > 65_536 ? 'HUB_LIMIT' : 'HUB_MALFORMED' })
    }
  })
})
