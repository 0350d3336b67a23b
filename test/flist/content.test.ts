import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { CorruptError, MalformedError, UnavailableError } from '../../src/errors.ts'
import { checkFlist } from '../../src/flist/check.ts'
import type { BadFlist } from '../../src/flist/check.ts'
import { fileContent, readBlock } from '../../src/flist/content.ts'
import type { BlockRef, FlistEntry } from '../../src/flist/entry.ts'
import { FlistInspector } from '../../src/flist/inspector.ts'
import { tarStream } from '../../src/flist/tar-stream.ts'
import { BLOCK_BYTES } from '../../src/format/chunk.ts'
import { createChunkCodec } from '../../src/format/chunk-codec.ts'
import { fromHex, toHex } from '../../src/util/bytes.ts'
import { ChunkMap } from '../doubles/chunk-map.ts'
import { directory, entriesOf, flistOf, leaf } from '../doubles/flist-tree.ts'
import { recordedData } from '../doubles/golden.ts'
import { noise } from '../doubles/noise.ts'
import { temporaryFolder } from '../doubles/temporary-folder.ts'

const folder = temporaryFolder()
const temporaryDirectory = folder.path
const inspector = new FlistInspector({ temporaryDirectory })
after(() => inspector.stop())
const codec = await createChunkCodec()

/** The blocks of some content, stored. */
function stored(chunks: ChunkMap, plain: Uint8Array): BlockRef[] {
  const blocks: BlockRef[] = []
  for (let at = 0; at < plain.length; at += BLOCK_BYTES) {
    const { id, key, stored } = codec.encode(plain.subarray(at, at + BLOCK_BYTES))
    chunks.add(id, stored)
    blocks.push({ id, key })
  }
  return blocks
}

async function gather(parts: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = []
  for await (const part of parts) all.push(part)
  return Buffer.concat(all)
}

const plain = Buffer.from(noise(9, BLOCK_BYTES + 1_000))
const chunks = new ChunkMap()
const blocks = stored(chunks, plain)
const [first, second] = blocks as [BlockRef, BlockRef]

function file(sizeBytes: number, refs: readonly BlockRef[]): FlistEntry {
  const [, entry] = entriesOf(directory('', [leaf('f', { kind: 'file', blocks: refs }, sizeBytes)]))
  assert.ok(entry)
  return entry
}

describe('content of files', () => {
  it('comes back block by block, from a store or from any source', async () => {
    assert.deepEqual(await gather(fileContent(file(plain.length, blocks), { chunks, codec })), plain)
    const source = { get: (id: Uint8Array) => Promise.resolve(chunks.read(id)) }
    assert.deepEqual(await gather(fileContent(file(plain.length, blocks), { chunks: source, codec })), plain)
    assert.equal((await gather(fileContent(file(0, []), { chunks, codec }))).length, 0)
  })

  it('names the chunk that is not here, or is not what it should be', async () => {
    await assert.rejects(
      readBlock(first, { chunks: new ChunkMap(), codec }),
      (error) => error instanceof UnavailableError && error.message.includes(toHex(first.id)),
    )
    const crossed = { id: first.id, key: second.key }
    await assert.rejects(
      readBlock(crossed, { chunks, codec }),
      (error) => error instanceof CorruptError && error.id === toHex(first.id),
    )
  })

  const sizes: Array<[size: number, refs: BlockRef[]]> = [
    [plain.length + 1, blocks],
    [plain.length - 1, blocks],
    [BLOCK_BYTES, blocks],
    [plain.length, [first]],
    [1_500, [second, second]],
  ]
  for (const [size, refs] of sizes) {
    it(`refuses ${refs.length} blocks that do not make ${size} bytes`, async () => {
      await assert.rejects(gather(fileContent(file(size, refs), { chunks, codec })), CorruptError)
    })
  }

  it('stops at an abort, with its reason', async () => {
    const reason = new Error('enough')
    const controller = new AbortController()
    const content = fileContent(file(plain.length, blocks), { chunks, codec }, { signal: controller.signal })
    await content.next()
    controller.abort(reason)
    await assert.rejects(content.next(), (error) => error === reason)
  })
})

