import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { pack } from 'tar-stream'
import { MIB } from '../../src/util/units.ts'
import { chunkIdsOf } from '../../src/store/chunk-list.ts'
import { IngestBench } from '../doubles/ingest-bench.ts'
import type { Seen } from '../doubles/ingest-bench.ts'
import { noise } from '../doubles/noise.ts'
import { recordedData } from '../doubles/golden.ts'
import { temporaryFolder } from '../doubles/temporary-folder.ts'
import { member, patched, pax, tarOf } from '../doubles/tar-bytes.ts'

const bench = new IngestBench()

async function seen(archive: Uint8Array): Promise<Map<string, Seen>> {
  return bench.read((await bench.take(archive)).flist.bytes)
}

/** Content, mode, owner and time in a line. */
function brief(entry: Seen | undefined): string {
  if (entry === undefined) return 'missing'
  const { content, mode, uid, gid, userName, groupName, modifiedS } = entry
  const what =
    content.kind === 'file'
      ? content.bytes.toString('latin1')
      : content.kind === 'link'
        ? `-> ${Buffer.from(content.target).toString('latin1')}`
        : content.kind === 'special'
          ? `${content.special} ${content.major},${content.minor}`
          : 'directory'
  return `${what} ${mode.toString(8)} ${uid}:${gid} ${userName}:${groupName} ${modifiedS}`
}

const OWNER = { uid: 0, gid: 0, userName: Buffer.from('root'), groupName: Buffer.from('root') }

