import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { after, before, beforeEach, describe, it } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { parseCredentials } from '../../src/image/credentials.ts'
import { Images, type ImagesOptions, type OpenOptions } from '../../src/image/images.ts'
import { RegistryList } from '../../src/image/registries.ts'
import { collect } from '../doubles/collect.ts'
import { noise } from '../doubles/noise.ts'
import { DOCKER_LIST, digestOf, OCI_LAYER, TestRegistry, type TestDescriptor } from '../doubles/registry.ts'
import { member, tarOf } from '../doubles/tar-bytes.ts'

const AMD64 = { os: 'linux', architecture: 'amd64' }
const ARM64 = { os: 'linux', architecture: 'arm64' }
const BIG = Buffer.from(noise(7, 300_000))
const one = gzipSync(tarOf(member({ path: 'one', content: '1' })))
const two = gzipSync(tarOf(member({ path: 'two', content: '2' })))

let registry: TestRegistry
before(async () => (registry = await TestRegistry.start()))
after(() => registry.stop())
beforeEach(() => {
  registry.intercept = () => false
  registry.requests.length = 0
})

function imagesOf(options: Partial<ImagesOptions> = {}): Images {
  return new Images({
    registries: new RegistryList([`test.example=${registry.url}+private`]),
    credentials: new Map(),
    platform: AMD64,
    maxBytes: 1 << 20,
    fetch: { idleMs: 60_000 },
    retry: { firstWaitMs: 0 },
    archives: { directory: '/nowhere', requireSpace: () => Promise.resolve(), decompress: (bytes) => bytes },
    ...options,
  })
}

/** Every layer but the last, which is the start-up file's. */
async function pull(
  name: string,
  options: Partial<ImagesOptions> = {},
  open: OpenOptions = {},
): Promise<Buffer[]> {
  const image = await imagesOf(options).pull(`test.example/${name}`, open)
  try {
    const layers: Buffer[] = []
    for await (const layer of image.layers) layers.push(await collect(layer))
    return layers.slice(0, -1)
  } finally {
    await image.close()
  }
}

const isBlob = ({ url = '' }: IncomingMessage, { digest }: { digest: string }) =>
  url.endsWith(`/blobs/${digest}`)

describe('an image of a registry', () => {
  it('comes with its layers as they are stored, in their order, by either kind of manifest', async () => {
    registry.push('oci:1', { layers: [one, two, tarOf()], config: { Cmd: ['x'] } })
    registry.push('acme/docker:1', { layers: [two, one], isDocker: true })
    assert.deepEqual(await pull('oci:1'), [one, two, tarOf()])
    assert.deepEqual(await pull('acme/docker:1'), [two, one])
  })

  it('comes by its digest alone, and is refused when it is another', async () => {
    const { digest } = registry.push('pinned:1', { layers: [one] })
    assert.deepEqual(await pull(`pinned@${digest}`), [one])
    registry.intercept = ({ url = '' }, response) =>
      url.includes('/manifests/') && !!response.end('{"schemaVersion":2}')
    await assert.rejects(pull(`pinned@${digest}`), { code: 'HUB_CORRUPT' })
  })

  it('is the one for the platform that is asked for, through indexes of indexes', async () => {
    const amd = { ...registry.push(undefined, { layers: [one] }), platform: AMD64 }
    const arm = { ...registry.push(undefined, { layers: [two], outer: ARM64 }), platform: ARM64 }
    const attestation = { ...amd, platform: { os: 'unknown', architecture: 'unknown' } }
    registry.pushIndex('multi:1', [attestation, arm, amd])
    registry.pushIndex('multi:docker', [arm, amd], DOCKER_LIST)
    const inner = registry.pushIndex('multi:inner', [arm, amd])
    registry.pushIndex('multi:nested', [{ ...inner }])
    for (const tag of ['1', 'docker', 'nested']) assert.deepEqual(await pull(`multi:${tag}`), [one], tag)
    assert.deepEqual(await pull('multi:1', {}, { platform: () => 'linux/arm64' }), [two])
    await assert.rejects(pull('multi:1', {}, { platform: () => 'linux/s390x' }), {
      code: 'HUB_INVALID_INPUT',
      message: 'the image is not made for linux/s390x, but for linux/arm64, linux/amd64',
    })
    registry.push('armonly:1', { layers: [two], outer: ARM64 })
    await assert.rejects(pull('armonly:1'), /not made for linux\/amd64, but for linux\/arm64/)
  })

  it('is not found when it is not there, and when it is not for us', async () => {
    await assert.rejects(pull('nothing:1'), { name: 'ImageNotFoundError' })
    for (const status of [401, 403]) {
      registry.intercept = (_, response) => !!response.writeHead(status).end()
      await assert.rejects(pull('nothing:1'), { name: 'ImageNotFoundError' }, String(status))
    }
  })

  it('tells how far it is', async () => {
    registry.push('progress:1', { layers: [one, two] })
    const seen: string[] = []
    await pull(
      'progress:1',
      {},
      {
        onProgress: ({ layer, layers, doneBytes, totalBytes }) =>
          seen.push(`${layer}/${layers} ${doneBytes}/${totalBytes}`),
      },
    )
    const total = one.length + two.length
    assert.deepEqual(seen, [
      `1/2 0/${total}`,
      `1/2 ${one.length}/${total}`,
      `2/2 ${one.length}/${total}`,
      `2/2 ${total}/${total}`,
    ])
  })
})