describe('checkFlist', () => {
  const flist = (size: number, refs: readonly BlockRef[]) =>
    flistOf(
      directory('', [
        leaf('f', { kind: 'file', blocks: refs }, size),
        leaf('e', { kind: 'file', blocks: [] }),
      ]),
    )

  it('passes a flist whose files are all here, and holds its chunks before it looks', async () => {
    const held: string[] = []
    const readsBefore = chunks.reads
    const lease = {
      holdChunks: (ids: readonly Uint8Array[]) => {
        assert.equal(chunks.reads, readsBefore)
        held.push(...ids.map(toHex))
      },
    }
    const result = await checkFlist(flist(plain.length, blocks), { inspector, chunks, lease })
    assert.ok(result.isComplete)
    assert.deepEqual(
      held,
      blocks.map(({ id }) => toHex(id)),
    )
    assert.deepEqual(result.chunkIds.map(toHex), held)
    assert.equal(result.counts.fullSize, plain.length)
    assert.match(Buffer.from(result.dump).toString(), /"regular": 2/)
  })

  const bad: Array<[what: string, size: number, refs: BlockRef[], reason: RegExp, missing: number]> = [
    ['a chunk that is not here', 5, [{ id: Buffer.alloc(16, 9), key: Buffer.alloc(16) }], /the chunk (09){16} is not here/, 1],
    ['a chunk under another key', 1_000, [{ id: second.id, key: first.key }], /the chunk .* is wrong/, 0],
    ['a lost last block', plain.length, [first], /its last block is lost/, 0],
    ['a size that is too large', plain.length + 1, blocks, /1000 bytes where 1001 belong/, 0],
    ['a size that is too small', plain.length - 1, blocks, /1000 bytes where 999 belong/, 0],
  ] // prettier-ignore
  for (const [what, size, refs, reason, missing] of bad) {
    it(`refuses ${what}`, async () => {
      const result = await checkFlist(flist(size, refs), { inspector, chunks })
      assert.equal(result.isComplete, false)
      assert.equal((result as BadFlist).missingChunks, missing)
      assert.match((result as BadFlist).reasons.join('\n'), reason)
    })
  }

  it('throws for what is no flist', async () => {
    await assert.rejects(checkFlist(noise(1, 900), { inspector, chunks }), MalformedError)
  })

  const golden = recordedData('flist-v1', 'a', 'a.flist')
  it(
    'passes the flist of the reference with its chunks, and refuses it without one',
    { skip: golden.skip },
    async () => {
      const all = new ChunkMap()
      const known = recordedData('flist-v1', 'a', 'chunk-vectors.json').path
      for (const { hash } of JSON.parse(readFileSync(known, 'utf8')) as Array<{ hash: string }>) {
        all.add(
          fromHex(hash) ?? new Uint8Array(),
          readFileSync(recordedData('flist-v1', 'a', 'chunks', hash).path),
        )
      }
      const bytes = readFileSync(golden.path)
      const result = await checkFlist(bytes, { inspector, chunks: all })
      assert.ok(result.isComplete, JSON.stringify(result))
      assert.equal(result.chunkIds.length, 222)
      all.chunks.delete(toHex(result.chunkIds[7] ?? new Uint8Array()))
      const without = await checkFlist(bytes, { inspector, chunks: all })
      assert.equal((without as BadFlist).missingChunks, 1)
    },
  )

  const tailLoss = recordedData('flist-v1', 'edge', 'tail-loss.flist')
  it('cuts a long list of reasons', { skip: tailLoss.skip }, async () => {
    const result = (await checkFlist(readFileSync(tailLoss.path), {
      inspector,
      chunks: new ChunkMap(),
    })) as BadFlist
    assert.ok(result.reasons.some((reason) => /last block is lost/.test(reason)))
    const many = Array.from({ length: 600 }, (_, at) => ({
      id: Buffer.from(noise(at, 16)),
      key: Buffer.alloc(16),
    }))
    const lost = (await checkFlist(flist(600 * BLOCK_BYTES, many), { inspector, chunks })) as BadFlist
    assert.equal(lost.missingChunks, 600)
    assert.deepEqual([lost.reasons.length, lost.reasons.at(-1)], [21, 'and 580 more'])
  })
})

