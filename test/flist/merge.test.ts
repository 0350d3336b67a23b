import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { after, describe, it } from 'node:test'
import fc from 'fast-check'
import { LimitError, MalformedError, UnavailableError } from '../../src/errors.ts'
import { FLIST_LIMITS } from '../../src/flist/limits.ts'
import { FlistMerge } from '../../src/flist/merge.ts'
import { FlistMerger } from '../../src/flist/merger.ts'
import { FlistReader } from '../../src/flist/reader.ts'
import type { FlistEntry } from '../../src/flist/entry.ts'
import { directory, flistOf, leaf, ROOT_OWNED, trees, type Tree } from '../doubles/flist-tree.ts'
import { noise } from '../doubles/noise.ts'
import { temporaryFolder } from '../doubles/temporary-folder.ts'

const folder = temporaryFolder()
const temporaryDirectory = folder.path
const merger = new FlistMerger({ temporaryDirectory })
after(() => merger.stop())

const block = (seed: number) => ({ id: Buffer.from(noise(seed, 16)), key: Buffer.from(noise(seed + 1, 16)) })
const file = (name: string, seed: number, sizeBytes = 7) =>
  leaf(name, { kind: 'file', blocks: [block(seed)] }, sizeBytes)
const flist = (children: readonly Tree[], metadata: Record<string, string> = {}) =>
  flistOf(directory('', children), metadata)

async function* named(...all: Uint8Array[]) {
  for (const [at, bytes] of all.entries()) yield { name: `source ${at}`, bytes }
}

function merged(...all: Uint8Array[]) {
  const merge = new FlistMerge({ temporaryDirectory, limits: FLIST_LIMITS })
  for (const [at, bytes] of all.entries()) merge.add(`source ${at}`, bytes)
  return merge.run()
}

function entriesIn(bytes: Uint8Array): FlistEntry[] {
  const reader = new FlistReader(bytes, { temporaryDirectory })
  try {
    return [...reader.walk()]
  } finally {
    reader.close()
  }
}

const paths = (bytes: Uint8Array) => entriesIn(bytes).map(({ path }) => Buffer.from(path).toString('latin1'))
const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex')

