import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import { LimitError, MalformedError } from '../../src/errors.ts'
import { packFlist, unpackFlist } from '../../src/flist/container.ts'
import { encodeTarHeader, TAR_END, tarPadding } from '../../src/format/tar.ts'
import { noise } from '../doubles/noise.ts'
import { temporaryFolder } from '../doubles/temporary-folder.ts'

const folder = temporaryFolder()
const database = noise(1, 9_000)

function member(name: string, content: Uint8Array): Buffer {
  const path = Buffer.from(name)
  const text = Buffer.from('root')
  const header = encodeTarHeader({
    path, kind: 'file', mode: 0o644, uid: 0, gid: 0, userName: text, groupName: text, sizeBytes: content.length, modifiedS: 1,
  }) // prettier-ignore
  return Buffer.concat([header, content, new Uint8Array(tarPadding(content.length))])
}

const packed = (bytes: Uint8Array) => packFlist(bytes.length, [bytes])

describe('packFlist', () => {
  it('says in its first bytes what the reference says', () => {
    assert.equal(Buffer.from(packed(database)).toString('hex', 0, 10), '1f8b0800000000000003')
  })

  it('packs a GNU archive of ./ and ./flistdb.sqlite3, of no time and nobody', () => {
    const tar = gunzipSync(packed(database))
    const text = (from: number, length: number) => tar.toString('latin1', from, from + length)
    assert.equal(text(0, 3), './\0')
    assert.equal(text(100, 8), '0040700\0')
    assert.equal(text(136, 12), '00000000000\0')
    assert.equal(text(257, 8), 'ustar  \0')
    assert.equal(text(512, 18), './flistdb.sqlite3\0')
    assert.equal(text(612, 8), '0100644\0')
    assert.deepEqual(tar.subarray(1024, 1024 + database.length), Buffer.from(database))
    assert.equal(tar.length % 512, 0)
  })

  it('is read by gzip and tar', (context) => {
    const file = join(folder.path, 'packed.gz')
    writeFileSync(file, packed(database))
    const gzip = spawnSync('gzip', ['-t', file])
    const tar = spawnSync('tar', ['-tzf', file])
    if (gzip.error !== undefined || tar.error !== undefined) return context.skip('no gzip or no tar here')
    assert.equal(gzip.status, 0, String(gzip.stderr))
    assert.equal(String(tar.stdout), './\n./flistdb.sqlite3\n')
    assert.equal(String(tar.stderr), '')
  })

  it('makes nothing that unpackFlist would not believe', () => {
    assert.throws(() => packed(Buffer.alloc(70 * 2 ** 20)), /50 to 1/)
  })

  it('is undone by unpackFlist', () => {
    assert.deepEqual(Buffer.from(unpackFlist(packed(database))), Buffer.from(database))
    assert.equal(unpackFlist(packed(new Uint8Array())).length, 0)
  })
})

describe('unpackFlist', () => {
  it('takes a bare archive, either name, other members and pax records', () => {
    const named = member('flistdb.sqlite3', database)
    const pax = member('PaxHeaders/flistdb.sqlite3', Buffer.from('20 atime=1234567890\n'))
    pax[156] = 'x'.charCodeAt(0)
    fixChecksum(pax)
    for (const tar of [
      Buffer.concat([named, TAR_END]),
      named,
      Buffer.concat([
        member('router.yaml', Buffer.from('pools: {}')),
        member('./flistdb.sqlite3', database),
        TAR_END,
      ]),
      Buffer.concat([pax, named, TAR_END]),
    ]) {
      assert.deepEqual(Buffer.from(unpackFlist(tar)), Buffer.from(database))
      assert.deepEqual(Buffer.from(unpackFlist(gzipSync(tar))), Buffer.from(database))
    }
  })

  const whole = packed(database)
  const refusals: Array<[what: string, bytes: Uint8Array, message: RegExp]> = [
    ['nothing', new Uint8Array(), /there is no flistdb.sqlite3/],
    ['text', Buffer.from('hello'.repeat(200)), /neither gzip nor tar/],
    ['gzip that is cut off', whole.subarray(0, 4_000), /gzip stream is broken or cut off/],
    ['gzip with a flipped bit', flipped(whole, 5_000), /gzip stream is broken/],
    ['an archive without it', member('other', database), /there is no flistdb.sqlite3/],
    ['an archive with it in a folder', member('x/flistdb.sqlite3', database), /there is no flistdb.sqlite3/],
    [
      'an archive with it twice',
      Buffer.concat([member('flistdb.sqlite3', database), member('./flistdb.sqlite3', database)]),
      /twice/,
    ],
    ['an archive that is cut off', member('flistdb.sqlite3', database).subarray(0, 4_000), /is cut off/],
    [
      'an archive that breaks',
      Buffer.concat([member('other', database), Buffer.alloc(600, 7)]),
      /archive is broken/,
    ],
  ]
  for (const [what, bytes, message] of refusals) {
    it(`refuses ${what}`, () => {
      assert.throws(
        () => unpackFlist(bytes),
        (error) => error instanceof MalformedError && message.test(error.message),
      )
    })
  }

  it('keeps to its limits', () => {
    const limits = { maxFileBytes: 10_000, maxDatabaseBytes: 8_000 }
    const isLimit = (error: unknown) => error instanceof LimitError
    assert.throws(() => unpackFlist(noise(1, 10_001), limits), isLimit)
    assert.throws(() => unpackFlist(packed(database), limits), isLimit)
    assert.throws(() => unpackFlist(gzipSync(Buffer.alloc(2_000_000)), limits), /the limit is/)
    const bomb = gzipSync(Buffer.alloc(70 * 2 ** 20))
    assert.throws(
      () => unpackFlist(bomb),
      (error) => isLimit(error) && /50 to 1/.test((error as Error).message),
    )
  })
})

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  const copy = Buffer.from(bytes)
  copy[at] = (copy[at] ?? 0) ^ 1
  return copy
}

function fixChecksum(block: Buffer): void {
  block.fill(0x20, 148, 156)
  const sum = block.subarray(0, 512).reduce((total, byte) => total + byte, 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1')
}
