import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { HubError } from '../../src/errors.ts'
import { decompress } from '../../src/flist/decompress.ts'
import { Images } from '../../src/image/images.ts'
import { RegistryList } from '../../src/image/registries.ts'
import { collect } from '../doubles/collect.ts'
import { fuzzRuns } from '../doubles/golden.ts'
import { dockerSave, ociLayout } from '../doubles/image-archives.ts'
import { inPieces } from '../doubles/ingest-bench.ts'
import { noise } from '../doubles/noise.ts'
import { configBytes, digestOf } from '../doubles/registry.ts'
import { member, pax, tarOf, type Handmade } from '../doubles/tar-bytes.ts'
import { temporaryFolder } from '../doubles/temporary-folder.ts'

const folder = temporaryFolder()
const images = new Images({
  registries: new RegistryList([]),
  credentials: new Map(),
  platform: { os: 'linux', architecture: 'amd64' },
  maxBytes: 1 << 20,
  archives: { directory: folder.path, requireSpace: () => Promise.resolve(), decompress },
})

async function layersOf(archive: Uint8Array, pieceBytes = 1000, platform?: string): Promise<Buffer[]> {
  const image = await images.openArchive(inPieces(archive, pieceBytes), { platform: () => platform })
  try {
    const layers: Buffer[] = []
    for await (const layer of image.layers) layers.push(await collect(layer))
    return layers.slice(0, -1)
  } finally {
    await image.close()
  }
}

const one = tarOf(member({ path: 'one', content: '1' }))
const two = tarOf(member({ path: 'two', content: noise(1, 50_000) }))
const zipped = gzipSync(two)

describe('an image archive', () => {
  it('of docker save has its layers in the order of its manifest, whatever theirs is', async () => {
    assert.deepEqual(await layersOf(dockerSave({ layers: [one, two] })), [one, two])
    assert.deepEqual(await layersOf(tarOf(...dockerSave.members({ layers: [one, two] }).toReversed())), [
      one,
      two,
    ])
    assert.deepEqual(await layersOf(gzipSync(dockerSave({ layers: [two] })), 77), [two])
  })

  it('of docker save may have a layer twice, the second time as a link', async () => {
    const parts = { layers: [one, one] }
    const members = dockerSave.members(parts, (path, at) =>
      at === 1 ? { path, kind: 'link', linkTarget: `../${dockerSave.folder(0)}/layer.tar` } : undefined,
    )
    assert.deepEqual(await layersOf(tarOf(...members)), [one, one])
  })

  it('of an OCI layout is the one for the platform', async () => {
    assert.deepEqual(await layersOf(ociLayout([{ layers: [zipped, one] }])), [zipped, one])
    const arm = { layers: [one], outer: { os: 'linux', architecture: 'arm64' } }
    const both = ociLayout([arm, { layers: [zipped] }])
    assert.deepEqual(await layersOf(both), [zipped])
    assert.deepEqual(await layersOf(both, 512, 'linux/arm64'), [one])
    await assert.rejects(layersOf(both, 512, 'linux/s390x'), /not made for linux\/s390x/)
  })

  it('leaves nothing behind, whether it is read or refused', async () => {
    await layersOf(ociLayout([{ layers: [one] }]))
    await assert.rejects(layersOf(tarOf(member({ path: 'a' }))))
    await assert.rejects(layersOf(Buffer.alloc(700, 1)))
    assert.deepEqual(folder.left(), [])
  })

  it('takes long names of pax and GNU', async () => {
    const long = `${'d'.repeat(120)}/layer.tar`
    const config = configBytes({ layers: [one] })
    const manifest = JSON.stringify([{ Config: 'c.json', Layers: [long] }])
    const rest = [
      member({ path: 'c.json', content: config }),
      member({ path: 'manifest.json', content: manifest }),
    ]
    assert.deepEqual(await layersOf(tarOf(member({ path: long, content: one }), ...rest)), [one])
    const inPax = pax([['path', long]])
    assert.deepEqual(await layersOf(tarOf(inPax, member({ path: 'short', content: one }), ...rest)), [one])
  })

  it('is refused when it is none, or not what it says', async () => {
    const save = (change: (parts: Handmade[]) => Handmade[]) =>
      tarOf(...change(dockerSave.files({ layers: [one] })).map(member))
    const without = (name: string) =>
      save((files) => files.filter(({ path }) => !String(path).endsWith(name)))
    const other = (name: string, content: string | Uint8Array) =>
      save((files) => files.map((file) => (String(file.path).endsWith(name) ? { ...file, content } : file)))
    const bad: Array<[title: string, archive: Uint8Array, message: RegExp]> = [
      ['empty', Buffer.alloc(0), /empty/],
      ['a plain tar', one, /neither an index.json nor a manifest.json/],
      ['no layer', without('layer.tar'), /has no ".*layer.tar", which it names/],
      ['no configuration', without(`${dockerSave.configName({ layers: [one] })}`), /which it names/],
      ['another layer', other('layer.tar', two), /damaged/],
      ['another configuration', other('.json', '[]'), /damaged|lists no image/],
      ['no list', other('manifest.json', '{}'), /lists no image/],
      ['two images', other('manifest.json', '[{},{}]'), /holds 2 images/],
      ['no paths', other('manifest.json', '[{"Config":1}]'), /not what docker writes/],
      [
        'a path upwards',
        other('manifest.json', '[{"Config":"../../etc/passwd","Layers":[]}]'),
        /leads upwards/,
      ],
      ['a member upwards', tarOf(member({ path: '../x' })), /leads upwards/],
      [
        'a loop of links',
        save((files) =>
          files.map((file) =>
            String(file.path).endsWith('layer.tar')
              ? { path: file.path, kind: 'link' as const, linkTarget: 'layer.tar' }
              : file,
          ),
        ),
        /which it names/,
      ],
      ['cut off', dockerSave({ layers: [one] }).subarray(0, 3000), /cut off/],
      ['no JSON', tarOf(member({ path: 'index.json', content: '{' })), /no JSON/],
    ]
    for (const [title, archive, message] of bad) await assert.rejects(layersOf(archive), message, title)
    await assert.rejects(layersOf(tarOf(member({ path: 'big', content: Buffer.alloc(2 << 20) }))), {
      code: 'HUB_LIMIT',
    })
    assert.deepEqual(folder.left(), [])
  })

  it('of an OCI layout is checked by its digests', async () => {
    const layout = ociLayout([{ layers: [two] }])
    const at = layout.indexOf(two.subarray(1000, 1100))
    layout[at] = (layout[at] ?? 0) ^ 1
    await assert.rejects(layersOf(layout), {
      code: 'HUB_CORRUPT',
      message: new RegExp(digestOf(two).slice(0, 19)),
    })
  })

  it('of any bytes ends in an error of ours', async () => {
    const good = [dockerSave({ layers: [one] }), ociLayout([{ layers: [one] }])]
    const damage = fc.record({
      which: fc.nat({ max: 1 }),
      at: fc.nat({ max: 20_000 }),
      byte: fc.nat({ max: 255 }),
      length: fc.nat({ max: 20_000 }),
    })
    await fc.assert(
      fc.asyncProperty(damage, async ({ which, at, byte, length }) => {
        const bytes = Buffer.from(good[which] ?? '')
        bytes[at % bytes.length] = byte
        try {
          await layersOf(bytes.subarray(0, length % 3 === 0 ? length : bytes.length))
        } catch (error) {
          assert.ok(error instanceof HubError, String(error))
        }
      }),
      { numRuns: fuzzRuns(150) },
    )
    assert.deepEqual(folder.left(), [])
  })
})