describe('a merge', () => {
  const base = flist([
    directory('clash-dir', [file('x', 1)]),
    directory('etc', [file('conf', 2, 10), file('only-base', 3)]),
    file('clash-file', 4),
    leaf('null', { kind: 'special', special: 'char', major: 1, minor: 3 }),
  ])
  const overlay = flist([
    directory('clash-file', [file('y', 5)]),
    directory('etc', [directory('new', [file('n', 6)]), file('conf', 7, 13), file('only-overlay', 8)]),
    file('clash-dir', 9),
    leaf('null', { kind: 'link', target: Buffer.from('zero') }, 4),
    leaf('last', { kind: 'special', special: 'fifo', major: 0, minor: 0 }),
    leaf('link', { kind: 'link', target: Buffer.from('etc') }, 3),
  ])

  it('takes each path of the first source that has it, and what is added behind it, special files last', () => {
    const { bytes, counts, chunkIds } = merged(base, overlay)
    assert.deepEqual(paths(bytes), [
      '',
      ...['clash-dir', 'clash-dir/x'],
      ...['etc', 'etc/conf', 'etc/only-base', 'etc/new', 'etc/new/n', 'etc/only-overlay'],
      ...['clash-file', 'link', 'null', 'last'],
    ])
    const entries = entriesIn(bytes)
    const at = (path: string) => entries.find((entry) => Buffer.from(entry.path).toString() === path)
    assert.equal(at('etc/conf')?.sizeBytes, 10)
    assert.deepEqual(at('null')?.content, { kind: 'special', special: 'char', major: 1, minor: 3 })
    assert.deepEqual(counts, { regular: 6, symlink: 1, directory: 3, special: 2, failure: 0, fullSize: 45 })
    const used = new Set(
      entries
        .flatMap(({ content }) => (content.kind === 'file' ? content.blocks : []))
        .map(({ id }) => Buffer.from(id).toString('hex')),
    )
    const told = Array.from({ length: chunkIds.length / 16 }, (_, i) =>
      Buffer.from(chunkIds.subarray(i * 16, i * 16 + 16)).toString('hex'),
    )
    assert.deepEqual(told.toSorted(), [...used].sort())
  })

  it('has the order of the original, but each name once (recorded cases merge and merge-reverse)', () => {
    const left = flist([
      directory('clash-dir-vs-file', [file('x', 1)]),
      directory('etc', [file('conf', 2), file('only-base', 3)]),
      directory('shared', [file('a', 4)]),
      file('clash-file-vs-dir', 5),
      file('lnk', 6),
    ])
    const right = flist([
      directory('clash-file-vs-dir', [file('y', 7)]),
      directory('etc', [file('conf', 8), file('only-overlay', 9)]),
      directory('newdir', [file('n', 10)]),
      directory('shared', [directory('deep', [file('z', 11)]), file('b', 12)]),
      file('clash-dir-vs-file', 13),
      file('lnk', 14),
    ])
    assert.deepEqual(paths(merged(left, right).bytes).slice(1), [
      ...['clash-dir-vs-file', 'clash-dir-vs-file/x'],
      ...['etc', 'etc/conf', 'etc/only-base', 'etc/only-overlay'],
      ...['shared', 'shared/a', 'shared/deep', 'shared/deep/z', 'shared/b'],
      ...['clash-file-vs-dir', 'lnk', 'newdir', 'newdir/n'],
    ])
    assert.deepEqual(paths(merged(right, left).bytes).slice(1), [
      ...['clash-file-vs-dir', 'clash-file-vs-dir/y'],
      ...['etc', 'etc/conf', 'etc/only-overlay', 'etc/only-base'],
      ...['newdir', 'newdir/n'],
      ...['shared', 'shared/deep', 'shared/deep/z', 'shared/b', 'shared/a'],
      ...['clash-dir-vs-file', 'lnk'],
    ])
  })

  it('keeps the attributes of the first source, of directories too', () => {
    const own = { ...ROOT_OWNED, mode: 0o700, uid: 7, userName: Buffer.from('seven') }
    const first = flist([{ ...directory('d', [file('a', 1)]), attributes: own }])
    const second = flist([directory('d', [file('b', 2)])])
    const [, d, a, b] = entriesIn(merged(first, second).bytes)
    assert.deepEqual([d?.mode, d?.uid, a?.mode, b?.mode], [0o700, 7, 0o755, 0o755])
    assert.equal(entriesIn(merged(second, first).bytes)[1]?.mode, 0o755)
  })

  it('keeps the metadata of the first source alone, without its backend', () => {
    const backend = '{"namespace": "default", "host": "other.example", "port": 9900}'
    const first = flist([], { backend, tags: 'x' })
    const second = flist([], { readme: 'y' })
    const rowsOf = (bytes: Uint8Array) => {
      const reader = new FlistReader(bytes, { temporaryDirectory })
      try {
        return reader.metadata()
      } finally {
        reader.close()
      }
    }
    assert.deepEqual(rowsOf(merged(first, second).bytes), [['tags', 'x']])
    assert.deepEqual(rowsOf(merged(flist([]), second).bytes), [])
  })

  it('of a flist with itself is that flist; equal sources give equal bytes', () => {
    assert.equal(sha(merged(base, base).bytes), sha(base))
    assert.equal(sha(merged(base).bytes), sha(base))
    assert.equal(sha(merged(base, overlay).bytes), sha(merged(base, overlay).bytes))
  })

  it('of any trees has of each path what a simple model says', () => {
    fc.assert(
      fc.property(fc.array(trees, { minLength: 1, maxLength: 4 }), (all) => {
        const { bytes } = merged(...all.map((tree) => flistOf(tree)))
        const found = new Map(
          entriesIn(bytes).map((entry) => [Buffer.from(entry.path).toString('hex'), entry]),
        )
        const expected = model(all)
        assert.deepEqual([...found.keys()].sort(), [...expected.keys()].sort())
        for (const [path, entry] of expected) {
          const mine = found.get(path)
          assert.equal(mine?.content.kind, entry.content.kind)
          assert.equal(mine?.uid, entry.uid)
          assert.equal(mine?.modifiedS, entry.modifiedS)
        }
      }),
      { numRuns: 40 },
    )
  })

  it('says which source is broken', async () => {
    const garbage = Buffer.from('this is no flist')
    await assert.rejects(merger.merge(named(base, garbage)), (error: unknown) => {
      assert.ok(error instanceof MalformedError)
      assert.match(error.message, /^source 1: not a flist/)
      return true
    })
    const lost = flist([directory('etc')])
    assert.deepEqual(paths((await merger.merge(named(base, lost))).bytes), paths(base))
  })

  it('in its thread gives the same bytes, and leaves nothing behind', async () => {
    const told: Uint8Array[] = []
    const onChunks = (ids: Uint8Array) => void told.push(ids)
    const { bytes, counts, chunkIds } = await merger.merge(named(base, overlay), { onChunks })
    const own = merged(base, overlay)
    assert.equal(sha(bytes), sha(own.bytes))
    assert.deepEqual(counts, own.counts)
    assert.deepEqual(Buffer.from(chunkIds), Buffer.from(own.chunkIds))
    assert.deepEqual(Buffer.concat(told), Buffer.from(own.chunkIds))
    assert.deepEqual(await readdir(temporaryDirectory), [])
  })

  it('has the limits of one flist', () => {
    const limits = { ...FLIST_LIMITS, maxEntries: 5 }
    const merge = new FlistMerge({ temporaryDirectory, limits })
    merge.add('a', flist([file('a', 1), file('b', 2), file('c', 3)]))
    merge.add('b', flist([file('d', 1), file('e', 2), file('f', 3)]))
    assert.throws(() => merge.run(), LimitError)
  })

  it('is given up with its signal, with its sources and with the node', async () => {
    const leaving = new AbortController()
    const reason = new Error('left')
    const merge = merger.merge(
      (async function* () {
        yield { name: 'a', bytes: base }
        leaving.abort(reason)
        yield { name: 'b', bytes: overlay }
      })(),
      { signal: leaving.signal },
    )
    await assert.rejects(merge, reason)
    const failing = merger.merge(
      (async function* () {
        yield { name: 'a', bytes: base }
        throw new Error('the store is gone')
      })(),
    )
    await assert.rejects(failing, /the store is gone/)
    const stopped = new FlistMerger({ temporaryDirectory })
    await stopped.stop()
    await assert.rejects(stopped.merge(named(base)), UnavailableError)
    assert.deepEqual(await readdir(temporaryDirectory), [])
  })
})

/** Every path of the union, by its first source; what lies below a path that is no directory there does not count. */
function model(all: readonly Tree[]): Map<string, FlistEntry> {
  const result = new Map<string, FlistEntry>()
  for (const tree of all) {
    const hidden: string[] = []
    const bytes = flistOf(tree)
    for (const entry of entriesIn(bytes)) {
      const path = Buffer.from(entry.path).toString('hex')
      if (hidden.some((above) => path.startsWith(`${above}2f`))) continue
      const known = result.get(path)
      if (known === undefined) result.set(path, entry)
      else if (known.content.kind !== 'directory') hidden.push(path)
    }
  }
  return result
}
