/** What strangers write, by chance: names of images, challenges, manifests and configurations. */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HubError } from '../../src/errors.ts'
import { parseChallenge } from '../../src/image/auth.ts'
import { parseImageConfig } from '../../src/image/config.ts'
import { choose, parseManifest } from '../../src/image/manifest.ts'
import { parseImageReference, publishedName } from '../../src/image/reference.ts'
import { startupToml } from '../../src/image/startup.ts'
import { normalPath } from '../../src/image/tar-files.ts'
import { fuzzRuns } from '../doubles/golden.ts'
import { AMD64 } from './pulling.ts'

const runs = { numRuns: fuzzRuns(500) }

/** The value, or that one of our errors was thrown. */
function attempt<T>(work: () => T): T | undefined {
  try {
    return work()
  } catch (error) {
    assert.ok(error instanceof HubError, String(error))
    return undefined
  }
}

const DESCRIPTOR = fc.record(
  {
    mediaType: fc.constantFrom(
      'application/vnd.oci.image.manifest.v1+json',
      'application/vnd.oci.image.config.v1+json',
      'application/vnd.oci.image.layer.v1.tar',
      '',
    ),
    digest: fc.constantFrom(`sha256:${'a'.repeat(64)}`, 'sha256:../..', 'md5:0'),
    size: fc.oneof(fc.nat(), fc.double(), fc.constant('1')),
    platform: fc.oneof(fc.constant(AMD64), fc.jsonValue()),
    urls: fc.jsonValue(),
  },
  { requiredKeys: [] },
)
const MANIFEST = fc.record(
  {
    schemaVersion: fc.constantFrom(1, 2, '2'),
    mediaType: fc.oneof(fc.jsonValue(), fc.constant('application/vnd.oci.image.index.v1+json')),
    config: fc.oneof(DESCRIPTOR, fc.jsonValue()),
    layers: fc.oneof(fc.array(DESCRIPTOR), fc.jsonValue()),
    manifests: fc.oneof(fc.array(fc.oneof(DESCRIPTOR, fc.jsonValue())), fc.jsonValue()),
  },
  { requiredKeys: [] },
)
const CONFIG = fc.record(
  {
    os: fc.jsonValue(),
    architecture: fc.jsonValue(),
    config: fc.oneof(
      fc.jsonValue(),
      fc.record(
        {
          Cmd: fc.oneof(fc.array(fc.string({ unit: 'binary' })), fc.jsonValue()),
          Entrypoint: fc.jsonValue(),
          Env: fc.oneof(fc.array(fc.string({ unit: 'binary' })), fc.jsonValue()),
          WorkingDir: fc.jsonValue(),
        },
        { requiredKeys: [] },
      ),
    ),
    rootfs: fc.jsonValue(),
  },
  { requiredKeys: [] },
)

describe('by chance', () => {
  it('the name of an image is refused, or leads to just that place of a registry', () => {
    const parts = fc.array(
      fc.constantFrom('a', 'b.c', '/', ':', '@', '..', '%2f', '?', '#', '\\', 'A', ' ', '5000', '_'),
      {
        maxLength: 12,
      },
    )
    const text = fc.oneof(
      parts.map((all) => all.join('')),
      fc.string({ unit: 'binary' }),
    )
    fc.assert(
      fc.property(text, (name) => {
        const reference = attempt(() => parseImageReference(name))
        if (reference === undefined) return
        const path = `/v2/${reference.repository}/manifests/${reference.tag}`
        const url = new URL(`https://${reference.registry}${path}`)
        assert.deepEqual([url.pathname, url.search, url.hash, url.username], [path, '', '', ''])
        assert.ok(!publishedName(name).includes('/'))
      }),
      runs,
    )
  })

  it('a manifest is refused, or has only digests that name content', () => {
    fc.assert(
      fc.property(fc.oneof(MANIFEST, fc.jsonValue()), fc.option(fc.string()), (value, type) => {
        const found = attempt(() => parseManifest(Buffer.from(JSON.stringify(value)), type ?? undefined))
        if (found === undefined) return
        const descriptors = 'layers' in found ? [found.config, ...found.layers] : found
        for (const { digest, sizeBytes } of descriptors) {
          assert.match(digest, /^sha256:[0-9a-f]{64}$/)
          assert.ok(Number.isSafeInteger(sizeBytes) && sizeBytes >= 0)
        }
        if (!('layers' in found)) attempt(() => choose(found, AMD64))
      }),
      runs,
    )
  })

  it('a configuration is refused, or becomes a start-up file of whole lines', () => {
    fc.assert(
      fc.property(fc.oneof(CONFIG, fc.jsonValue()), (value) => {
        const config = attempt(() => parseImageConfig(Buffer.from(JSON.stringify(value)), AMD64))
        if (config === undefined) return
        for (const line of startupToml(config).split('\n'))
          assert.match(
            line,
            /^(?:|#args = null [^\n]*|\[startup[a-z.]*\]|(?:[\w-]+|"(?:[^"\\]|\\.)*") = (?:"(?:[^"\\]|\\.)*"|\[(?:"(?:[^"\\]|\\.)*"(?:, )?)*\]))$/,
          )
      }),
      runs,
    )
  })

  it('a challenge and a path are read or refused', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        parseChallenge(text)
        parseChallenge(`Bearer ${text}`)
        const path = attempt(() => normalPath(text))
        assert.ok(path === undefined || !path.split('/').includes('..'))
      }),
      runs,
    )
  })
})
