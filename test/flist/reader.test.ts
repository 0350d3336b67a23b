import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { LimitError, MalformedError } from '../../src/errors.ts'
import { packFlist } from '../../src/flist/container.ts'
import type { FlistEntry } from '../../src/flist/entry.ts'
import { FLIST_LIMITS } from '../../src/flist/limits.ts'
import { FlistReader } from '../../src/flist/reader.ts'
import { DatabaseWriter } from '../../src/flist/database-writer.ts'
import { surveyFlist } from '../../src/flist/survey.ts'
import { aclKey, directoryKey, encodeAcl, encodeDirectory, ROOT_KEY } from '../../src/format/flist-v1.ts'
import type { Directory, Inode } from '../../src/format/flist-v1.ts'
import { ROOT_OWNED } from '../doubles/flist-tree.ts'
import { recordedData } from '../doubles/golden.ts'
import { temporaryFolder } from '../doubles/temporary-folder.ts'

const folder = temporaryFolder()
const temporaryDirectory = folder.path

function reading<T>(bytes: Uint8Array, use: (reader: FlistReader) => T, limits = FLIST_LIMITS): T {
  const reader = new FlistReader(bytes, { temporaryDirectory, limits })
  try {
    return use(reader)
  } finally {
    reader.close()
  }
}

function walk(bytes: Uint8Array, limits = FLIST_LIMITS): { entries: FlistEntry[]; problems: string[] } {
  return reading(
    bytes,
    (reader) => ({ entries: [...reader.walk()], problems: reader.problems.list().map((one) => one.text) }),
    limits,
  )
}

const pathOf = (entry: FlistEntry) => Buffer.from(entry.path).toString()

interface Decoded {
  readonly dirs: Record<string, DecodedNode & { contents: DecodedNode[] }>
  readonly acls: Record<string, { uname: string; gname: string; mode: number; uid: number; gid: number }>
}
interface DecodedNode {
  readonly name: string
  readonly type?: string
  readonly size: number
  readonly aclkey: string
  readonly modificationTime: number
  readonly target?: string
  readonly data?: string
  readonly blocks?: Array<{ hash: string; key: string }>
}

/** One line an entry, from a decode of the reference's flist by other code. */
function expectedLines({ dirs, acls }: Decoded, path = ''): string[] {
  const seen = new Set<string>()
  return (dirs[`/${path}`]?.contents ?? []).flatMap((node) => {
    if (seen.has(node.name)) return []
    seen.add(node.name)
    const below = path === '' ? node.name : `${path}/${node.name}`
    const isDirectory = node.type === 'dir'
    const attributes = isDirectory ? (dirs[`/${below}`] ?? node) : node
    const acl = acls[attributes.aclkey]
    const owner = `${acl?.uname}:${acl?.gname} ${acl?.uid}:${acl?.gid} ${acl?.mode.toString(8)}`
    const line = `${below} ${node.type} ${node.size} ${owner} ${attributes.modificationTime} ${decodedBody(node)}`
    return isDirectory ? [line, ...expectedLines({ dirs, acls }, below)] : [line]
  })
}

function decodedBody({ type, target, data, blocks = [] }: DecodedNode): string {
  if (type === 'special') return data?.replace('(nothing)', '0,0') || '0,0'
  return target ?? blocks.map(({ hash, key }) => `${hash}/${key}`).join()
}

function line(entry: FlistEntry): string {
  const { content } = entry
  const owner = `${text(entry.userName)}:${text(entry.groupName)} ${entry.uid}:${entry.gid} ${entry.mode.toString(8)}`
  const type = content.kind === 'directory' ? 'dir' : content.kind
  return `${text(entry.path)} ${type} ${entry.sizeBytes} ${owner} ${entry.modifiedS} ${bodyOf(content)}`
}

function bodyOf(content: FlistEntry['content']): string {
  switch (content.kind) {
    case 'directory': return ''
    case 'link': return text(content.target)
    case 'special': return `${content.major},${content.minor}`
    case 'file': return content.blocks.map(({ id, key }) => `${hex(id)}/${hex(key)}`).join()
  } // prettier-ignore
}

