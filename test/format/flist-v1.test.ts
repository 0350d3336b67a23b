import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { HubError, LimitError, MalformedError } from '../../src/errors.ts'
import {
  aclKey,
  BLOCK_PAGES,
  decodeAcl,
  decodeDirectory,
  decodeSpecial,
  directoryKey,
  encodeAcl,
  encodeDirectory,
  encodeSpecial,
  ROOT_KEY,
} from '../../src/format/flist-v1.ts'
import type { Acl, Directory, Inode, InodeContent } from '../../src/format/flist-v1.ts'
import { fromUtf8, isUtf8, toHex, toUtf8 } from '../../src/util/bytes.ts'
import { readFlistRows } from '../doubles/flist-rows.ts'
import { fuzzRuns, golden, recordedData } from '../doubles/golden.ts'

/** What the independent decoder prints: names as Python's surrogateescape has them. */
function pythonText(bytes: Uint8Array): string {
  if (isUtf8(bytes)) return toUtf8(bytes)
  return String.fromCharCode(...Array.from(bytes, (byte) => (byte < 0x80 ? byte : 0xdc00 + byte)))
}

function describeDirectory(dir: Directory): Record<string, unknown> {
  return {
    name: pythonText(dir.name),
    location: pythonText(dir.location),
    parent: dir.parentKey,
    size: dir.sizeBytes,
    aclkey: dir.aclKey,
    modificationTime: dir.modifiedS,
    creationTime: dir.changedS,
    contents: dir.inodes.map((inode) => ({
      name: pythonText(inode.name),
      size: inode.sizeBytes,
      aclkey: inode.aclKey,
      modificationTime: inode.modifiedS,
      creationTime: inode.changedS,
      ...describeContent(inode.content),
    })),
  }
}

function describeContent(content: InodeContent): Record<string, unknown> {
  switch (content.kind) {
    case 'directory':
      return { type: 'dir', key: content.key }
    case 'file': {
      const blocks = content.blocks.map(({ id, key }) => ({ hash: toHex(id), key: toHex(key) }))
      return { type: 'file', blockSize: content.blockPages, blocks }
    }
    case 'link':
      return { type: 'link', target: pythonText(content.target) }
    case 'special': {
      const special = ['socket', 'block', 'chardev', 'fifopipe', 'unknown'][content.type]
      return { type: 'special', special, data: toUtf8(content.data) }
    }
  }
}

function describeAcl(acl: Acl): Record<string, unknown> {
  return {
    uname: pythonText(acl.userName),
    gname: pythonText(acl.groupName),
    mode: acl.mode | acl.typeBits,
    id: 0,
    uid: acl.uid ?? -1,
    gid: acl.gid ?? -1,
    nrights: 0,
  }
}

/** Reads again as it read, in one segment, and settles: what we wrote is written the same way for ever. */
function checkRewrite(dir: Directory): void {
  const written = encodeDirectory(dir)
  assert.equal(Buffer.from(written).readUInt32LE(0), 0, 'one segment')
  const again = decodeDirectory(written)
  assert.deepEqual(describeDirectory(again), describeDirectory(dir))
  assert.deepEqual(encodeDirectory(again), written)
}

interface Row {
  readonly from: string
  readonly key: string
  readonly value: string
  readonly reads: Record<string, unknown> & { contents?: unknown[]; count?: number }
}
const rows = JSON.parse(golden('flist-v1', 'directories.json').toString()) as Row[]
const valueOf = (row: Row): Buffer => Buffer.from(row.value, 'base64')
const directories = rows.filter(({ key }) => key.length === 32)
const acls = rows.filter(({ key }) => key.length === 16)

