import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { after, describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import fc from 'fast-check'
import { LimitError, MalformedError, UnavailableError } from '../../src/errors.ts'
import type { FlistEntry } from '../../src/flist/entry.ts'
import { decodeEntries, encodeEntries } from '../../src/flist/entry-codec.ts'
import { FlistInspector } from '../../src/flist/inspector.ts'
import { unpackFlist } from '../../src/flist/container.ts'
import { directory, entriesOf, flistOf, leaf, trees } from '../doubles/flist-tree.ts'
import { recordedData } from '../doubles/golden.ts'
import { noise } from '../doubles/noise.ts'
import { temporaryFolder } from '../doubles/temporary-folder.ts'

const folder = temporaryFolder()
const temporaryDirectory = folder.path
const block = { id: Buffer.from(noise(1, 16)), key: Buffer.from(noise(2, 16)) }
const backend = '{"namespace": "default", "host": "hub.example.test", "port": 9900}'
const tree = directory('', [
  directory('etc', [
    leaf('passwd', { kind: 'file', blocks: [block] }, 7),
    leaf('copy', { kind: 'file', blocks: [block] }, 7),
  ]),
  leaf('null', { kind: 'special', special: 'char', major: 1, minor: 3 }),
  leaf('link', { kind: 'link', target: Buffer.from('etc/passwd') }, 10),
])
const small = flistOf(tree, { backend, tags: 'x' })
const wide = flistOf(
  directory(
    '',
    Array.from({ length: 3_500 }, (_, at) => leaf(`file-${at}`, { kind: 'file', blocks: [] })),
  ),
)

const inspector = new FlistInspector({ temporaryDirectory })
after(() => inspector.stop())

async function all(batches: AsyncIterable<FlistEntry[]>): Promise<FlistEntry[]> {
  const entries: FlistEntry[] = []
  for await (const batch of batches) entries.push(...batch)
  return entries
}

const plain = (entries: readonly FlistEntry[]) => Buffer.from(encodeEntries(entries)).toString('hex')
const names = (entries: readonly FlistEntry[]) => entries.map(({ path }) => Buffer.from(path).toString())

describe('FlistInspector', () => {
  it('sums a flist up', async () => {
    const { counts, metadata, chunkIds, problems } = await inspector.summary(small)
    assert.deepEqual(counts, { regular: 2, symlink: 1, directory: 1, special: 1, failure: 0, fullSize: 14 })
    assert.deepEqual(metadata, [['backend', backend], ['tags', 'x']]) // prettier-ignore
    assert.deepEqual(
      chunkIds.map((id) => Buffer.from(id)),
      [block.id],
    )
    assert.deepEqual(problems, [])
  })

  it('writes the dump, and answers metadata and single entries', async () => {
    const dump = JSON.parse(Buffer.from(await inspector.dump(small)).toString()) as {
      content: object[]
      regular: number
    }
    assert.deepEqual(dump.content[0], { size: 4096, path: '/etc' })
    assert.equal(dump.content.length, 5)
    assert.deepEqual(await inspector.metadata(wide), [])
    const passwd = await inspector.find(small, Buffer.from('etc/passwd'))
    assert.equal(passwd?.sizeBytes, 7)
    assert.equal(await inspector.find(small, Buffer.from('etc/none')), undefined)
  })

  it('streams entries in batches and in order', async () => {
    assert.deepEqual(names(await all(inspector.entries(small))), [
      '',
      'etc',
      'etc/copy',
      'etc/passwd',
      'link',
      'null',
    ])
    const sizes: number[] = []
    for await (const batch of inspector.entries(wide)) sizes.push(batch.length)
    assert.deepEqual(sizes, [1_000, 1_000, 1_000, 501])
  })

  it('runs ahead of a slow reader, so that others get their answers meanwhile', async () => {
    const batches = inspector.entries(wide)
    assert.equal((await batches.next()).value?.length, 1_000)
    assert.equal((await inspector.metadata(small)).length, 2)
    assert.equal((await all(batches)).length, 2_501)
  })

  it('keeps no thread waiting for the reader of a very large flist, and goes on where it stopped', async () => {
    const target = Buffer.alloc(4_000, 'x')
    const links = Array.from({ length: 12_000 }, (_, at) =>
      leaf(`link-${at}`, { kind: 'link', target }, 4_000),
    )
    const batches = inspector.entries(flistOf(directory('', links)))
    await batches.next()
    assert.equal((await inspector.metadata(small)).length, 2)
    const rest = await all(batches)
    assert.equal(rest.length, 11_001)
    assert.equal(new Set(names(rest)).size, 11_001)
  })

  it('answers many questions at once, in turn, and leaves the bytes with the caller', async () => {
    const before = createHash('sha256').update(small).digest('hex')
    const answers = await Promise.all(Array.from({ length: 20 }, () => inspector.metadata(small)))
    assert.equal(answers.filter((rows) => rows.length === 2).length, 20)
    assert.equal(createHash('sha256').update(small).digest('hex'), before)
  })

  it('refuses what is no flist, and lives', async () => {
    for (const bytes of [new Uint8Array(), noise(3, 5_000), small.subarray(0, 300)]) {
      await assert.rejects(inspector.summary(bytes), MalformedError)
      await assert.rejects(all(inspector.entries(bytes)), MalformedError)
    }
    assert.equal((await inspector.metadata(small)).length, 2)
  })

  it('sets and drops the backend row and changes nothing else, always with the same bytes', async () => {
    const address = { namespace: 'default', host: '::1', port: 9900 }
    const local = await inspector.render(small, { backend: address })
    assert.deepEqual(Buffer.from(await inspector.render(small, { backend: address })), Buffer.from(local))
    assert.deepEqual(await inspector.metadata(local), [
      ['backend', '{"namespace": "default", "host": "::1", "port": 9900}'],
      ['tags', 'x'],
    ])
    const without = await inspector.render(local, { backend: null })
    assert.deepEqual(await inspector.metadata(without), [['tags', 'x']])
    assert.equal(plain(await all(inspector.entries(without))), plain(entriesOf(tree)))
    const made = flistOf(tree, { tags: 'x' })
    assert.deepEqual(Buffer.from(without), Buffer.from(made), 'as if it had been built so')
  })

  it('drops the address of a member of the realm, and keeps any other flist as it is', async () => {
    const dropped = await inspector.canonical(
      small,
      ({ host, port }) => host === 'hub.example.test' && port === 9900,
    )
    assert.deepEqual(await inspector.metadata(dropped), [['tags', 'x']])
    assert.equal(await inspector.canonical(small, () => false), small)
    assert.equal(await inspector.canonical(wide, () => true), wide)
  })

  const golden = recordedData('flist-v1', 'edge', 'uncompressed-tar.flist')
  it('renders flists of the reference', { skip: golden.skip }, async () => {
    const bytes = readFileSync(golden.path)
    const rendered = await inspector.render(bytes, { backend: null })
    assert.equal(gunzipSync(rendered).length % 512, 0)
    assert.equal(plain(await all(inspector.entries(rendered))), plain(await all(inspector.entries(bytes))))
    assert.ok((await inspector.metadata(bytes)).some(([key]) => key === 'backend'))
    assert.ok(!(await inspector.metadata(rendered)).some(([key]) => key === 'backend'))
  })
})

describe('FlistInspector under stress', () => {
  it('gives up at once when asked to, with the reason as it is, and answers the next', async () => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const asked = inspector.summary(wide, { signal: controller.signal })
    const waiting = inspector.summary(wide, { signal: controller.signal })
    setImmediate(() => controller.abort(reason))
    await assert.rejects(asked, (error) => error === reason)
    await assert.rejects(waiting, (error) => error === reason)
    await assert.rejects(
      inspector.summary(wide, { signal: AbortSignal.abort(reason) }),
      (error) => error === reason,
    )
    assert.equal((await inspector.metadata(small)).length, 2)
  })

  it('lets a reader of entries leave early', async () => {
    for await (const batch of inspector.entries(wide)) {
      assert.equal(batch.length, 1_000)
      break
    }
    assert.equal((await all(inspector.entries(wide))).length, 3_501)
  })

  it('tells a reader of entries of an abort when it comes back, and nobody else', async () => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const batches = inspector.entries(wide, { signal: controller.signal })
    await batches.next()
    controller.abort(reason)
    assert.equal((await inspector.metadata(small)).length, 2)
    await assert.rejects(batches.next(), (error) => error === reason)
  })

  it('kills a thread that takes too long, again and again', async () => {
    const hasty = new FlistInspector({ temporaryDirectory, timeLimitMs: 1 })
    for (let turn = 0; turn < 3; turn++) {
      await assert.rejects(
        hasty.summary(wide),
        (error) => error instanceof LimitError && /time to read/.test(error.message),
      )
    }
    await hasty.stop()
  })

  const large = recordedData('flist-v1', 'edge', 'dir-25000-entries.flist')
  it('survives a thread that runs out of memory', { skip: large.skip }, async () => {
    const tight = new FlistInspector({ temporaryDirectory, heapLimitMib: 12 })
    await assert.rejects(
      tight.summary(readFileSync(large.path)),
      (error) => error instanceof LimitError && /memory to read/.test(error.message),
    )
    assert.equal((await tight.metadata(small)).length, 2)
    await tight.stop()
  })

  it('stops with questions under way and waiting, and leaves no file behind', async () => {
    const own = new FlistInspector({ temporaryDirectory, threads: 2 })
    const asked = Array.from({ length: 6 }, () => own.summary(wide))
    const outcomes = Promise.allSettled(asked)
    await own.stop()
    for (const outcome of await outcomes) {
      assert.ok(outcome.status === 'rejected' && outcome.reason instanceof UnavailableError)
    }
    await assert.rejects(own.metadata(small), UnavailableError)
    await inspector.stop()
    assert.deepEqual(folder.left(), [])
  })
})

describe('entries between threads', () => {
  it('come out as they went in', () => {
    fc.assert(
      fc.property(trees, (any) => {
        const entries = entriesOf(any)
        const decoded = decodeEntries(encodeEntries(entries))
        assert.equal(plain(decoded), plain(entries))
        assert.deepEqual(
          decoded.map(({ sizeBytes, mode, modifiedS, content }) => [
            sizeBytes,
            mode,
            modifiedS,
            content.kind,
          ]),
          entries.map(({ sizeBytes, mode, modifiedS, content }) => [
            sizeBytes,
            mode,
            modifiedS,
            content.kind,
          ]),
        )
      }),
      { numRuns: 50 },
    )
  })
})

it('unpacks what it renders', () => assert.ok(unpackFlist(small).length > 4096))
