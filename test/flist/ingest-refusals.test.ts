import assert from 'node:assert/strict'
import { Readable } from 'node:stream'
import { afterEach, describe, it } from 'node:test'
import { createGzip, gzipSync } from 'node:zlib'
import { DiskFullError, LimitError, MalformedError } from '../../src/errors.ts'
import { GIB, MIB } from '../../src/util/units.ts'
import { chunkIdsOf } from '../../src/store/chunk-list.ts'
import { HeldIds, IngestBench, inPieces } from '../doubles/ingest-bench.ts'
import { noise } from '../doubles/noise.ts'
import { member, octal, patched, pax, tarOf } from '../doubles/tar-bytes.ts'

const bench = new IngestBench()

afterEach(async () => {
  assert.deepEqual(await bench.left(), [])
})

function newPromise() {
  let resolve = () => {}
  const promise = new Promise<void>((done) => (resolve = done))
  return { promise, resolve }
}

function refused(archive: Uint8Array, message: RegExp, type: Function = MalformedError): Promise<void> {
  return assert.rejects(bench.take(archive), (error) => {
    assert.ok(error instanceof type, String(error))
    assert.match((error as Error).message, message)
    return true
  })
}

describe('an archive is refused, with the reason,', { timeout: 60_000 }, () => {
  it('when it is none', async () => {
    await refused(Buffer.from('hello, world'), /cut off|not a tar archive/)
    await refused(noise(1, 5000), /not a tar archive/)
    await refused(Buffer.alloc(0), /it is empty/)
    await refused(gzipSync('text in gzip'), /cut off/)
    await refused(gzipSync(noise(1, 5000)), /not a tar archive/)
    await refused(gzipSync(''), /cut off/)
    await refused(Buffer.from('PK\x03\x04 and so on'), /zip archives are not taken/)
  })

  it('when nothing is in it', async () => {
    await refused(tarOf(), /no members/)
    await refused(gzipSync(Buffer.alloc(10_240)), /no members/)
  })

  it('when it is cut off or damaged', async () => {
    const archive = tarOf(member({ path: 'a', content: noise(2, 100_000) }), member({ path: 'b' }))
    await refused(archive.subarray(0, 50_000), /cut off/)
    await refused(archive.subarray(0, -1024), /end mark is missing/)
    await refused(gzipSync(archive).subarray(0, -1), /cut off/)
    const changed = gzipSync(archive)
    changed[changed.length - 5] = (changed.at(-5) ?? 0) ^ 1
    await refused(changed, /CRC-32/)
  })

  it('with the place in the tar stream, however it came', async () => {
    const good = tarOf(member({ path: 'a', content: noise(2, 5 * MIB) }))
    const bad = Buffer.concat([good.subarray(0, -1024), noise(3, 1024)])
    const offset = 512 + 5 * MIB
    for (const archive of [bad, gzipSync(bad)])
      await refused(archive, new RegExp(`not a tar archive.* \\(byte ${offset} of the tar stream\\)$`))
    await refused(
      gzipSync(good.subarray(0, -1024)),
      new RegExp(`cut off.* \\(byte ${offset} of the tar stream`),
    )
  })

  it('as soon as the bytes are here that say so, also while the sender takes its time', async () => {
    const { promise: refusal, resolve: refusedNow } = newPromise()
    const bad = [noise(1, 1024), gzipSync(noise(1, 4096)), gzipSync(tarOf(member({ path: '../a' })))]
    for (const bytes of bad) {
      async function* slow() {
        yield bytes
        await refusal // never before the test is through
      }
      await assert.rejects(bench.ingest.run(slow(), { lease: new HeldIds() }), MalformedError)
    }
    refusedNow()
  })

  const names: ReadonlyArray<readonly [why: string, path: string, message: RegExp]> = [
    ['leads upwards', '../etc/passwd', /"\.\.\/etc\/passwd" is refused: its path leads upwards/],
    ['leads upwards on the way', 'a/../../b', /leads upwards/],
    ['ends upwards', 'a/..', /leads upwards/],
    ['has a name of 256 bytes', 'n'.repeat(256), /a name of 256 bytes; the limit is 255/],
    ['has a folder of 256 bytes', `${'n'.repeat(256)}/x`, /a name of 256 bytes/],
    ['is longer than 4096 bytes', 'abcdefg/'.repeat(520), /longer than 4096 bytes/],
    ['is deeper than 64 folders', 'd/'.repeat(65) + 'f', /more than 64 folders/],
  ]
  for (const [why, path, message] of names) {
    it(`when a path ${why}`, () => refused(tarOf(member({ path })), message))
  }

  it('when a path is empty or has a NUL', async () => {
    await refused(tarOf(patched(member({ path: 'x' }), { 0: '\0' })), /it has no name/)
    await refused(tarOf(pax([['path', 'a\0b']]), member({ path: 'x' })), /NUL/)
  })

  it('when a file stands where a directory is, and the other way round', async () => {
    const clash = /is a directory and something else in one archive/
    await refused(tarOf(member({ path: 'a/', kind: 'directory' }), member({ path: 'a' })), clash)
    await refused(tarOf(member({ path: 'a' }), member({ path: 'a/', kind: 'directory' })), clash)
    await refused(tarOf(member({ path: 'a' }), member({ path: 'a/b' })), clash)
    await refused(tarOf(member({ path: 'a/b' }), member({ path: 'a', kind: 'link', linkTarget: '/' })), clash)
    await refused(tarOf(member({ path: '.' })), /it is a file, and no directory/)
  })

  it('when a hard link leads to nothing, to what comes later, or to a directory', async () => {
    const link = (linkTarget: string) => member({ path: 'h', kind: 'hardlink', linkTarget })
    await refused(tarOf(link('nowhere')), /hard link "h" to "nowhere" is refused: there is no earlier member/)
    await refused(tarOf(link('a'), member({ path: 'a' })), /no earlier member/)
    await refused(tarOf(link('h')), /no earlier member/)
    await refused(tarOf(member({ path: 'd/x' }), link('d')), /that is a directory/)
    await refused(tarOf(member({ path: 'a' }), link('../a')), /leads nowhere/)
  })

  it('when a link has no target, or one that no filesystem holds', async () => {
    await refused(tarOf(member({ path: 'l', kind: 'link', linkTarget: '' })), /its target has 0 bytes/)
    await refused(tarOf(member({ path: 'l', kind: 'link', linkTarget: 't'.repeat(4096) })), /has 4096 bytes/)
    const longest = await bench.take(tarOf(member({ path: 'l', kind: 'link', linkTarget: 't'.repeat(4095) })))
    assert.equal(longest.counts.symlink, 1)
  })

  it('when an owner is no number of 32 bits', async () => {
    await refused(tarOf(member({ path: 'a', uid: 2 ** 32 })), /user id 4294967296 is over/)
    await refused(tarOf(pax([['gid', '-1']]), member({ path: 'a' })), /negative/)
  })

  it('and the next archive is taken as if nothing had been', async () => {
    await assert.rejects(bench.take(tarOf(member({ path: '..' }))))
    assert.equal((await bench.take(tarOf(member({ path: 'a', content: 'fine' })))).counts.regular, 1)
  })
})