describe('flist v1, golden rows', () => {
  for (const row of directories) {
    it(`${row.from}: directory /${String(row.reads['location'])}`, () => {
      const dir = decodeDirectory(valueOf(row))
      const { contents = [], count, ...reads } = row.reads
      const actual = describeDirectory(dir) as { contents: unknown[] }
      assert.deepEqual(
        { ...actual, contents: actual.contents.slice(0, contents.length) },
        { ...reads, contents },
      )
      assert.equal(dir.inodes.length, count)
      assert.equal(directoryKey(dir.location), row.key)
      checkRewrite(dir)
    })
  }

  for (const row of acls) {
    it(`${row.from}: ACL ${row.key}`, () => {
      const acl = decodeAcl(valueOf(row))
      assert.deepEqual(describeAcl(acl), row.reads)
      if (acl.uid !== undefined) {
        assert.equal(aclKey(acl), row.key)
        assert.ok(valueOf(row).equals(encodeAcl(acl)), 'the bytes of the reference')
      }
    })
  }

  it('an old ACL has no ids, and its type bits apart from its mode', () => {
    const old = acls.find(({ from }) => from === 'edge/old-acl-no-uid')
    assert.ok(old)
    const { mode, typeBits, uid, gid } = decodeAcl(valueOf(old))
    assert.deepEqual([mode, typeBits, uid, gid], [0o755, 0o100000, undefined, undefined])
  })
})

interface Decoded {
  readonly dirs: Record<string, Record<string, unknown>>
  readonly acls: Record<string, Record<string, unknown>>
}

describe('flist v1, recorded flists', () => {
  const decoded = [
    ['a/a.flist', 'a/decoded.json'],
    ['b/b1.flist', 'b/b1.decoded.json'],
    ['b/b2.flist', 'b/b2.decoded.json'],
    ['b/merged-b1-then-b2.flist', 'b/merged-b1-then-b2.decoded.json'],
    ['c/c.flist', 'c/decoded.json'],
  ] as const
  for (const [flist, decode] of decoded) {
    const { path, skip } = recordedData('flist-v1', flist)
    it(`${flist} reads as its decode says`, { skip }, () => {
      const entries = readFlistRows(path)
      const expected = JSON.parse(readFileSync(recordedData('flist-v1', decode).path, 'utf8')) as Decoded
      for (const { key, _capnp: _, ...reads } of Object.values(expected.dirs)) {
        const dir = decodeDirectory(blob(entries.get(key as string)))
        assert.deepEqual(describeDirectory(dir), reads)
        checkRewrite(dir)
      }
      for (const [key, reads] of Object.entries(expected.acls)) {
        const acl = decodeAcl(blob(entries.get(key)))
        assert.deepEqual(describeAcl(acl), reads)
        assert.equal(aclKey(acl), key)
      }
    })
  }

  const edges: Array<[string, (inodes: readonly Inode[]) => void]> = [
    ['dir-25000-entries', (inodes) => assert.equal(inodes.length, 25_000)],
    ['putdir-twice-DUPLICATES', () => {}],
    ['uncompressed-tar', () => {}],
    ['no-metadata-table', () => {}],
    ['old-acl-no-uid', () => {}],
    ['non-utf8-names', (inodes) => assert.ok(inodes.some(({ name }) => !isUtf8(name)))],
    ['init-only', (inodes) => assert.equal(inodes.length, 0)],
    ['tail-loss', () => {}],
  ]
  for (const [name, check] of edges) {
    const { path, skip } = recordedData('flist-v1', 'edge', `${name}.flist`)
    it(`edge/${name} is read, each row, and written again`, { skip }, () => {
      let largest: readonly Inode[] = []
      for (const [key, value] of readFlistRows(path)) {
        if (key.length === 16) decodeAcl(blob(value))
        else {
          const dir = decodeDirectory(blob(value))
          assert.equal(directoryKey(dir.location), key)
          if (dir.inodes.length > largest.length) largest = dir.inodes
          checkRewrite(dir)
        }
      }
      check(largest)
    })
  }
})

function blob(value: Uint8Array | string | undefined): Uint8Array {
  assert.ok(value instanceof Uint8Array)
  return value
}

describe('flist v1 keys', () => {
  it('are those of the specification', () => {
    assert.equal(ROOT_KEY, 'cae66941d9efbd404e4d88758ea67670')
    assert.equal(directoryKey(fromUtf8('etc')), '9308da158ed557db704826796bca9f68')
    assert.equal(directoryKey(fromUtf8('usr/bin')), '46c939da162118cf47886fe40f8b5600')
    assert.equal(directoryKey(fromUtf8('unicode/dir-ü')), 'a841313e1c1eaed354ae5088a2a457d9')
    const root = { userName: fromUtf8('root'), groupName: fromUtf8('root'), uid: 0, gid: 0 }
    assert.equal(aclKey({ ...root, mode: 0o755 }), 'd7683de000c13689')
    assert.equal(aclKey({ ...root, mode: 0o644 }), '5f64cf1389d15471')
    const daemon = { userName: fromUtf8('daemon'), groupName: fromUtf8('daemon'), uid: 1, gid: 1 }
    assert.equal(aclKey({ ...daemon, mode: 0o640 }), '5e410fc8a1c21ffc')
  })

  it('hash the raw bytes of names', () => {
    const acl = { groupName: fromUtf8('g'), mode: 0, uid: 0, gid: 0 }
    const keys = [[0xff], [0xfe], [0xef, 0xbf, 0xbd]].map((name) =>
      aclKey({ ...acl, userName: Uint8Array.from(name) }),
    )
    assert.equal(new Set(keys).size, 3)
  })
})

