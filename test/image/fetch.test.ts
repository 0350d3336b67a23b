import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { Fetcher, readAll, type Resolve } from '../../src/image/fetch.ts'
import { RegistryList } from '../../src/image/registries.ts'
import { TestRegistry } from '../doubles/registry.ts'

let allowed: TestRegistry
let other: TestRegistry
before(async () => {
  allowed = await TestRegistry.start()
  other = await TestRegistry.start()
})
after(() => Promise.all([allowed.stop(), other.stop()]))
beforeEach(() => {
  for (const one of [allowed, other]) {
    one.requests.length = 0
    one.intercept = (_, response) => !!response.end('here')
  }
})

const signal = new AbortController().signal
const authorization = 'Bearer secret'

function get(
  url: string,
  list: readonly string[] = [`a=${allowed.url}+private`],
  resolve?: Resolve,
): Promise<string> {
  const fetcher = new Fetcher(new RegistryList(list), {
    idleMs: 5000,
    ...(resolve === undefined ? {} : { resolve }),
  })
  return fetcher
    .get(new URL(url), { headers: { authorization }, signal })
    .then(async (answer) => (await readAll(answer, 'answer', 100)).toString())
}

function leadingTo(location: string): void {
  allowed.intercept = ({ url = '' }, response) =>
    !!response.writeHead(url === '/end' ? 200 : 307, { Location: location }).end('end')
}

describe('a URL', () => {
  it('is fetched where the operator allows it', async () => {
    assert.equal(await get(allowed.url), 'here')
  })

  it('is refused without TLS, with a password, and of another scheme', async () => {
    const port = new URL(allowed.url).port
    for (const url of [
      other.url,
      `http://localhost:${port}/`,
      `http://u:p@127.0.0.1:${port}/`,
      'ftp://127.0.0.1/',
      'file:///etc/passwd',
    ])
      await assert.rejects(get(url), { code: 'HUB_FORBIDDEN' }, url)
    assert.deepEqual([allowed.requests, other.requests], [[], []])
  })

  it('is refused at every address that is not public, however it is written', async () => {
    const port = new URL(other.url).port
    const hosts = [
      '127.0.0.1',
      'localhost',
      '2130706433',
      '0x7f.1',
      '0177.0.0.1',
      '127.1',
      '[::1]',
      '[::ffff:127.0.0.1]',
    ]
    hosts.push(
      '[::ffff:7f00:1]',
      '169.254.169.254',
      '[fe80::1]',
      '0.0.0.0',
      '10.0.0.1',
      '[fd00::1]',
      '[64:ff9b::7f00:1]',
    )
    for (const host of hosts)
      await assert.rejects(
        get(`https://${host}:${port}/`, ['*']),
        { code: 'HUB_FORBIDDEN', message: /is at no public address/ },
        host,
      )
    assert.deepEqual(other.requests, [])
  })

  it('is refused at an address for metadata and the like even where private ones are allowed', async () => {
    for (const host of ['169.254.169.254', '[fe80::1]', '0.0.0.0', '[::ffff:169.254.169.254]'])
      await assert.rejects(
        get(`http://${host}/`, [`a=http://${host}+private`]),
        { code: 'HUB_FORBIDDEN' },
        host,
      )
  })

  it('of a name is refused when one of its addresses is not allowed', async () => {
    const lists = [
      ['127.0.0.1'],
      ['8.8.8.8', '127.0.0.1'],
      ['::ffff:169.254.169.254'],
      ['8.8.8.8', 'fd00::1'],
    ]
    for (const addresses of lists) {
      const resolve = () =>
        Promise.resolve(addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 })))
      await assert.rejects(
        get('https://rebind.example/', ['*'], resolve),
        { code: 'HUB_FORBIDDEN' },
        addresses.join(),
      )
    }
  })

  it('of a name leads to the address that was checked: it is looked up once for each connection', async () => {
    const port = new URL(allowed.url).port
    const asked: string[] = []
    const answers = ['127.0.0.1', '169.254.169.254']
    const resolve: Resolve = (host) => {
      asked.push(host)
      return Promise.resolve([{ address: answers[asked.length - 1] ?? '169.254.169.254', family: 4 }])
    }
    const url = `http://registry.example:${port}`
    assert.equal(await get(url, [`a=${url}+private`], resolve), 'here')
    assert.deepEqual(asked, ['registry.example'])
    await assert.rejects(get(url, [`a=${url}+private`], resolve), { code: 'HUB_FORBIDDEN' })
    assert.equal(allowed.requests.length, 1)
  })

  it('that nobody answers at is an error of the registry', async () => {
    const gone = await TestRegistry.start()
    await gone.stop().catch(() => {})
    await assert.rejects(get('http://127.0.0.1:1/', ['a=http://127.0.0.1:1+private']), {
      name: 'RegistryError',
    })
    const nowhere: Resolve = () => Promise.reject(new Error('ENOTFOUND'))
    await assert.rejects(get('https://nowhere.example/', ['*'], nowhere), {
      name: 'RegistryError',
      message: /ENOTFOUND/,
    })
    await assert.rejects(
      get('https://nowhere.example/', ['*'], () => Promise.resolve([])),
      { name: 'RegistryError' },
    )
  })
})

describe('a redirect', () => {
  it('is followed with the credentials on the same host, three times at most', async () => {
    leadingTo('/end')
    assert.equal(await get(allowed.url), 'end')
    assert.deepEqual(
      allowed.requests.map(({ authorization: sent }) => sent),
      [authorization, authorization],
    )
    leadingTo('/again')
    await assert.rejects(get(allowed.url), { code: 'HUB_LIMIT', message: /redirects/ })
    assert.equal(allowed.requests.length, 2 + 4)
  })

  it('carries no credentials to another host, nor back', async () => {
    const list = [`a=${allowed.url}+private`, `b=${other.url}+private`]
    leadingTo(`${other.url}/blob`)
    assert.equal(await get(allowed.url, list), 'here')
    assert.deepEqual(other.requests, [{ url: '/blob', authorization: undefined, range: undefined }])
    other.intercept = (_, response) => !!response.writeHead(302, { Location: `${allowed.url}/end` }).end()
    assert.equal(await get(allowed.url, list), 'end')
    assert.equal(allowed.requests.at(-1)?.authorization, undefined)
  })

  it('is refused to where nothing may be fetched', async () => {
    const places = [
      'http://169.254.169.254/latest/meta-data',
      'https://169.254.169.254/',
      'https://[::ffff:127.0.0.1]/',
      `${other.url}/`,
    ]
    places.push(
      'https://localhost/',
      'https://0x7f000001/',
      '//10.0.0.1/',
      'file:///etc/passwd',
      'gopher://x/',
      'https://',
    )
    for (const place of places) {
      leadingTo(place)
      await assert.rejects(get(allowed.url), { code: 'HUB_FORBIDDEN' }, place)
    }
    assert.deepEqual(other.requests, [])
  })
})
