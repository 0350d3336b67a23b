import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { fuzzRuns } from '../doubles/golden.ts'
import { IngestBench } from '../doubles/ingest-bench.ts'
import type { Seen } from '../doubles/ingest-bench.ts'
import { applyLayer, layersArbitrary, type Model } from '../doubles/layer-model.ts'
import { member, tarOf } from '../doubles/tar-bytes.ts'

const bench = new IngestBench()

async function seen(...layers: Uint8Array[]): Promise<Record<string, string>> {
  const tree = bench.read((await bench.takeLayers(layers)).flist.bytes)
  return Object.fromEntries(
    [...tree].filter(([path]) => path !== '').map(([path, entry]) => [path, brief(entry)]),
  )
}

function brief({ content, mode }: Seen): string {
  if (content.kind === 'file') return content.bytes.toString('latin1')
  if (content.kind === 'link') return `-> ${Buffer.from(content.target).toString('latin1')}`
  return content.kind === 'directory' ? `d${mode.toString(8)}` : content.special
}

const file = (path: string, content: string) => member({ path, content })
const folder = (path: string, mode = 0o700) => member({ path, kind: 'directory', mode })
const link = (path: string, linkTarget: string) => member({ path, kind: 'link', linkTarget })
const hardLink = (path: string, linkTarget: string) => member({ path, kind: 'hardlink', linkTarget })
const whiteout = (path: string) => member({ path })

const BASE = tarOf(
  folder('etc/'),
  file('etc/passwd', 'root'),
  folder('etc/conf.d/'),
  file('etc/conf.d/a', 'a'),
  file('top', 'top'),
)

/** What a second layer makes of BASE. */
const MATRIX: Array<[title: string, layer: Uint8Array, expected: Record<string, string>]> = [
  [
    'nothing',
    tarOf(),
    { etc: 'd700', 'etc/conf.d': 'd700', 'etc/conf.d/a': 'a', 'etc/passwd': 'root', top: 'top' },
  ],
  [
    'a whiteout of a file',
    tarOf(whiteout('etc/.wh.passwd')),
    { etc: 'd700', 'etc/conf.d': 'd700', 'etc/conf.d/a': 'a', top: 'top' },
  ],
  ['a whiteout of a directory', tarOf(whiteout('.wh.etc')), { top: 'top' }],
  [
    'a whiteout of what is not there',
    tarOf(whiteout('etc/.wh.nothing')),
    { etc: 'd700', 'etc/conf.d': 'd700', 'etc/conf.d/a': 'a', 'etc/passwd': 'root', top: 'top' },
  ],
  [
    'a whiteout beside what takes its place, whichever comes first',
    tarOf(file('top', 'new'), whiteout('.wh.top'), whiteout('.wh.etc'), file('etc/new', 'n')),
    { etc: 'd755', 'etc/new': 'n', top: 'new' },
  ],
  [
    'an opaque directory after its new content',
    tarOf(folder('etc/', 0o711), file('etc/new', 'n'), whiteout('etc/.wh..wh..opq')),
    { etc: 'd711', 'etc/new': 'n', top: 'top' },
  ],
  [
    'an opaque directory keeps its attributes',
    tarOf(whiteout('etc/.wh..wh..opq')),
    { etc: 'd700', top: 'top' },
  ],
  ['an opaque root', tarOf(whiteout('.wh..wh..opq'), file('only', 'o')), { only: 'o' }],
  ['a file over a directory', tarOf(file('etc', 'file')), { etc: 'file', top: 'top' }],
  ['a link over a directory', tarOf(link('etc', 'usr/etc')), { etc: '-> usr/etc', top: 'top' }],
  [
    'a directory over a file, implied by what is in it',
    tarOf(whiteout('.wh.etc'), file('top/in', 'i')),
    { top: 'd755', 'top/in': 'i' },
  ],
  ['a directory over a file', tarOf(whiteout('.wh.etc'), folder('top', 0o750)), { top: 'd750' }],
  [
    'a hard link to a layer below',
    tarOf(hardLink('copy', 'etc/passwd'), whiteout('.wh.top')),
    { copy: 'root', etc: 'd700', 'etc/conf.d': 'd700', 'etc/conf.d/a': 'a', 'etc/passwd': 'root' },
  ],
  [
    'a hard link whose target is replaced after it',
    tarOf(hardLink('copy', 'top'), file('top', 'new'), whiteout('.wh.etc')),
    { copy: 'top', top: 'new' },
  ],
  [
    'what AUFS kept for itself',
    tarOf(whiteout('.wh..wh.aufs'), folder('.wh..wh.plnk'), folder('.wh..wh.plnk/x'), whiteout('.wh.etc')),
    { top: 'top' },
  ],
  [
    'whiteouts in what is a file now, as umoci writes them',
    tarOf(
      file('etc', 'file'),
      whiteout('etc/.wh.passwd'),
      whiteout('etc/conf.d/.wh.a'),
      whiteout('top/.wh..wh..opq'),
    ),
    { etc: 'file', top: 'top' },
  ],
  ['a mode of the root', tarOf(folder('./', 0o701), whiteout('.wh.etc')), { top: 'top' }],
]