const text = (bytes: Uint8Array) => Buffer.from(bytes).toString()
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('FlistReader on flists of the reference tools', () => {
  for (const [flist, decode] of [
    ['a/a.flist', 'a/decoded.json'],
    ['b/b1.flist', 'b/b1.decoded.json'],
    ['b/b2.flist', 'b/b2.decoded.json'],
    ['b/merged-b1-then-b2.flist', 'b/merged-b1-then-b2.decoded.json'],
    ['c/c.flist', 'c/decoded.json'],
  ] as const) {
    const file = recordedData('flist-v1', ...flist.split('/'))
    const decoded = recordedData('flist-v1', ...decode.split('/'))
    it(`reads ${flist} as an independent decoder does`, { skip: file.skip || decoded.skip }, () => {
      const expected = expectedLines(JSON.parse(readFileSync(decoded.path, 'utf8')) as Decoded)
      assert.deepEqual(walk(readFileSync(file.path)).entries.slice(1).map(line), expected)
    })
  }

  const find = recordedData('flist-v1', 'a', 'zflist-find.json')
  it('writes the dump that zflist writes', { skip: find.skip }, () => {
    const bytes = readFileSync(recordedData('flist-v1', 'a', 'a.flist').path)
    const { dump } = reading(bytes, (reader) => surveyFlist(reader, { dump: true }))
    const { response } = JSON.parse(readFileSync(find.path, 'utf8')) as { response: unknown }
    assert.deepEqual(JSON.parse(text(dump ?? new Uint8Array())), response)
    assert.match(
      text(dump ?? new Uint8Array()),
      /^\{"content": \[\{"size": 4096, "path": "\/dup"\}, [ -~]*, "fullsize": \d+\}$/,
    )
  })

  it('finds single entries as a walk does', { skip: find.skip }, () => {
    const bytes = readFileSync(recordedData('flist-v1', 'a', 'a.flist').path)
    reading(bytes, (reader) => {
      for (const entry of reader.walk()) assert.deepEqual(reader.find(entry.path), entry)
      for (const path of ['none', 'dup/none', 'none/none', 'dup/', '/dup', 'dup/..', 'links/abs/x']) {
        assert.equal(reader.find(Buffer.from(path)), undefined, path)
      }
    })
  })

  const edges: Array<[name: string, entries: number, problems: RegExp[]]> = [
    ['dir-25000-entries', 25_002, []],
    ['init-only', 1, []],
    ['no-metadata-table', 4, []],
    ['non-utf8-names', 3, []],
    ['old-acl-no-uid', 4, []],
    ['uncompressed-tar', 4, []],
    ['putdir-twice-DUPLICATES', 8, [/^"sub" stands there twice/, /^"f" stands there twice/]],
    [
      'tail-loss',
      8,
      [
        /"f16777217" has 32 blocks where its 16777217 bytes take 33: its last block is lost/,
        /f33554433/,
        /f67108867/,
      ],
    ],
  ]
  for (const [name, count, expected] of edges) {
    const file = recordedData('flist-v1', 'edge', `${name}.flist`)
    it(
      `reads ${name}${expected.length > 0 ? ' and says what is wrong with it' : ''}`,
      { skip: file.skip },
      () => {
        const { entries, problems } = walk(readFileSync(file.path))
        assert.equal(entries.length, count)
        assert.equal(problems.length, expected.length)
        for (const [at, pattern] of expected.entries()) assert.match(problems[at] ?? '', pattern)
      },
    )
  }

  const corrupt = recordedData('flist-v1', 'edge', 'dir-40000-entries-CORRUPT.flist')
  it('refuses a directory that the reference lost', { skip: corrupt.skip }, () => {
    assert.throws(
      () => walk(readFileSync(corrupt.path)),
      (error) => error instanceof MalformedError && /the directory "d" is lost/.test(error.message),
    )
  })

  const old = recordedData('flist-v1', 'edge', 'old-acl-no-uid.flist')
  it('takes owners of old flists from their names', { skip: old.skip }, () => {
    for (const entry of walk(readFileSync(old.path)).entries) {
      assert.ok(entry.mode <= 0o7777)
      assert.equal(entry.uid, text(entry.userName) === 'root' ? 0 : 1000)
    }
  })
})

const aclOfRoot = { ...ROOT_OWNED, typeBits: 0 }
const ACL = aclKey(aclOfRoot)

function directoryRow(
  path: string,
  inodes: readonly Inode[],
  more: Partial<Directory> = {},
): [string, Uint8Array] {
  const location = Buffer.from(path)
  const times = { modifiedS: 1, changedS: 1, sizeBytes: 4096 }
  const name = Buffer.from(path.split('/').at(-1) ?? '')
  return [
    directoryKey(location),
    encodeDirectory({ name, location, parentKey: ROOT_KEY, aclKey: ACL, ...times, inodes, ...more }),
  ]
}

function inode(name: string | Uint8Array, content: Inode['content'], more: Partial<Inode> = {}): Inode {
  return { name: Buffer.from(name), sizeBytes: 0, aclKey: ACL, modifiedS: 1, changedS: 1, content, ...more }
}
const folderNamed = (name: string, key: string) => inode(name, { kind: 'directory', key })
const emptyFile = (name: string | Uint8Array) => inode(name, { kind: 'file', blockPages: 128, blocks: [] })

/** A flist of rows as a stranger might put them. */
function flist(
  rows: ReadonlyArray<[string, Uint8Array]>,
  acl: [string, Uint8Array] | null = [ACL, encodeAcl(aclOfRoot)],
): Uint8Array {
  const writer = new DatabaseWriter()
  for (const [key, value] of acl === null ? rows : [...rows, acl]) writer.entry(key, value)
  return writer.finish(packFlist)
}

describe('FlistReader on flists of strangers', () => {
  const etc = directoryKey(Buffer.from('etc'))
  const refusals: Array<[what: string, rows: Array<[string, Uint8Array]>, message: RegExp]> = [
    ['without a root', [directoryRow('etc', [])], /the directory "" has no row/],
    ['with a name with a slash', [directoryRow('', [emptyFile('a/b')])], /slash or a NUL/],
    ['with a name with a NUL', [directoryRow('', [emptyFile('a\0')])], /slash or a NUL/],
    ['with the name ..', [directoryRow('', [emptyFile('..')])], /named ".."/],
    ['with the name .', [directoryRow('', [emptyFile('.')])], /named "."/],
    ['with an empty name', [directoryRow('', [emptyFile('')])], /without a name/],
    ['with a name of 256 bytes', [directoryRow('', [emptyFile('n'.repeat(256))])], /256 bytes/],
    ['that is its own child', [directoryRow('', [folderNamed('etc', ROOT_KEY)])], /not its path's/],
    ['with one directory in two places', [directoryRow('', [folderNamed('etc', etc), folderNamed('x', etc)]), directoryRow('etc', [])], /not its path's/],
    ['with a directory that has no row', [directoryRow('', [folderNamed('etc', etc)])], /the directory "etc" has no row/],
    ['with a directory that is garbage', [directoryRow('', [folderNamed('etc', etc)]), [etc, Buffer.from('garbage!')]], /"etc" does not read/],
    ['with blocks of wrong keys', [directoryRow('', [inode('f', { kind: 'file', blockPages: 128, blocks: [{ id: Buffer.alloc(3), key: Buffer.alloc(16) }] })])], /both have 16/],
  ] // prettier-ignore
  for (const [what, rows, message] of refusals) {
    it(`refuses one ${what}`, () => {
      assert.throws(
        () => walk(flist(rows)),
        (error) => error instanceof MalformedError && message.test(error.message),
      )
    })
  }

  it('takes a missing or broken ACL as 0-fs does, and reports it once', () => {
    for (const acl of [null, [ACL, Buffer.from('x')] as [string, Uint8Array]]) {
      const { entries, problems } = walk(flist([directoryRow('', [emptyFile('a'), emptyFile('b')])], acl))
      assert.deepEqual(
        entries.map(({ mode, uid, gid }) => [mode, uid, gid]),
        Array(3).fill([0o400, 1000, 1000]),
      )
      assert.equal(problems.length, 1)
      assert.match(problems[0] ?? '', /names the ACL/)
    }
  })

  it('reports blocks that cannot add up, and another location', () => {
    const block = { id: Buffer.alloc(16), key: Buffer.alloc(16) }
    const blocks = (count: number) =>
      ({ kind: 'file', blockPages: 128, blocks: Array<typeof block>(count).fill(block) }) as const
    const { entries, problems } = walk(
      flist([
        directoryRow('', [
          folderNamed('etc', etc),
          inode('fits', blocks(2), { sizeBytes: 524_289 }),
          inode('long', blocks(2), { sizeBytes: 524_288 }),
          inode('none', blocks(0), { sizeBytes: 1 }),
          inode('pages', { ...blocks(1), blockPages: 1 }, { sizeBytes: 10 }),
        ]),
        directoryRow('etc', [], { location: Buffer.from('usr'), parentKey: 'wrong' }),
      ]),
    )
    assert.equal(entries.length, 6)
    assert.deepEqual(problems, [
      '"etc" calls itself "usr"',
      '"long" has 2 blocks where its 524288 bytes take 1',
      '"none" has 0 blocks where its 1 bytes take 1: its last block is lost',
      '"pages" has blocks of 1 pages; readers take 128',
    ])
  })

  it('shows a file where a name is a file and then a directory', () => {
    const rows = [
      directoryRow('', [emptyFile('etc'), folderNamed('etc', etc)]),
      directoryRow('etc', [emptyFile('x')]),
    ]
    const { entries, problems } = walk(flist(rows))
    assert.deepEqual(entries.map(pathOf), ['', 'etc'])
    assert.equal(problems.length, 1)
  })

  it('takes what other writers leave out: location, times, a root of another size', () => {
    const { entries } = walk(
      flist([directoryRow('', [emptyFile('f')], { location: Buffer.alloc(0), sizeBytes: 0, modifiedS: 0 })]),
    )
    assert.equal(entries[0]?.sizeBytes, 0)
  })

  it('keeps to its limits of entries, depth and paths', () => {
    const deep = Array.from({ length: 12 }, (_, depth) => {
      const path = 'd/'.repeat(depth).slice(0, -1)
      const below = 'd/'.repeat(depth + 1).slice(0, -1)
      return directoryRow(path, depth === 11 ? [] : [folderNamed('d', directoryKey(Buffer.from(below)))])
    })
    assert.equal(walk(flist(deep)).entries.length, 12)
    for (const [limits, message] of [
      [{ maxDepth: 10 }, /the limit is 10 levels/],
      [{ maxEntries: 10 }, /the limit is 10 entries/],
      [{ maxPathBytes: 10 }, /the limit is 10 bytes/],
    ] as const) {
      assert.throws(
        () => walk(flist(deep), { ...FLIST_LIMITS, ...limits }),
        (error) => error instanceof LimitError && message.test(error.message),
      )
    }
    assert.equal(
      walk(flist(deep), { ...FLIST_LIMITS, maxDepth: 11, maxEntries: 11, maxPathBytes: 21 }).entries.length,
      12,
    )
  })

  it('counts problems beyond those it lists', () => {
    const twins = Array.from({ length: 1_500 }, () => emptyFile('twin'))
    reading(flist([directoryRow('', twins)]), (reader) => {
      assert.equal([...reader.walk()].length, 2)
      assert.equal(reader.problems.count('duplicate-name'), 1_499)
      assert.equal(reader.problems.list().length, 1_000)
    })
  })

  it('shows names that are no UTF-8 in dumps, and counts them', () => {
    const { dump, counts } = reading(
      flist([directoryRow('', [emptyFile(Buffer.of(0x61, 0xff)), emptyFile('ü"\\\n')])]),
      (reader) => surveyFlist(reader, { dump: true }),
    )
    assert.equal(counts.regular, 2)
    assert.equal(
      text(dump ?? new Uint8Array()),
      '{"content": [{"size": 0, "path": "/a\\ufffd"}, {"size": 0, "path": "/\\u00fc\\"\\\\\\n"}], ' +
        '"regular": 2, "symlink": 0, "directory": 0, "special": 0, "failure": 0, "fullsize": 0}',
    )
  })
})