describe('an archive taken in', () => {
  it('keeps every kind of member with its attributes', async () => {
    const tree = await seen(
      tarOf(
        member({ path: './', kind: 'directory', mode: 0o750, modifiedS: 7 }),
        member({ path: './bin/su', content: 'su', mode: 0o104755 }),
        member({ path: '/abs/name', content: 'abs', uid: 4_294_967_295, gid: 65_534 }),
        member({ path: 'etc//./link', kind: 'link', linkTarget: '../../outside', mode: 0o777 }),
        member({ path: 'dev/null', kind: 'char', major: 1, minor: 3, mode: 0o666 }),
        member({ path: 'dev/nvme', kind: 'block', major: 259, minor: 70_000 }),
        member({ path: 'dev/pipe', kind: 'fifo' }),
        member({ path: 'tmp', kind: 'directory', mode: 0o1777, modifiedS: -1 }),
        member({ path: Buffer.from('caf\xe9', 'latin1'), content: 'latin' }),
      ),
    )
    assert.equal(brief(tree.get('')), 'directory 750 0:0 root:root 7')
    assert.equal(brief(tree.get('bin')), 'directory 755 0:0 root:root 0')
    assert.equal(brief(tree.get('bin/su')), 'su 4755 0:0 root:root 1700000000')
    assert.equal(brief(tree.get('abs/name')), 'abs 644 4294967295:65534 root:root 1700000000')
    assert.equal(brief(tree.get('etc/link')), '-> ../../outside 777 0:0 root:root 1700000000')
    assert.equal(brief(tree.get('dev/null')), 'char 1,3 666 0:0 root:root 1700000000')
    assert.equal(brief(tree.get('dev/nvme')), 'block 259,70000 644 0:0 root:root 1700000000')
    assert.equal(brief(tree.get('dev/pipe')), 'fifo 0,0 644 0:0 root:root 1700000000')
    assert.equal(brief(tree.get('tmp')), 'directory 1777 0:0 root:root 4294967295')
    assert.equal(brief(tree.get('caf\xe9')), 'latin 644 0:0 root:root 1700000000')
    assert.equal(tree.get('etc/link')?.sizeBytes, 13)
    assert.equal(tree.size, 13)
  })

  it('names owners by their number where it names none, as %d prints it', async () => {
    const nobody = { userName: Buffer.alloc(0), groupName: Buffer.alloc(0) }
    const tree = await seen(
      tarOf(
        member({ path: 'a', ...nobody, uid: 1000, gid: 0 }),
        member({ path: 'b', ...nobody, uid: 4_294_967_294, gid: 2_147_483_648 }),
      ),
    )
    assert.deepEqual([tree.get('a')?.userName, tree.get('a')?.groupName], ['1000', '0'])
    assert.deepEqual([tree.get('b')?.userName, tree.get('b')?.groupName], ['-2', '-2147483648'])
  })

  it('lists directories, then files and links, then special files, each by the bytes of the name', async () => {
    const paths = ['z', 'A', '\xff', 'a.', 'a']
    const files = paths.map((name) => member({ path: Buffer.from(name, 'latin1') }))
    const folders = ['y/', 'd/d', 'd.x/'].map((path) => member({ path, kind: 'directory' }))
    const pipe = member({ path: '0', kind: 'fifo' })
    const tree = await seen(
      tarOf(pipe, ...files, ...folders, member({ path: 'M', kind: 'link', linkTarget: 'x' })),
    )
    assert.deepEqual([...tree.keys()], ['', 'd', 'd/d', 'd.x', 'y', 'A', 'M', 'a', 'a.', 'z', '\xff', '0'])
  })

  it('takes the last of several members of a name', async () => {
    const tree = await seen(
      tarOf(
        member({ path: 'd/', kind: 'directory', mode: 0o700 }),
        member({ path: 'd/f', content: 'old' }),
        member({ path: 'd/f', content: 'new' }),
        member({ path: './d', kind: 'directory', mode: 0o711, modifiedS: 5 }),
        member({ path: 'x', content: 'file' }),
        member({ path: 'x', kind: 'link', linkTarget: 'y' }),
      ),
    )
    assert.equal(brief(tree.get('d')), 'directory 711 0:0 root:root 5')
    assert.equal(brief(tree.get('d/f')), 'new 644 0:0 root:root 1700000000')
    assert.equal(brief(tree.get('x')), '-> y 644 0:0 root:root 1700000000')
  })

  it('counts what it holds, below the root', async () => {
    const archive = tarOf(
      member({ path: '.', kind: 'directory' }),
      member({ path: 'a/b/c', content: 'four' }),
      member({ path: 'a/h', kind: 'hardlink', linkTarget: 'a/b/c' }),
      member({ path: 'l', kind: 'link', linkTarget: 'q' }),
      member({ path: 'p', kind: 'fifo' }),
    )
    const { counts, flist } = await bench.take(archive)
    assert.deepEqual(counts, { regular: 2, symlink: 1, directory: 2, special: 1, failure: 0, fullSize: 8 })
    assert.equal(flist.files, 2)
    assert.equal(chunkIdsOf(flist).length, 1)
  })

  it('may be of directories only', async () => {
    assert.deepEqual([...(await seen(tarOf(member({ path: 'a/', kind: 'directory' })))).keys()], ['', 'a'])
  })
})

describe('hard links', () => {
  it('are what they name was at that moment, attributes and all', async () => {
    const tree = await seen(
      tarOf(
        member({ path: 'a', content: 'one', mode: 0o600, uid: 5 }),
        member({ path: 'h1', kind: 'hardlink', linkTarget: './a', mode: 0o777 }),
        member({ path: 'a', content: 'two' }),
        member({ path: 'h2', kind: 'hardlink', linkTarget: '/a' }),
        member({ path: 'h3', kind: 'hardlink', linkTarget: 'h1' }),
        member({ path: 'a', kind: 'hardlink', linkTarget: 'a' }),
        member({ path: 's', kind: 'link', linkTarget: 't' }),
        member({ path: 'h4', kind: 'hardlink', linkTarget: 's' }),
      ),
    )
    const contents = ['h1', 'h2', 'h3', 'a', 'h4'].map((path) =>
      brief(tree.get(path)).split(' ').slice(0, 3).join(' '),
    )
    assert.deepEqual(contents, ['one 600 5:0', 'two 644 0:0', 'one 600 5:0', 'two 644 0:0', '-> t 644'])
  })

  it('may be chained without end', async () => {
    const links = Array.from({ length: 20_000 }, (_, n) =>
      member({ path: `l${n + 1}`, kind: 'hardlink', linkTarget: `l${n}` }),
    )
    const { counts } = await bench.take(tarOf(member({ path: 'l0', content: 'x' }), ...links))
    assert.equal(counts.regular, 20_001)
  })
})

