import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { extract, pack } from 'tar-stream'
import { HubError, MalformedError } from '../../src/errors.ts'
import {
  encodeTarHeader,
  isZeroBlock,
  parseTarHeader,
  TAR_BLOCK_BYTES,
  TAR_END,
  tarNumber,
  tarPadding,
} from '../../src/format/tar.ts'
import type { TarEntry } from '../../src/format/tar.ts'
import { fromUtf8, toUtf8 } from '../../src/util/bytes.ts'
import { fuzzRuns } from '../doubles/golden.ts'

const FILE: TarEntry = {
  path: fromUtf8('etc/passwd'),
  kind: 'file',
  mode: 0o644,
  uid: 1000,
  gid: 100,
  userName: fromUtf8('alice'),
  groupName: fromUtf8('users'),
  sizeBytes: 5,
  modifiedS: 1_600_000_000,
}

/** The header blocks of an entry, the long names put back where they belong. */
function parseAll(bytes: Uint8Array) {
  const long: Record<string, Uint8Array> = {}
  let at = 0
  for (;;) {
    const header = parseTarHeader(bytes.subarray(at, at + TAR_BLOCK_BYTES))
    at += TAR_BLOCK_BYTES
    if (header.type !== 'L' && header.type !== 'K') {
      assert.equal(at, bytes.length)
      return { ...header, name: long['L'] ?? header.name, linkName: long['K'] ?? header.linkName }
    }
    assert.equal(bytes[at + header.sizeBytes - 1], 0)
    long[header.type] = bytes.subarray(at, at + header.sizeBytes - 1)
    at += header.sizeBytes + tarPadding(header.sizeBytes)
  }
}

describe('tar headers', () => {
  it('are the bytes that GNU tar writes', () => {
    const block = Buffer.from(encodeTarHeader(FILE))
    assert.equal(block.length, TAR_BLOCK_BYTES)
    const text = (from: number, to: number) => block.toString('latin1', from, to)
    assert.equal(text(0, 10), 'etc/passwd')
    assert.equal(text(100, 156), '0000644\x000001750\x000000144\x0000000000005\x0013727410000\x00012036\x00 ')
    assert.equal(text(156, 157), '0')
    assert.equal(text(257, 270), 'ustar  \0alice')
    assert.equal(text(297, 302), 'users')
    assert.ok(isZeroBlock(block.subarray(329)))
  })

  it('of long names are too', () => {
    const long = fromUtf8('d'.repeat(90) + '/' + 'f'.repeat(90))
    const root = {
      ...FILE,
      uid: 0,
      gid: 0,
      userName: fromUtf8('root'),
      groupName: fromUtf8('root'),
      sizeBytes: 0,
    }
    const file = encodeTarHeader({ ...root, path: long })
    const link = encodeTarHeader({ ...root, path: fromUtf8('ln'), kind: 'link', linkTarget: long })
    // tar --format=gnu --owner=root:0 --group=root:0 --mtime=@1600000000 --mode=644 -c dd…/ff… ln | head -c 3072
    const digest = createHash('sha256').update(file).update(link).digest('hex')
    assert.equal(digest, '1ffbcc6cb0c769ca4641bc9c47b8775c75578377d8abdca40eaa46dc51f8d542')
  })

  it('give a directory its slash, and the root its dot', () => {
    const dir = { ...FILE, kind: 'directory' as const, sizeBytes: 0 }
    assert.equal(toUtf8(parseAll(encodeTarHeader(dir)).name), 'etc/passwd/')
    assert.equal(toUtf8(parseAll(encodeTarHeader({ ...dir, path: new Uint8Array(0) })).name), './')
  })

  it('leave out an owner name that does not fit, rather than name another owner', () => {
    const header = parseAll(
      encodeTarHeader({ ...FILE, userName: fromUtf8('u'.repeat(31)), groupName: fromUtf8('g'.repeat(32)) }),
    )
    assert.equal(toUtf8(header.userName), 'u'.repeat(31))
    assert.equal(toUtf8(header.groupName), '')
  })

  it('read back as they were written', () => {
    const name = fc
      .uint8Array({ minLength: 1, maxLength: 400 })
      .map((bytes) => bytes.map((byte) => byte || 1))
    const id = fc.oneof(fc.nat(0o7777777), fc.nat(0xffffffff))
    const entry = fc.record({
      path: name,
      kind: fc.constantFrom('file', 'hardlink', 'link', 'char', 'block', 'fifo', 'directory'),
      mode: fc.nat(0o7777),
      uid: id,
      gid: id,
      userName: fc.constant(fromUtf8('u')),
      groupName: fc.constant(fromUtf8('g')),
      sizeBytes: fc.oneof(fc.nat(100), fc.maxSafeNat()),
      modifiedS: fc.oneof(id, fc.integer({ min: -(2 ** 40), max: 2 ** 40 })),
      linkTarget: name,
      major: id,
      minor: id,
    })
    fc.assert(
      fc.property(entry, (given) => {
        const header = parseAll(encodeTarHeader(given))
        const slash = given.kind === 'directory' ? [0x2f] : []
        assert.deepEqual([...header.name], [...given.path, ...slash])
        assert.deepEqual([...header.linkName], [...given.linkTarget])
        for (const field of ['mode', 'uid', 'gid', 'sizeBytes', 'modifiedS'] as const) {
          assert.equal(header[field], given[field], field)
        }
        const isDevice = given.kind === 'char' || given.kind === 'block'
        assert.deepEqual([header.major, header.minor], isDevice ? [given.major, given.minor] : [0, 0])
        assert.equal(header.format, 'gnu')
      }),
      { numRuns: fuzzRuns(300) },
    )
  })

  it('are understood by another tar', async () => {
    const long = 'd/'.repeat(100) + 'file'
    const entries: TarEntry[] = [
      { ...FILE, path: fromUtf8(long), sizeBytes: 0, uid: 0xffffffff },
      { ...FILE, kind: 'link', path: fromUtf8('link'), linkTarget: fromUtf8(long), sizeBytes: 0 },
      { ...FILE, kind: 'char', path: fromUtf8('null'), major: 1, minor: 3, sizeBytes: 0 },
    ]
    const archive = extract()
    archive.end(Buffer.concat([...entries.map(encodeTarHeader), TAR_END]))
    const seen: string[] = []
    for await (const entry of archive) {
      const { name, type, linkname, uid, devmajor, devminor } = entry.header
      seen.push([name, type, linkname, uid, devmajor, devminor].join(' '))
      entry.resume()
    }
    assert.deepEqual(seen, [
      `${long} file  4294967295 0 0`,
      `link symlink ${long} 1000 0 0`,
      'null character-device  1000 1 3',
    ])
  })

  it('of another tar are understood', async () => {
    const archive = pack()
    const name = `${'p'.repeat(60)}/${'q'.repeat(60)}`
    archive.entry(
      { name, mode: 0o4755, uid: 7, gid: 8, uname: 'u', gname: 'g', mtime: new Date(5000) },
      'hello',
    )
    archive.finalize()
    const parts: Uint8Array[] = []
    for await (const part of archive) parts.push(part as Uint8Array)
    const bytes = Buffer.concat(parts)
    const header = parseTarHeader(bytes.subarray(0, TAR_BLOCK_BYTES))
    assert.equal(`${toUtf8(header.prefix)}/${toUtf8(header.name)}`, name)
    const { format, mode, uid, gid, sizeBytes, modifiedS, type } = header
    assert.deepEqual({ format, mode, uid, gid, sizeBytes, modifiedS, type }, {
      format: 'ustar', mode: 0o4755, uid: 7, gid: 8, sizeBytes: 5, modifiedS: 5, type: '0',
    }) // prettier-ignore
    assert.ok(isZeroBlock(bytes.subarray(2 * TAR_BLOCK_BYTES, 3 * TAR_BLOCK_BYTES)))
  })

  it('of the seventh edition have neither owners nor devices', () => {
    const block = Buffer.from(encodeTarHeader(FILE))
    block.fill(0, 257)
    block.fill(0xff, 329, 345)
    block[156] = 0
    const header = parseTarHeader(summed(block))
    assert.deepEqual([header.format, header.type, header.userName.length, header.major], ['v7', '0', 0, 0])
  })
})