const u32 = fc.nat(0xffffffff)
const bytes = (maxLength: number) => fc.uint8Array({ maxLength })
const hexKey = (length: number) => fc.uint8Array({ minLength: length, maxLength: length }).map(toHex)
const digest = fc.uint8Array({ minLength: 16, maxLength: 16 })
const content: fc.Arbitrary<InodeContent> = fc.oneof(
  fc.record({ kind: fc.constant('directory' as const), key: hexKey(16) }),
  fc.record({
    kind: fc.constant('file' as const),
    blockPages: fc.constantFrom(BLOCK_PAGES, 0, 65535),
    blocks: fc.array(fc.record({ id: digest, key: digest }), { maxLength: 5 }),
  }),
  fc.record({ kind: fc.constant('link' as const), target: bytes(300) }),
  fc.record({ kind: fc.constant('special' as const), type: fc.nat(4), data: bytes(20) }),
)
const common = {
  name: bytes(255),
  sizeBytes: fc.oneof(fc.nat(), fc.maxSafeNat()),
  aclKey: hexKey(8),
  modifiedS: u32,
  changedS: u32,
}
const directory: fc.Arbitrary<Directory> = fc.record({
  ...common,
  location: bytes(1000),
  parentKey: hexKey(16),
  inodes: fc.array(fc.record({ ...common, content }), { maxLength: 20 }),
})
const id = fc.option(u32, { nil: undefined })
const anAcl: fc.Arbitrary<Acl> = fc.record({
  userName: bytes(40),
  groupName: bytes(40),
  mode: fc.nat(0o7777),
  typeBits: fc.constant(0),
  uid: id,
  gid: id,
})

describe('flist v1 rows', () => {
  it('read back as they were written', () => {
    const plain = (value: unknown) =>
      JSON.stringify(value, (_, part: unknown) => (part instanceof Uint8Array ? toHex(part) : part))
    fc.assert(
      fc.property(directory, (dir) => {
        assert.equal(
          plain(describeDirectory(decodeDirectory(encodeDirectory(dir)))),
          plain(describeDirectory(dir)),
        )
      }),
      { numRuns: fuzzRuns(200) },
    )
    fc.assert(
      fc.property(anAcl, (acl) => {
        assert.deepEqual(describeAcl(decodeAcl(encodeAcl(acl))), describeAcl(acl))
      }),
      { numRuns: fuzzRuns(200) },
    )
  })

  it('take 40,000 inodes, which the reference loses', () => {
    const inodes = Array.from({ length: 40_000 }, (_, at): Inode => ({
      name: fromUtf8(`a-file-with-a-name-of-some-length-${at}.txt`),
      sizeBytes: at,
      aclKey: '5f64cf1389d15471',
      modifiedS: 1_600_000_000,
      changedS: 1_600_000_000,
      content: {
        kind: 'file',
        blockPages: BLOCK_PAGES,
        blocks: [{ id: new Uint8Array(16), key: new Uint8Array(16) }],
      },
    }))
    const dir = { ...decodeDirectory(valueOf(directories[0] as Row)), inodes }
    const read = decodeDirectory(encodeDirectory(dir))
    assert.equal(read.inodes.length, 40_000)
    assert.deepEqual(describeDirectory(read), describeDirectory(dir))
  })

  it('are refused over 64 MiB, which no reader takes', () => {
    const dir = { ...decodeDirectory(valueOf(directories[0] as Row)), inodes: [] }
    assert.throws(() => encodeDirectory({ ...dir, name: new Uint8Array(64 * 1024 * 1024) }), LimitError)
    assert.throws(() => decodeDirectory(Buffer.alloc(64 * 1024 * 1024 + 8)), LimitError)
  })

  it('are refused with keys that are none and numbers beyond 2^53', () => {
    const dir = decodeDirectory(valueOf(directories[0] as Row))
    const blocks = [{ id: new Uint8Array(32), key: new Uint8Array(16) }]
    const inode = { ...(dir.inodes[0] as Inode), content: { kind: 'file' as const, blockPages: 128, blocks } }
    assert.throws(() => decodeDirectory(encodeDirectory({ ...dir, inodes: [inode] })), MalformedError)
    const huge = Buffer.from(encodeDirectory({ ...dir, sizeBytes: 0 }))
    huge.fill(0xff, 16, 24)
    assert.throws(() => decodeDirectory(huge), MalformedError)
  })
})