describe('content', () => {
  it('of sizes around a block survives, and of those the reference loses', async () => {
    const sizes = [0, 1, 524_287, 524_288, 524_289, 16 * MIB + 1, 64 * MIB + 3]
    const archive = tarOf(
      ...sizes.map((size) => member({ path: `f${size}`, content: Buffer.alloc(size, `${size} `) })),
    )
    const tree = await seen(archive)
    for (const size of sizes) {
      const content = tree.get(`f${size}`)?.content
      assert.ok(
        content?.kind === 'file' && content.bytes.equals(Buffer.alloc(size, `${size} `)),
        `${size} bytes`,
      )
    }
  })

  it('is encoded once, within an upload and between uploads', async () => {
    const content = noise(77, 2 * MIB + 5)
    const before = bench.chunks.written
    const archive = tarOf(...['a', 'b', 'c'].map((path) => member({ path, content })))
    const first = await bench.take(archive)
    assert.equal(bench.chunks.written - before, 5)
    const again = await bench.take(archive)
    assert.equal(bench.chunks.written - before, 5)
    assert.ok(Buffer.from(first.flist.bytes).equals(again.flist.bytes))
    assert.equal(chunkIdsOf(first.flist).length >= 5, true)
  })

  it('of holes and zeros is cheap, and right', async () => {
    const map = [
      ['GNU.sparse.size', String(40 * MIB)],
      ['GNU.sparse.map', `${MIB},5,${30 * MIB - 3},7`],
    ] as const
    const tree = await seen(
      tarOf(
        pax(map),
        member({ path: 'holes', content: 'first2ndpart' }),
        member({ path: 'zeros', content: Buffer.alloc(3 * MIB + 9) }),
      ),
    )
    const expected = Buffer.alloc(40 * MIB)
    expected.write('first', MIB)
    expected.write('2ndpart', 30 * MIB - 3)
    const holes = tree.get('holes')?.content
    assert.ok(holes?.kind === 'file' && holes.bytes.equals(expected))
    const zeros = tree.get('zeros')?.content
    assert.ok(zeros?.kind === 'file' && zeros.bytes.equals(Buffer.alloc(3 * MIB + 9)))
  })

  it('of 40,000 files in one directory survives', async () => {
    const files = Array.from({ length: 40_000 }, (_, n) => member({ path: `d/${n}`, content: `file ${n}` }))
    const { flist, counts } = await bench.take(gzipSync(tarOf(...files), { level: 1 }))
    assert.equal(counts.regular, 40_000)
    const tree = bench.read(flist.bytes)
    for (const n of [0, 9, 12_345, 39_999]) {
      assert.equal(brief(tree.get(`d/${n}`)).split(' 644')[0], `file ${n}`)
    }
    assert.equal(tree.size, 40_002)
  })
})