/** With the right checksum, over signed bytes when asked for. */
function summed(block: Buffer, isSigned = false): Buffer {
  block.fill(0x20, 148, 156)
  let sum = 0
  for (const byte of block) sum += isSigned && byte > 127 ? byte - 256 : byte
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
  return block
}

describe('tar numbers', () => {
  const field = (text: string) => tarNumber(Buffer.from(text, 'latin1'), [0, text.length])
  it('are octal between blanks, or base-256', () => {
    assert.equal(field('0000644\0'), 0o644)
    assert.equal(field('   644 \0'), 0o644)
    assert.equal(field('77777777'), 0o77777777)
    assert.equal(field('\0\0\0\0\0\0\0\0'), 0)
    assert.equal(field('\x80\0\0\0\xff\xff\xff\xff'), 0xffffffff)
    assert.equal(field('\xff\xff\xff\xff\xff\xff\xff\xfe'), -2)
    assert.equal(field('\x80\0\0\0\0\x20\0\0\0\0\0'), 2 ** 45)
  })

  it('are refused when they are neither', () => {
    for (const text of [
      '0000648\0',
      '-0000001',
      '12 34\0\0\0',
      'abc',
      '\x80\xff\xff\xff\xff\xff\xff\xff\xff',
      '\x00x',
    ]) {
      assert.throws(() => field(text), MalformedError, JSON.stringify(text))
    }
  })
})

describe('tar headers, hostile', () => {
  it('need a checksum, of signed or unsigned bytes', () => {
    const block = Buffer.from(encodeTarHeader({ ...FILE, path: Uint8Array.from([0xff, 0xfe]) }))
    assert.equal(parseTarHeader(summed(block, true)).name.length, 2)
    assert.equal(parseTarHeader(summed(block)).name.length, 2)
    block[0] = 0x41
    assert.throws(() => parseTarHeader(block), MalformedError)
    assert.throws(() => parseTarHeader(block.subarray(1)), MalformedError)
    assert.throws(() => parseTarHeader(new Uint8Array(TAR_BLOCK_BYTES)), MalformedError)
  })

  it('have no negative sizes', () => {
    const block = Buffer.from(encodeTarHeader(FILE))
    block.fill(0xff, 124, 136)
    assert.throws(() => parseTarHeader(summed(block)), MalformedError)
  })

  it('fail only with an error of ours', () => {
    const poke = fc.tuple(fc.nat(TAR_BLOCK_BYTES - 1), fc.nat(255))
    fc.assert(
      fc.property(fc.array(poke, { maxLength: 12 }), (pokes) => {
        const block = Buffer.from(encodeTarHeader(FILE))
        for (const [at, byte] of pokes) block[at] = byte
        try {
          const header = parseTarHeader(summed(block))
          assert.ok(header.sizeBytes >= 0 && Number.isSafeInteger(header.sizeBytes))
        } catch (error) {
          assert.ok(error instanceof HubError)
        }
      }),
      { numRuns: fuzzRuns(1000) },
    )
  })

  it('padding fills the last block', () => {
    assert.deepEqual([0, 1, 511, 512, 513].map(tarPadding), [0, 511, 1, 0, 511])
  })
})