describe('special files', () => {
  it('are written with their true type and numbers, and read back', () => {
    for (const special of ['block', 'char'] as const) {
      assert.deepEqual(decodeSpecial(encodeSpecial(special, 259, 70000)), {
        special,
        major: 259,
        minor: 70000,
      })
    }
    for (const special of ['fifo', 'socket', 'unknown'] as const) {
      assert.deepEqual(decodeSpecial(encodeSpecial(special, 0, 0)), { special, major: 0, minor: 0 })
    }
    assert.equal(toUtf8(encodeSpecial('char', 1, 3).data), '1,3')
    assert.equal(toUtf8(encodeSpecial('fifo', 0, 0).data), '(nothing)')
  })

  it('of the reference are what can still be told', () => {
    const written = (text: string) => ({ type: 0, data: fromUtf8(text) })
    assert.deepEqual(decodeSpecial(written('1,3')), { special: 'unknown', major: 1, minor: 3 })
    assert.deepEqual(decodeSpecial(written('1,3'), 0o020000), { special: 'char', major: 1, minor: 3 })
    assert.deepEqual(decodeSpecial(written('8,1'), 0o060000), { special: 'block', major: 8, minor: 1 })
    assert.deepEqual(decodeSpecial(written('(nothing)')), { special: 'socket', major: 0, minor: 0 })
    assert.deepEqual(decodeSpecial(written('(nothing)'), 0o010000), { special: 'fifo', major: 0, minor: 0 })
    assert.deepEqual(decodeSpecial(written('')), { special: 'socket', major: 0, minor: 0 })
    assert.deepEqual(decodeSpecial({ type: 2, data: fromUtf8('9999999999,1') }), {
      special: 'char',
      major: 0,
      minor: 0,
    })
    assert.deepEqual(decodeSpecial({ type: 99, data: fromUtf8('1,3') }), {
      special: 'unknown',
      major: 1,
      minor: 3,
    })
  })
})

describe('flist v1 rows, hostile', () => {
  const value = fc.constantFrom(
    ...rows.map(valueOf),
    Buffer.from(encodeDirectory(decodeDirectory(valueOf(directories[1] as Row)))),
  )
  const poke = fc.tuple(fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }), fc.nat(255))
  const pokes = fc.array(poke, { minLength: 1, maxLength: 6 })

  it('fail only with an error of ours, and read no more than they are worth', () => {
    fc.assert(
      fc.property(value, pokes, fc.nat(40), (original, changes, cut) => {
        const changed = Buffer.from(original)
        // Half of the changes hit the first 200 bytes, where the framing and the root are.
        for (const [where, byte] of changes) {
          changed[Math.floor(where * (byte % 2 ? Math.min(200, changed.length) : changed.length))] = byte
        }
        const bytes = changed.subarray(0, changed.length - (cut > 20 ? cut : 0))
        for (const decode of [decodeDirectory, decodeAcl]) {
          try {
            decode(bytes)
          } catch (error) {
            assert.ok(error instanceof HubError, `not an error of ours: ${String(error)}`)
          }
        }
      }),
      { numRuns: fuzzRuns(3000) },
    )
  })

  it('are refused when cut off', () => {
    for (const row of rows) {
      const bytes = valueOf(row)
      const decode = row.key.length === 16 ? decodeAcl : decodeDirectory
      for (let length = 0; length < bytes.length; length += 8 * (1 + Math.floor(bytes.length / 800))) {
        assert.throws(() => decode(bytes.subarray(0, length)), MalformedError)
      }
    }
  })
})
