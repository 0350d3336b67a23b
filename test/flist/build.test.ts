import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { InvalidInputError, LimitError } from '../../src/errors.ts'
import { FlistBuilder, sortContents } from '../../src/flist/build.ts'
import { FlistReader } from '../../src/flist/reader.ts'
import { directoryKey } from '../../src/format/flist-v1.ts'
import { addTree, directory, entriesOf, flistOf, leaf, ROOT_OWNED, trees } from '../doubles/flist-tree.ts'
import { recordedData } from '../doubles/golden.ts'
import { temporaryFolder } from '../doubles/temporary-folder.ts'

const folder = temporaryFolder()
const temporaryDirectory = folder.path
const decoder = recordedData('flist-v1', 'flistv1.py')

const sample = directory('', [
  directory('etc', [
    leaf('passwd', { kind: 'file', blocks: [{ id: Buffer.alloc(16, 1), key: Buffer.alloc(16, 2) }] }, 7),
  ]),
  leaf('null', { kind: 'special', special: 'char', major: 1, minor: 3 }),
  leaf('link', { kind: 'link', target: Buffer.from('etc/passwd') }, 10),
  leaf(Buffer.of(0xff, 0xfe), { kind: 'file', blocks: [] }),
])

describe('FlistBuilder', () => {
  it('builds trees that read back equal, and leaves nothing behind', () => {
    fc.assert(
      fc.property(trees, (tree) => {
        const reader = new FlistReader(flistOf(tree), { temporaryDirectory })
        try {
          assert.deepEqual(plain([...reader.walk()]), plain(entriesOf(tree)))
          assert.deepEqual(reader.problems.list(), [])
        } finally {
          reader.close()
        }
      }),
      { numRuns: 60 },
    )
    assert.deepEqual(folder.left(), [])
  })

  it('gives equal bytes for equal trees, and the bytes it always gave', () => {
    const metadata = { readme: '{"readme": "hello"}', tags: 'ünï' }
    const bytes = flistOf(sample, metadata)
    assert.deepEqual(flistOf(sample, metadata), bytes)
    assert.equal(
      createHash('sha256').update(bytes).digest('hex'),
      '9a3d3ba69d9f435d80186c329dedabccd5bfa13a2a6b080606d829edb1cf55b3',
    )
  })

  it(
    'is read by an independent decoder, which finds nothing to complain about',
    { skip: decoder.skip },
    (context) => {
      const file = join(temporaryDirectory, 'sample.flist')
      for (const tree of [sample, ...fc.sample(trees, { numRuns: 3, seed: 7 })]) {
        writeFileSync(file, flistOf(tree))
        const run = spawnSync('python3', [decoder.path, 'dump', file], { maxBuffer: 1e8 })
        if (run.error !== undefined) return context.skip('no python3 here')
        assert.equal(run.status, 0, String(run.stderr))
        const dump = JSON.parse(String(run.stdout)) as {
          tar: string[]
          problems: unknown[]
          orphans: unknown[]
          dirs: object
        }
        assert.deepEqual([dump.tar, dump.problems, dump.orphans], [['.', './flistdb.sqlite3'], [], []])
        const folders = entriesOf(tree).filter(({ content }) => content.kind === 'directory')
        assert.equal(Object.keys(dump.dirs).length, folders.length)
      }
    },
  )

  it('writes each ACL once', () => {
    const builder = new FlistBuilder()
    const acl = { ...ROOT_OWNED, mode: 0o644 }
    assert.equal(builder.addAcl(acl), '5f64cf1389d15471')
    assert.equal(
      builder.addAcl({ ...acl, userName: new Uint8Array(Buffer.from('root')) }),
      '5f64cf1389d15471',
    )
  })

  const mistakes: Array<[what: string, names: string[]]> = [
    ['a slash', ['a/b']],
    ['a NUL', ['a\0']],
    ['no bytes', ['']],
    ['a dot', ['.']],
    ['two dots', ['..']],
    ['300 bytes', ['n'.repeat(300)]],
    ['a twin', ['a', 'a']],
  ]
  for (const [what, names] of mistakes) {
    it(`refuses a name of ${what}`, () => {
      const tree = directory(
        '',
        names.map((name) => leaf(name, { kind: 'file', blocks: [] })),
      )
      const builder = new FlistBuilder()
      assert.throws(() => addTree(builder, tree), InvalidInputError)
    })
  }

  it('refuses a tree with a hole, a directory twice, and an ACL that it was not given', () => {
    const inode = { name: Buffer.from('gone'), sizeBytes: 0, modifiedS: 0, changedS: 0 }
    const root = {
      name: Buffer.alloc(0),
      location: Buffer.alloc(0),
      parentKey: '',
      sizeBytes: 0,
      modifiedS: 0,
      changedS: 0,
    }
    const builder = new FlistBuilder()
    const aclKey = builder.addAcl(ROOT_OWNED)
    assert.throws(() => builder.addDirectory({ ...root, aclKey: '00', inodes: [] }), /unknown ACL/)
    const content = { kind: 'directory', key: directoryKey(inode.name) } as const
    builder.addDirectory({ ...root, aclKey, inodes: [{ ...inode, aclKey, content }] })
    assert.throws(() => builder.addDirectory({ ...root, aclKey, inodes: [] }), /added twice/)
    assert.throws(() => builder.finish(), /1 directories of this flist are missing/)
  })

  it('keeps to its limits', () => {
    for (const limits of [{ maxDatabaseBytes: 300 }, { maxFileBytes: 300 }, { maxEntries: 4 }]) {
      const builder = new FlistBuilder({ limits })
      assert.throws(() => {
        addTree(builder, sample)
        builder.finish()
      }, LimitError)
    }
  })
})

describe('sortContents', () => {
  it('puts directories first, then files with links, then special files, each by bytes', () => {
    const fifo = { kind: 'special', special: 'fifo', major: 0, minor: 0 } as const
    const names = [
      leaf('b', fifo), leaf('Z', { kind: 'link', target: Buffer.from('x') }), leaf('a', { kind: 'file', blocks: [] }),
      directory('é'), directory('z'), leaf('a-fifo', fifo), leaf('B', { kind: 'file', blocks: [] }),
    ] // prettier-ignore
    assert.deepEqual(
      sortContents(names).map((one) => Buffer.from(one.name).toString()),
      ['z', 'é', 'B', 'Z', 'a', 'a-fifo', 'b'],
    )
  })
})

/** Buffers and plain arrays alike. */
function plain(value: unknown): unknown {
  return JSON.parse(
    JSON.stringify(value, (_, one: unknown) => {
      const bytes = one as { type?: string; data?: number[] }
      if (bytes?.type === 'Buffer') return Buffer.from(bytes.data ?? []).toString('hex')
      return one instanceof Uint8Array ? Buffer.from(one).toString('hex') : one
    }),
  )
}
