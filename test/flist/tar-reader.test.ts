import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HubError, LimitError, MalformedError } from '../../src/errors.ts'
import { INGEST_LIMITS } from '../../src/flist/ingest-limits.ts'
import { TarReader } from '../../src/flist/tar-reader.ts'
import { GIB } from '../../src/util/units.ts'
import { fuzzRuns } from '../doubles/golden.ts'
import { member, octal, patched, pax, tarOf } from '../doubles/tar-bytes.ts'

/** Dots of one hole: of a mutated header it may be of many GiB. */
const MAX_DOTS = 100_000

/** Members as text, their content gathered, holes as runs of dots. */
function read(archive: Uint8Array, pieceBytes = archive.length): Array<Record<string, unknown>> {
  const reader = new TarReader(INGEST_LIMITS)
  const found: Array<Record<string, unknown>> = []
  for (let at = 0; at < archive.length; at += pieceBytes) {
    for (const event of reader.push(archive.subarray(at, at + pieceBytes))) {
      const last = found.at(-1)
      if (event.kind === 'member') found.push({ ...asText(event.member), content: '' })
      else if (event.kind === 'bytes' && last) last['content'] += Buffer.from(event.bytes).toString('latin1')
      else if (event.kind === 'hole' && last)
        last['content'] += '.'.repeat(Math.min(event.lengthBytes, MAX_DOTS))
    }
  }
  reader.finish()
  return found
}

function asText(record: object): Record<string, unknown> {
  const texts = Object.entries(record).map(([key, value]) => [
    key,
    value instanceof Uint8Array ? Buffer.from(value).toString('latin1') : (value as unknown),
  ])
  return Object.fromEntries(texts) as Record<string, unknown>
}

function names(archive: Uint8Array): unknown[] {
  return read(archive).map(({ path }) => path)
}

describe('members of a tar archive', () => {
  it('are read with all that their header says', () => {
    const [file] = read(
      tarOf(
        member({ path: './a', content: 'hello', mode: 0o4755, uid: 1000, gid: 2_000_000_000, modifiedS: -5 }),
      ),
    )
    assert.deepEqual(file, {
      kind: 'file',
      path: './a',
      linkTarget: '',
      mode: 0o4755,
      uid: 1000,
      gid: 2_000_000_000,
      userName: 'root',
      groupName: 'root',
      modifiedS: -5,
      sizeBytes: 5,
      major: 0,
      minor: 0,
      content: 'hello',
    })
  })

  it('have the content of files only, whatever size the others claim', () => {
    const hardlink = patched(member({ path: 'b', kind: 'hardlink', linkTarget: 'a' }), { 124: octal(99) })
    const device = patched(member({ path: 'c', kind: 'char', major: 1, minor: 3 }), { 124: octal(7) })
    assert.deepEqual(names(tarOf(hardlink, device, member({ path: 'd' }))), ['b', 'c', 'd'])
  })

  it('take the prefix of ustar, and not that of GNU', () => {
    const ustar = patched(member({ path: 'name' }), { 257: 'ustar\x0000', 345: 'some/where' })
    const gnu = patched(member({ path: 'name' }), { 345: 'some/where' })
    assert.deepEqual(names(tarOf(ustar, gnu)), ['some/where/name', 'name'])
  })

  it('are directories by a slash at the end, for old writers', () => {
    const [folder] = read(tarOf(patched(member({ path: 'old/' }), { 257: '\0\0\0\0\0\0\0\0', 156: '\0' })))
    assert.equal(folder?.['kind'], 'directory')
  })

  it('have long names and targets by GNU records', () => {
    const path = 'x'.repeat(150) + '/' + 'y'.repeat(200)
    const linkTarget = 'z'.repeat(300)
    const [link] = read(tarOf(member({ path, kind: 'link', linkTarget })))
    assert.deepEqual([link?.['path'], link?.['linkTarget']], [path, linkTarget])
  })

  it('have what pax says before what the header says, and only the one member', () => {
    const records = [
      ['path', 'long/näme'],
      ['uid', '4294967294'],
      ['gid', '77'],
      ['uname', 'jürgen'],
      ['gname', 'g'],
      ['mtime', '-0.5'],
      ['SCHILY.xattr.user.x', Buffer.from([0, 10, 255])],
    ] as const
    const [first, second] = read(
      tarOf(pax(records), member({ path: 'short', content: 'c' }), member({ path: 'b' })),
    )
    assert.equal(first?.['path'], Buffer.from('long/näme').toString('latin1'))
    assert.deepEqual([first?.['uid'], first?.['gid'], first?.['modifiedS']], [4294967294, 77, -1])
    assert.deepEqual([first?.['groupName'], first?.['content']], ['g', 'c'])
    assert.deepEqual([second?.['path'], second?.['uid']], ['b', 0])
  })

  it('have what a global pax header says until an empty value takes it back', () => {
    const archive = tarOf(
      pax(
        [
          ['uname', 'all'],
          ['gid', '5'],
        ],
        'g',
      ),
      member({ path: 'a' }),
      pax([['uname', '']]),
      member({ path: 'b' }),
      pax([['uname', 'own']]),
      member({ path: 'c' }),
      member({ path: 'd' }),
    )
    const owners = read(archive).map(({ userName, gid }) => `${String(userName)}:${String(gid)}`)
    assert.deepEqual(owners, ['all:5', 'root:5', 'own:5', 'all:5'])
  })

  it('have the size that pax gives', () => {
    const big = patched(member({ path: 'a', content: 'x'.repeat(600) }), { 124: octal(0) })
    assert.deepEqual(names(tarOf(pax([['size', '600']]), big, member({ path: 'b' }))), ['a', 'b'])
  })

  it('end at the end mark; what follows is passed over', () => {
    assert.deepEqual(
      names(Buffer.concat([tarOf(member({ path: 'a' })), Buffer.from('garbage'.repeat(200))])),
      ['a'],
    )
  })

  it('may have labels and dumps between them', () => {
    const label = patched(member({ path: 'label' }), { 156: 'V' })
    const dump = patched(member({ path: 'dir/', content: 'Yname\0\0' }), { 156: 'D' })
    assert.deepEqual(names(tarOf(label, dump, member({ path: 'b' }))), ['dir/', 'b'])
  })

  it('are the same however the bytes come', () => {
    const archive = tarOf(
      pax([
        ['path', 'p'.repeat(700)],
        ['comment', 'c'.repeat(600)],
      ]),
      member({ path: 'a', content: 'x'.repeat(1300) }),
      gnuSparse(),
      pax1Sparse(),
      member({ path: 'q'.repeat(120), content: 'y' }),
    )
    const whole = read(archive)
    const property = fc.property(fc.integer({ min: 1, max: 1500 }), (pieceBytes) => {
      assert.deepEqual(read(archive, pieceBytes), whole)
    })
    fc.assert(property, { numRuns: fuzzRuns(40) })
  })
})

