import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { ImagesOptions, OpenOptions } from '../../src/image/images.ts'
import { digestOf, OCI_LAYER, TestRegistry, type TestDescriptor } from '../doubles/registry.ts'
import { member, tarOf } from '../doubles/tar-bytes.ts'
import { pullFrom } from './pulling.ts'

const one = gzipSync(tarOf(member({ path: 'one', content: '1' })))

let registry: TestRegistry
before(async () => (registry = await TestRegistry.start()))
after(() => registry.stop())
beforeEach(() => {
  registry.intercept = () => false
  registry.requests.length = 0
})

const pull = (name: string, options?: Partial<ImagesOptions>, open?: OpenOptions) =>
  pullFrom(registry, name, options, open)

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