describe('the bytes of a flist', () => {
  const archive = tarOf(
    member({ path: 'x/', kind: 'directory' }),
    ...Array.from({ length: 300 }, (_, n) => member({ path: `x/${n % 7}/${n}`, content: noise(n, n * 200) })),
  )

  it('are the same however the archive comes and is packed, known or not', async () => {
    const { flist } = await bench.take(archive, 1000)
    const fresh = new IngestBench()
    const others = [
      await bench.take(gzipSync(archive, { level: 9 }), 4321),
      await bench.take(
        Buffer.concat([gzipSync(archive.subarray(0, 99_999)), gzipSync(archive.subarray(99_999))]),
      ),
      await fresh.take(archive, archive.length),
    ]
    for (const other of others) assert.ok(Buffer.from(other.flist.bytes).equals(flist.bytes))
  })

  it('have rows of metadata in the order of their keys', async () => {
    const one = await bench.take(archive, 65_536, { b: '2', a: '1' })
    const other = await bench.take(archive, 65_536, { a: '1', b: '2' })
    assert.ok(Buffer.from(one.flist.bytes).equals(other.flist.bytes))
    assert.deepEqual(
      [...bench.metadata(one.flist.bytes)],
      [
        ['a', '1'],
        ['b', '2'],
      ],
    )
  })
})

describe('the readme', () => {
  async function readme(...members: readonly Uint8Array[]): Promise<string | undefined> {
    const { flist } = await bench.take(tarOf(...members, member({ path: 'x' })), 100)
    return bench.metadata(flist.bytes).get('readme')
  }

  it('is the exact text of .README.md, else of .README', async () => {
    const text = '# Ünï\n\n"quoted" \t and\u2028more\n'
    const md = member({ path: './.README.md', content: text })
    const other = member({ path: '.README', content: 'other' })
    assert.deepEqual(JSON.parse((await readme(other, md)) ?? ''), { readme: text })
    assert.equal(await readme(other), '{"readme": "other"}')
    assert.equal(await readme(md, member({ path: '.README.md', content: 'later' })), '{"readme": "later"}')
  })

  it('is none when it is elsewhere, too long, or no text', async () => {
    assert.equal(await readme(member({ path: 'doc/.README.md', content: 'x' })), undefined)
    assert.equal(await readme(member({ path: '.README.md', content: Buffer.from([0xff, 0xfe]) })), undefined)
    assert.equal(await readme(member({ path: '.README.md', content: Buffer.alloc(MIB + 1, 'x') })), undefined)
  })
})

describe('archives of other programs', () => {
  const folder = temporaryFolder()
  const long = 'n'.repeat(97)
  const files: ReadonlyArray<readonly [path: string, content: string]> = [
    ['plain.txt', 'plain'],
    [`deep/er/${long}`, 'long name'],
    ['ünï', 'unicode'],
  ]

  function source(): string {
    const root = join(folder.path, 'source')
    rmSync(root, { recursive: true, force: true })
    mkdirSync(join(root, 'deep/er'), { recursive: true })
    for (const [path, content] of files) writeFileSync(join(root, path), content)
    execFileSync('sh', ['-c', 'cd "$0" && ln plain.txt hard && ln -s plain.txt soft', root])
    return root
  }

  async function check(archive: Uint8Array): Promise<void> {
    const tree = await seen(archive)
    for (const [path, content] of files) {
      assert.equal(brief(tree.get(Buffer.from(path).toString('latin1'))).split(' 6')[0], content, path)
    }
    assert.equal(brief(tree.get('hard')).split(' 6')[0], 'plain')
    assert.equal(brief(tree.get('soft')).split(' 7')[0], '-> plain.txt')
  }

  for (const format of ['gnu', 'oldgnu', 'pax', 'ustar']) {
    it(`GNU tar, ${format}`, async () => {
      await check(execFileSync('tar', [`--format=${format}`, '-C', source(), '-cf', '-', '.']))
    })
  }

  for (const sparse of [
    ['--format=gnu'],
    ...['0.0', '0.1', '1.0'].map((v) => ['--format=pax', `--sparse-version=${v}`]),
  ]) {
    it(`GNU tar, sparse, ${sparse.join(' ')}`, async () => {
      const root = source()
      execFileSync('sh', ['-c', 'truncate -s 3M sparse && printf end >> sparse && truncate -s 8M sparse'], {
        cwd: root,
      })
      const tree = await seen(execFileSync('tar', [...sparse, '-S', '-C', root, '-czf', '-', '.']))
      const content = tree.get('sparse')?.content
      assert.ok(content?.kind === 'file' && content.bytes.equals(readFileSync(join(root, 'sparse'))))
    })
  }

  const PYTHON = `
import sys, tarfile
t = tarfile.open(fileobj=sys.stdout.buffer, mode='w|gz', format=getattr(tarfile, sys.argv[2] + '_FORMAT'))
t.add(sys.argv[1], arcname='')
t.close()`
  for (const format of ['USTAR', 'GNU', 'PAX']) {
    it(`Python's tarfile, ${format}`, async () => {
      await check(execFileSync('python3', ['-c', PYTHON, source(), format]))
    })
  }

  it('tar-stream', async () => {
    const archive = pack()
    for (const [name, content] of files) archive.entry({ name }, content)
    archive.entry({ name: 'hard', type: 'link', linkname: 'plain.txt' })
    archive.entry({ name: 'soft', type: 'symlink', linkname: 'plain.txt', mode: 0o777 })
    archive.finalize()
    const parts: Buffer[] = []
    for await (const part of archive) parts.push(part as Buffer)
    await check(Buffer.concat(parts))
  })

  it('v7: no magic, no names of owners', async () => {
    const v7 = patched(member({ path: 'a', content: 'seven', ...OWNER, uid: 3 }), { 257: Buffer.alloc(80) })
    assert.equal(brief((await seen(tarOf(v7))).get('a')), 'seven 644 3:0 3:0 1700000000')
  })
})