/** The old GNU format: six pieces, so one extension block. */
function gnuSparse(): Buffer {
  const pairs = [0, 1, 2, 3, 4, 5]
    .map((n) => octal(1000 * n) + octal(10))
    .map((pair) => Buffer.from(pair, 'latin1'))
  const extension = Buffer.alloc(512)
  Buffer.concat(pairs.slice(4)).copy(extension)
  const stored = patched(member({ path: 'sparse', content: '0123456789'.repeat(6) }), {
    156: 'S',
    386: Buffer.concat(pairs.slice(0, 4)),
    482: '\x01',
    483: octal(6000),
  })
  return Buffer.concat([stored.subarray(0, 512), extension, stored.subarray(512)])
}

function pax1Sparse(): Buffer {
  const map = Buffer.alloc(512)
  map.write('2\n0\n3\n100\n2\n')
  const records = [
    ['GNU.sparse.major', '1'],
    ['GNU.sparse.minor', '0'],
    ['GNU.sparse.name', 'real name'],
    ['GNU.sparse.realsize', '110'],
  ] as const
  const content = Buffer.concat([map, Buffer.from('abcde')])
  return Buffer.concat([pax(records), member({ path: 'GNUSparseFile.1/x', content })])
}

describe('sparse files', () => {
  const expanded = `abc${'.'.repeat(97)}de${'.'.repeat(8)}`

  it('of the old GNU format have their holes', () => {
    const [file] = read(tarOf(gnuSparse()))
    const pieces = [0, 1, 2, 3, 4].map(() => '0123456789' + '.'.repeat(990)).join('')
    assert.equal(file?.['content'], `${pieces}0123456789${'.'.repeat(990)}`)
    assert.equal(file?.['sizeBytes'], 6000)
  })

  it('of pax 1.0 have their name and holes', () => {
    const [file] = read(tarOf(pax1Sparse()))
    assert.deepEqual([file?.['path'], file?.['content']], ['real name', expanded])
  })

  it('of pax 0.1 and 0.0 too', () => {
    const v01 = [
      ['GNU.sparse.size', '110'],
      ['GNU.sparse.name', 'n'],
      ['GNU.sparse.map', '0,3,100,2'],
    ] as const
    const v00 = [
      ['GNU.sparse.size', '110'],
      ['GNU.sparse.numblocks', '2'],
      ['GNU.sparse.offset', '0'],
      ['GNU.sparse.numbytes', '3'],
      ['GNU.sparse.offset', '100'],
      ['GNU.sparse.numbytes', '2'],
    ] as const
    const stored = member({ path: 'n', content: 'abcde' })
    const contents = read(tarOf(pax(v01), stored, pax(v00), stored)).map(({ content }) => content)
    assert.deepEqual(contents, [expanded, expanded])
  })

  const wrong: ReadonlyArray<readonly [why: string, map: string, size: string]> = [
    ['overlaps', '0,3,2,2', '110'],
    ['runs backwards', '50,3,2,2', '110'],
    ['goes beyond the size', '0,3,100,2', '101'],
    ['holds less than is stored', '0,3', '110'],
    ['is no list of numbers', '0,3,x,2', '110'],
  ]
  for (const [why, map, size] of wrong) {
    it(`are refused when their map ${why}`, () => {
      const archive = tarOf(
        pax([
          ['GNU.sparse.size', size],
          ['GNU.sparse.map', map],
        ]),
        member({ path: 'n', content: 'abcde' }),
      )
      assert.throws(() => read(archive), MalformedError)
    })
  }

  it('are refused over 20 GiB, however little is stored', () => {
    const base256 = Buffer.alloc(12)
    base256[0] = 0x80
    base256.writeBigUInt64BE(BigInt(21 * GIB), 4)
    const archive = tarOf(patched(member({ path: 's' }), { 156: 'S', 483: base256 }))
    assert.throws(() => read(archive), LimitError)
    const eightEib = [
      ['GNU.sparse.size', '9223372036854775807'],
      ['GNU.sparse.map', '0,1'],
    ] as const
    assert.throws(() => read(tarOf(pax(eightEib), member({ path: 's', content: 'x' }))), LimitError)
  })
})