describe('layers', () => {
  for (const [title, layer, expected] of MATRIX) {
    it(`hold over each other: ${title}`, async () => {
      assert.deepEqual(await seen(BASE, layer), sorted(expected))
      assert.deepEqual(
        await seen(BASE, tarOf(), gzipSync(layer)),
        sorted(expected),
        'with an empty one between',
      )
    })
  }

  it('hide by the layer, not by the name: what comes back later is seen', async () => {
    const layers = [
      BASE,
      tarOf(whiteout('.wh.etc')),
      tarOf(file('etc/conf.d/b', 'b')),
      tarOf(folder('etc', 0o711)),
    ]
    assert.deepEqual(await seen(...layers), {
      etc: 'd711',
      'etc/conf.d': 'd755',
      'etc/conf.d/b': 'b',
      top: 'top',
    })
  })

  it('keep a hard link whose target a later layer takes away', async () => {
    const layers = [BASE, tarOf(hardLink('etc/conf.d/copy', 'top')), tarOf(whiteout('.wh.top'))]
    assert.equal((await seen(...layers))['etc/conf.d/copy'], 'top')
  })

  it('refuse a hard link to what is gone', async () => {
    const gone = /hard link "copy" to "etc\/passwd" is refused: there is no earlier member of that name/
    const copy = tarOf(hardLink('copy', 'etc/passwd'))
    for (const layer of [
      whiteout('etc/.wh.passwd'),
      whiteout('.wh.etc'),
      whiteout('.wh..wh..opq'),
      file('etc', 'x'),
    ])
      await assert.rejects(seen(BASE, tarOf(layer), copy), { code: 'HUB_MALFORMED', message: gone })
    await assert.rejects(seen(BASE, tarOf(whiteout('.wh.etc'), hardLink('copy', 'etc/passwd'))), gone)
    await assert.rejects(seen(BASE, tarOf(hardLink('copy', 'etc'))), /that is a directory/)
  })

  it('refuse marks that no engine writes, and a name that is two things in one layer', async () => {
    const refused: Array<[layer: Uint8Array, message: RegExp]> = [
      [tarOf(file('.wh.top', 'content')), /a whiteout has no content/],
      [tarOf(whiteout('.wh.')), /it names nothing to hide/],
      [tarOf(whiteout('.wh...')), /it names nothing to hide/],
      [tarOf(whiteout('.wh.a/b')), /it lies in a whiteout/],
      [tarOf(whiteout('etc/../.wh.top')), /leads upwards/],
      [tarOf(file('x', '1'), file('x/y', '2')), /a directory and something else in one layer/],
    ]
    for (const [layer, message] of refused) await assert.rejects(seen(BASE, layer), message)
  })

  it('need no end mark, and whole members', async () => {
    assert.deepEqual(await seen(file('a', '1'), file('b', '2')), { a: '1', b: '2' })
    await assert.rejects(seen(file('a', '1').subarray(0, 700)), /cut off/)
    await assert.rejects(bench.take(file('a', '1')), /cut off/)
  })

  it('are no business of a plain archive: its names are its names', async () => {
    const { flist } = await bench.take(tarOf(file('.wh.top', 'x'), file('top', 'y')))
    assert.deepEqual([...bench.read(flist.bytes).keys()], ['', '.wh.top', 'top'])
  })

  it('hide a readme, and bring another', async () => {
    const readme = async (...layers: Uint8Array[]) =>
      bench.metadata((await bench.takeLayers(layers)).flist.bytes).get('readme')
    const first = tarOf(file('.README.md', 'one'))
    assert.equal(await readme(first, tarOf(whiteout('.wh..README.md'))), undefined)
    assert.equal(await readme(first, tarOf(whiteout('.wh..wh..opq'))), undefined)
    assert.equal(
      await readme(first, tarOf(file('.README.md', 'two'), whiteout('.wh..README.md'))),
      '{"readme": "two"}',
    )
    assert.equal(await readme(first, tarOf()), '{"readme": "one"}')
  })

  it('have the limits of one archive, all together', async () => {
    const limits = { maxPlainBytes: 4000, maxEntries: 5, maxArchiveBytes: 6000 }
    const small = new IngestBench({ limits })
    const take = (...layers: Uint8Array[]) => small.takeLayers(layers)
    const big = (name: string) => gzipSync(tarOf(file(name, 'x'.repeat(1000))))
    await take(big('a'))
    await assert.rejects(take(big('a'), big('b')), { code: 'HUB_LIMIT', message: /plain size/ })
    const three = (name: string) =>
      gzipSync(Buffer.concat(['1', '2', '3'].map((one) => whiteout(`${name}${one}`))))
    await assert.rejects(take(three('a'), three('.wh.b')), { code: 'HUB_LIMIT', message: /members/ })
    const packed = Buffer.concat([file('n', '')])
    await assert.rejects(take(...new Array<Uint8Array>(12).fill(packed)), { code: 'HUB_LIMIT' })
    assert.deepEqual(await small.left(), [])
  })

  it('are what a simple model makes of them, in memory or spilled', async () => {
    const small = new IngestBench({ limits: { maxEntriesInMemory: 4 } })
    await fc.assert(
      fc.asyncProperty(layersArbitrary, async (layers) => {
        const model: Model = new Map()
        const archives = layers.map((layer) => tarOf(...applyLayer(model, layer).map(member)))
        const expected = Object.fromEntries(model)
        for (const where of [bench, small]) {
          const { flist } = await where.takeLayers(archives)
          const tree = [...where.read(flist.bytes)].filter(([path]) => path !== '')
          assert.deepEqual(
            Object.fromEntries(tree.map(([path, entry]) => [path, brief(entry)])),
            sorted(expected),
          )
        }
      }),
      { numRuns: fuzzRuns(150) },
    )
  })
})

function sorted(record: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(record).sort())
}