describe('the recorded archive', () => {
  const archive = recordedData('flist-v1', 'a', 'src-a.tar.gz')
  const decoded = recordedData('flist-v1', 'a', 'decoded.json')

  it('gives the tree, the keys and the chunk ids of the reference', { skip: archive.skip }, async () => {
    const { flist } = await bench.take(readFileSync(archive.path))
    const expected = JSON.parse(readFileSync(decoded.path, 'utf8')) as Decoded
    const tree = bench.read(flist.bytes)
    const found = new Set<string>()
    const ids = new Set<string>()
    for (const [folder, { contents }] of Object.entries(expected.dirs)) {
      for (const entry of contents) {
        const path = `${folder === '/' ? '' : `${folder.slice(1)}/`}${entry.name}`
        if (path === 'special/sock') continue // a socket, which tar cannot hold
        for (const { hash } of entry.blocks ?? []) ids.add(hash)
        found.add(Buffer.from(path).toString('latin1'))
        const actual = tree.get(Buffer.from(path).toString('latin1'))
        const acl = expected.acls[entry.aclkey]
        assert.ok(actual !== undefined && acl !== undefined, path)
        const { mode, uid, gid, modifiedS, content } = actual
        const of = [mode, uid, gid, modifiedS]
        // The archive was packed later than the flist: times of links and of some folders differ.
        assert.deepEqual(of.slice(0, 3), [acl.mode, acl.uid, acl.gid], path)
        if (entry.type === 'file') assert.equal(modifiedS, entry.modificationTime, path)
        assert.equal(content.kind, entry.type === 'dir' ? 'directory' : entry.type, path)
        if (content.kind === 'special')
          assert.ok(content.special !== 'socket' && content.special !== 'unknown', path)
        assert.equal(actual.sizeBytes, entry.size, path)
      }
    }
    assert.deepEqual(new Set([...tree.keys()].filter((path) => path !== '')), found)
    assert.deepEqual(new Set(chunkIdsOf(flist).map((id) => Buffer.from(id).toString('hex'))), ids)
  })
})

interface Decoded {
  readonly dirs: Record<string, { readonly contents: readonly DecodedEntry[] }>
  readonly acls: Record<string, { readonly mode: number; readonly uid: number; readonly gid: number }>
}

interface DecodedEntry {
  readonly name: string
  readonly type: string
  readonly size: number
  readonly aclkey: string
  readonly modificationTime: number
  readonly blocks?: ReadonlyArray<{ readonly hash: string; readonly key: string }>
}