describe('what we build', () => {
  const decoder = recordedData('flist-v1', 'flistv1.py')
  it('is whole to an independent decoder, content and all', { skip: decoder.skip }, (context) => {
    const flist = join(temporaryDirectory, 'whole.flist')
    const store = mkdtempSync(join(temporaryDirectory, 'chunks-'))
    const tree = directory('', [directory('etc', [leaf('f', { kind: 'file', blocks }, plain.length)])])
    writeFileSync(flist, flistOf(tree))
    for (const [id, bytes] of chunks.chunks) writeFileSync(join(store, id), bytes)
    const run = spawnSync('python3', [decoder.path, 'check', flist, store])
    if (run.error !== undefined) return context.skip('no python3 here')
    assert.deepEqual(JSON.parse(String(run.stdout)), {
      files: 1,
      blockRefs: 2,
      uniqueChunks: 2,
      problems: [],
    })
  })
})

describe('tarStream', () => {
  const long = 'n'.repeat(200)
  const tree = directory('', [
    directory('etc', [leaf('big', { kind: 'file', blocks }, plain.length)]),
    leaf(long, { kind: 'file', blocks: [] }),
    leaf('link', { kind: 'link', target: Buffer.from('etc/big') }, 7),
    leaf('null', { kind: 'special', special: 'char', major: 1, minor: 3 }),
    leaf('pipe', { kind: 'special', special: 'fifo', major: 0, minor: 0 }),
    leaf('socket', { kind: 'special', special: 'socket', major: 0, minor: 0 }),
    leaf(Buffer.of(0xff), { kind: 'file', blocks: [] }),
  ])
  const content = (entry: FlistEntry) => fileContent(entry, { chunks, codec })

  it('is an archive that tar lists and unpacks, root first', async (context) => {
    const skipped: string[] = []
    const onSkipped = ({ path }: FlistEntry) => skipped.push(Buffer.from(path).toString())
    const archive = await gather(tarStream(entriesOf(tree), content, { onSkipped }))
    const path = join(temporaryDirectory, 'out.tar')
    writeFileSync(path, archive)
    const list = spawnSync('tar', ['--numeric-owner', '-tvf', path], {
      env: { LC_ALL: 'C', PATH: process.env['PATH'] },
    })
    if (list.error !== undefined) return context.skip('no tar here')
    assert.equal(String(list.stderr), '')
    const lines = String(list.stdout)
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/\s+/))
    assert.deepEqual(
      lines.map((words) => `${words[0]} ${words[2]} ${words.slice(5).join(' ')}`),
      [
        'drwxr-xr-x 0 ./', 'drwxr-xr-x 4096 etc/'.replace('4096', '0'), `-rwxr-xr-x ${plain.length} etc/big`,
        'lrwxr-xr-x 0 link -> etc/big', `-rwxr-xr-x 0 ${long}`, '-rwxr-xr-x 0 \\377', 'crwxr-xr-x 1,3 null', 'prwxr-xr-x 0 pipe',
      ],
    ) // prettier-ignore
    assert.deepEqual(skipped, ['socket'])
    const unpacked = spawnSync('tar', ['-xOf', path, 'etc/big'], { maxBuffer: 1e7 }).stdout
    assert.equal(
      createHash('md5').update(unpacked).digest('hex'),
      createHash('md5').update(plain).digest('hex'),
    )
  })

  it('never ends an archive in order when content fails', async () => {
    const broken = directory('', [
      leaf('f', { kind: 'file', blocks: [{ id: Buffer.alloc(16), key: Buffer.alloc(16) }] }, 9),
    ])
    await assert.rejects(gather(tarStream(entriesOf(broken), content)), UnavailableError)
  })

  it('stops at an abort, with its reason', async () => {
    const reason = new Error('enough')
    await assert.rejects(
      gather(tarStream(entriesOf(tree), content, { signal: AbortSignal.abort(reason) })),
      (e) => e === reason,
    )
  })
})