describe('signing in', () => {
  const credentials = parseCredentials(['test.example=me:secret'])
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
    assert.deepEqual(await pull('private:1', { credentials }), [one, two])
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
    assert.deepEqual(await pull('basic:1', { credentials }), [one])
    await assert.rejects(pull('basic:1'), { name: 'ImageNotFoundError' })
    await assert.rejects(pull('basic:1', { credentials: parseCredentials(['test.example=me:wrong']) }), {
      name: 'ImageNotFoundError',
    })
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

describe('a layer', () => {
  it('is taken up again where a connection broke', async () => {
    registry.push('cut:1', { layers: [one, BIG] })
    const wanted = { digest: digestOf(BIG) }
    let cuts = 0
    registry.intercept = (request, response) => {
      if (!isBlob(request, wanted) || cuts >= 3) return false
      cuts++
      const start = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0)
      if (start > 0) response.statusCode = 206
      response.setHeader('Content-Range', `bytes ${start}-${BIG.length - 1}/${BIG.length}`)
      response.setHeader('Content-Length', BIG.length - start)
      response.write(BIG.subarray(start, start + 50_000), () => response.destroy())
      return true
    }
    assert.deepEqual((await pull('cut:1'))[1], BIG)
    const ranges = registry.requests
      .filter(({ url }) => url.endsWith(wanted.digest))
      .map(({ range }) => range)
    assert.equal(ranges.length, 4)
    assert.ok(
      ranges.slice(1).every((range) => /^bytes=\d+-$/.test(range ?? '')),
      ranges.join(),
    )
  })

  it('is begun again by a server without ranges, and what is known is passed over', async () => {
    registry.push('norange:1', { layers: [BIG] })
    let cuts = 0
    registry.intercept = (request, response) => {
      if (!isBlob(request, { digest: digestOf(BIG) })) return false
      if (cuts++ > 0) return !!response.end(BIG)
      response.setHeader('Content-Length', BIG.length)
      response.write(BIG.subarray(0, 100_000), () => response.destroy())
      return true
    }
    assert.deepEqual(await pull('norange:1'), [BIG])
  })

  it('is given up after so many tries that bring nothing', async () => {
    registry.push('broken:1', { layers: [BIG] })
    let tries = 0
    registry.intercept = (request, response) => {
      if (!isBlob(request, { digest: digestOf(BIG) })) return false
      tries++
      return !!response.writeHead(503).end()
    }
    await assert.rejects(pull('broken:1', { retry: { firstWaitMs: 0, tries: 3 } }), { name: 'RegistryError' })
    assert.equal(tries, 3)
  })

  it('is given up when it stalls', async () => {
    registry.push('stall:1', { layers: [BIG] })
    registry.intercept = (request, response) => {
      if (!isBlob(request, { digest: digestOf(BIG) })) return false
      response.setHeader('Content-Length', BIG.length)
      response.write(BIG.subarray(0, request.headers.range === undefined ? 10 : 0))
      return true
    }
    const patience = { fetch: { idleMs: 30 }, retry: { firstWaitMs: 0, tries: 2 } }
    await assert.rejects(pull('stall:1', patience), { name: 'RegistryError' })
  })

  it('is given up when it drips', async () => {
    registry.push('drip:1', { layers: [BIG] })
    let isOpen = true
    registry.intercept = (request, response) => {
      if (!isBlob(request, { digest: digestOf(BIG) })) return false
      response.setHeader('Content-Length', BIG.length)
      const drip = () =>
        isOpen && !response.destroyed && response.write(BIG.subarray(0, 1), () => setTimeout(drip, 5))
      drip()
      return true
    }
    const patience = { fetch: { idleMs: 30 }, retry: { firstWaitMs: 0, tries: 1 } }
    await assert.rejects(pull('drip:1', patience), { name: 'RegistryError' }).finally(() => (isOpen = false))
  })

  it('is no other than its digest and its size say', async () => {
    const lies: Array<[title: string, bytes: Buffer, message: RegExp]> = [
      ['other bytes', Buffer.from(noise(8, BIG.length)), /its content has another digest/],
      ['more bytes', Buffer.concat([BIG, BIG]), /there is more than the 300000 bytes/],
    ]
    registry.push('lie:1', { layers: [BIG] })
    for (const [title, bytes, message] of lies) {
      registry.intercept = (request, response) =>
        isBlob(request, { digest: digestOf(BIG) }) && !!response.end(bytes)
      await assert.rejects(pull('lie:1'), { code: 'HUB_CORRUPT', message }, title)
    }
    registry.intercept = (request, response) =>
      isBlob(request, { digest: digestOf(BIG) }) && !!response.end(BIG.subarray(0, 1000))
    await assert.rejects(pull('lie:1', { retry: { firstWaitMs: 0, tries: 2 } }), /damaged|only a part/)
  })

  it('ends with whoever wanted it', async () => {
    registry.push('left:1', { layers: [BIG] })
    registry.intercept = (request, response) =>
      isBlob(request, { digest: digestOf(BIG) }) && response.write(BIG.subarray(0, 9))
    const leaving = new AbortController()
    const left = pull(
      'left:1',
      {},
      { signal: leaving.signal, onProgress: () => leaving.abort(new Error('left')) },
    )
    await assert.rejects(left, /left/)
  })

  it('has so much time with all the others', async () => {
    registry.push('slow:1', { layers: [BIG] })
    registry.intercept = (request, response) =>
      isBlob(request, { digest: digestOf(BIG) }) && response.write(BIG.subarray(0, 9))
    await assert.rejects(pull('slow:1', { maxMs: 100 }), { code: 'HUB_LIMIT', message: /time for an image/ })
  })
})

describe('a manifest', () => {
  const layer = (change: object) => ({
    edit: ({ layers: [first] }: { layers: TestDescriptor[] }) => ({ layers: [{ ...first, ...change }] }),
  })
  const refused: Array<[title: string, edit: object, code: string, message: RegExp]> = [
    ['a foreign layer', layer({ urls: ['https://evil.example/x'] }), 'HUB_MALFORMED', /foreign/],
    [
      'a foreign type',
      { layerType: 'application/vnd.docker.image.rootfs.foreign.diff.tar.gzip' },
      'HUB_MALFORMED',
      /foreign/,
    ],
    [
      'a nondistributable type',
      { layerType: 'application/vnd.oci.image.layer.nondistributable.v1.tar+gzip' },
      'HUB_MALFORMED',
      /foreign/,
    ],
    ['an encrypted layer', { layerType: `${OCI_LAYER}+encrypted` }, 'HUB_MALFORMED', /of the type/],
    ['a weak digest', layer({ digest: `md5:${'a'.repeat(32)}` }), 'HUB_MALFORMED', /sha256/],
    ['a digest with a path', layer({ digest: `sha256:../../x` }), 'HUB_MALFORMED', /sha256/],
    ['another algorithm', layer({ digest: `sha512:${'a'.repeat(128)}` }), 'HUB_MALFORMED', /sha256/],
    ['a negative size', layer({ size: -1 }), 'HUB_MALFORMED', /size/],
    ['a layer of 10 GB', layer({ size: 10_000_000_000 }), 'HUB_LIMIT', /layers of an image/],
    [
      'no image',
      {
        edit: ({ config }: { config: TestDescriptor }) => ({
          config: { ...config, mediaType: 'application/vnd.cncf.helm.config.v1+json' },
        }),
      },
      'HUB_MALFORMED',
      /no container image/,
    ],
    [
      'other layers than the configuration',
      { edit: ({ layers }: { layers: TestDescriptor[] }) => ({ layers: [...layers, ...layers] }) },
      'HUB_MALFORMED',
      /other layers/,
    ],
    [
      'too many layers',
      {
        edit: ({ layers: [first] }: { layers: TestDescriptor[] }) => ({ layers: new Array(300).fill(first) }),
      },
      'HUB_LIMIT',
      /layers/,
    ],
  ]
  for (const [title, edit, code, message] of refused) {
    it(`is refused: ${title}`, async () => {
      registry.push('bad:1', { layers: [one], ...edit })
      await assert.rejects(pull('bad:1'), { code, message })
      assert.deepEqual(
        registry.requests.filter(({ url }) => url.endsWith(digestOf(one))),
        [],
      )
    })
  }

  it('is refused when it is none', async () => {
    const type = 'application/vnd.oci.image.manifest.v1+json'
    for (const text of [
      '',
      '[]',
      '{',
      '{"schemaVersion":2}',
      '{"layers":{}}',
      '{"schemaVersion":1}',
      `{"manifests":[null]}`,
    ]) {
      registry.putManifest('none:1', text, type)
      await assert.rejects(pull('none:1'), { code: 'HUB_MALFORMED' }, text)
    }
    registry.putManifest('none:1', 'x'.repeat(5 << 20), type)
    await assert.rejects(pull('none:1'), { code: 'HUB_LIMIT' })
    registry.putManifest('none:1', '{"x":1}', 'text/html')
    await assert.rejects(pull('none:1'), /it is of the type "text\/html"/)
    const self = { mediaType: 'x', digest: digestOf(Buffer.from('')), size: 0 }
    const inner = registry.pushIndex('deep:0', [
      { ...registry.pushIndex('deep:a', [registry.pushIndex('deep:b', [self])]) },
    ])
    registry.pushIndex('deep:1', [inner])
    await assert.rejects(pull('deep:1'), /name only indexes/)
  })

  it('names a configuration that is what its digest says', async () => {
    registry.push('config:1', { layers: [one], config: { Cmd: ['honest'] } })
    registry.intercept = ({ url = '' }, response) =>
      url.includes('/blobs/') && !url.endsWith(digestOf(one)) && !!response.end('{"config":{"Cmd":["evil"]}}')
    await assert.rejects(pull('config:1'), { code: 'HUB_CORRUPT' })
  })
})

describe('the start-up layer', () => {
  it('comes last', async () => {
    registry.push('start:1', { layers: [one], config: { Cmd: ['run'] } })
    const image = await imagesOf().pull('test.example/start:1', {})
    const layers: Buffer[] = []
    for await (const bytes of image.layers) layers.push(await collect(bytes))
    await image.close()
    assert.deepEqual(layers[0], one)
    assert.match(layers[1]?.toString() ?? '', /^\.startup\.toml\0[^]*\nname = "run"\n/)
    assert.equal(image.metadata.get('entrypoint'), '["run"]')
    assert.ok(gunzipSync(one).length > 0)
  })
})