/** Gigabytes that cost nothing to send. */
async function* gzipOf(
  ...parts: ReadonlyArray<readonly [piece: Uint8Array, times: number]>
): AsyncGenerator<Uint8Array> {
  function* pieces() {
    for (const [piece, times] of parts) for (let n = 0; n < times; n++) yield piece
  }
  yield* Readable.from(pieces()).pipe(createGzip({ level: 1 }))
}

function fileOf(sizeBytes: number): Buffer {
  return patched(member({ path: 'big' }), { 124: octal(sizeBytes) })
}

describe('limits', () => {
  function limited(archive: AsyncIterable<Uint8Array>, message: RegExp, by = bench): Promise<void> {
    return assert.rejects(by.ingest.run(archive, { lease: new HeldIds() }), (error) => {
      assert.ok(error instanceof LimitError, String(error))
      assert.match(error.message, message)
      return true
    })
  }

  it('stop a bomb of one letter at 200 to 1', () => {
    const bomb = gzipOf([fileOf(4 * GIB), 1], [Buffer.alloc(MIB, 'a'), 4096])
    return limited(bomb, /compression of an archive: the limit is 200 to 1/)
  })

  it('stop zeros that are no file at 200 to 1', () => {
    return limited(gzipOf([tarOf(member({ path: 'a' })), 1], [Buffer.alloc(MIB), 4096]), /200 to 1/)
  })

  it('let files of zeros through, up to the plain size', async () => {
    const zeros = gzipOf([fileOf(300 * MIB), 1], [Buffer.alloc(MIB), 300], [Buffer.alloc(1024), 1])
    const { counts, flist } = await bench.ingest.run(zeros, { lease: new HeldIds() })
    assert.deepEqual([counts.fullSize, chunkIdsOf(flist).length], [300 * MIB, 1])
    const small = new IngestBench({ limits: { maxPlainBytes: 100 * MIB } })
    const more = gzipOf([fileOf(99 * MIB), 1], [Buffer.alloc(MIB), 120])
    await limited(more, /plain size of an archive: the limit is 104857600 bytes/, small)
  })

  it('count holes as plain size', async () => {
    const hole = [
      pax([
        ['GNU.sparse.size', String(12 * GIB)],
        ['GNU.sparse.map', '0,1'],
      ]),
      member({ path: 'a', content: 'x' }),
    ]
    await limited(inPieces(tarOf(...hole, ...hole), 9999), /plain size/)
    await limited(
      inPieces(
        tarOf(
          pax([
            ['GNU.sparse.size', '9223372036854775807'],
            ['GNU.sparse.map', '0,1'],
          ]),
          member({ path: 'a', content: 'x' }),
        ),
        9999,
      ),
      /plain size/,
    )
  })

  it('count the blocks of hard links before they are made', async () => {
    const sparse = pax([
      ['GNU.sparse.size', String(12 * GIB)],
      ['GNU.sparse.map', '0,1'],
    ])
    const links = Array.from({ length: 500 }, (_, n) =>
      member({ path: `d/${n}`, kind: 'hardlink', linkTarget: 'a' }),
    )
    const archive = tarOf(sparse, member({ path: 'a', content: 'x' }), ...links)
    await limited(inPieces(archive, 9999), /directory "\/?d": the limit is 67108864 bytes/)
  })

  it('bound members, implied directories too, and the archive itself', async () => {
    const few = new IngestBench({ limits: { maxEntries: 10, maxArchiveBytes: 100_000 } })
    const files = Array.from({ length: 11 }, (_, n) => member({ path: `f${n}` }))
    await limited(inPieces(tarOf(...files), 999), /members of an archive: the limit is 10/, few)
    await limited(inPieces(tarOf(member({ path: 'a/b/c/d/e/f/g/h/i/j/k' })), 999), /members/, few)
    await limited(inPieces(noise(1, 100_001), 999), /archive: the limit is 100000 bytes/, few)
    assert.equal((await few.take(tarOf(...files.slice(0, 10)))).counts.regular, 10)
  })

  it('bound the time that an archive takes, and not that of its sender', async () => {
    const hasty = new IngestBench({ limits: { maxWorkMs: 1 } })
    const archive = tarOf(
      ...Array.from({ length: 2000 }, (_, n) => member({ path: `${n}`, content: noise(n, 3000) })),
    )
    await limited(inPieces(archive, 65_536), /time for an archive/, hasty)
  })
})

describe('a full disk', () => {
  it('is told as what it is, and the next archive is taken', async () => {
    bench.chunks.beforeWrite = () => Promise.reject(new DiskFullError('no room'))
    await refused(tarOf(member({ path: 'a', content: noise(9, 10_000) })), /no room/, DiskFullError)
    bench.chunks.beforeWrite = async () => {}
    assert.equal(
      (await bench.take(tarOf(member({ path: 'a', content: noise(9, 10_000) })))).counts.regular,
      1,
    )
  })
})