describe('what is no tar archive', () => {
  const good = tarOf(member({ path: 'a/file', content: 'x'.repeat(600) }))

  it('is cut off anywhere', () => {
    for (const length of [100, 512, 700, 1024, 1536]) {
      assert.throws(() => read(good.subarray(0, length)), /cut off/, `${length} bytes`)
    }
  })

  it('has a wrong checksum', () => {
    const bad = Buffer.from(good)
    bad[3] = 0x55
    assert.throws(() => read(bad), /checksum/)
  })

  it('names the member that is wrong', () => {
    const bad = tarOf(patched(member({ path: 'over/there' }), { 156: 'M' }))
    assert.throws(() => read(bad), /member "over\/there": members of the type "M" are not taken/)
  })

  const broken = [
    '6 a=b\nx',
    '6 a=b\n\0\0',
    '5 a=',
    '0 a=b\n',
    '999 a=b\n',
    ' a=b\n',
    '5 ab\n',
    '12345678901234567890 a=b\n',
    'x',
  ]
  for (const text of broken) {
    it(`has the pax header ${JSON.stringify(text)}`, () => {
      const header = patched(member({ path: 'x', content: text }), { 156: 'x' })
      assert.throws(() => read(tarOf(header, member({ path: 'a' }))), MalformedError)
    })
  }

  it('has endless pax headers, or too long ones', () => {
    const small = Array.from({ length: 70 }, () => pax([['comment', '']]))
    assert.throws(() => read(tarOf(...small)), LimitError)
    assert.throws(() => read(tarOf(pax([['comment', 'c'.repeat(70_000)]]))), LimitError)
    const global = Array.from({ length: 40 }, (_, n) => pax([[`k${n}`, 'v'.repeat(2_000)]], 'g'))
    const spread = global.flatMap((header, n) => [header, member({ path: `f${n}` })])
    assert.throws(() => read(tarOf(...spread)), LimitError)
  })

  it('is anything: no error but ours, and no endless loop', () => {
    const start = tarOf(
      pax([['path', 'x']]),
      gnuSparse(),
      pax1Sparse(),
      member({ path: 'a', content: 'abc' }),
    )
    const change = fc.tuple(fc.nat({ max: start.length - 1 }), fc.nat({ max: 255 }))
    const property = fc.property(fc.array(change, { minLength: 1, maxLength: 6 }), (changes) => {
      const bytes = Buffer.from(start)
      for (const [at, value] of changes) bytes[at] = value
      for (let at = 0; at < 5 * 512; at += 512) {
        if (bytes[at + 257] === 0x75) bytes.set(patched(bytes.subarray(at), {}).subarray(0, 512), at)
      }
      try {
        read(bytes)
      } catch (error) {
        assert.ok(error instanceof HubError, String(error))
      }
    })
    fc.assert(property, { numRuns: fuzzRuns(300) })
  })
})
