import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { LimitError, MalformedError } from '../../src/errors.ts'
import { decompress } from '../../src/flist/decompress.ts'
import { decodeInJavaScript, unzstd } from '../../src/flist/zstd.ts'
import { inPieces } from '../doubles/ingest-bench.ts'
import { noise } from '../doubles/noise.ts'

const plain = Buffer.concat([noise(1, 300_000), Buffer.alloc(2_500_000, 'text '), noise(2, 70_001)])
const gzip = gzipSync(plain, { level: 1 })

type Unpack = (source: AsyncIterable<Uint8Array>) => AsyncIterable<Uint8Array>

async function unpack(archive: Uint8Array, pieceBytes = 65_536, by: Unpack = decompress): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const part of by(inPieces(archive, pieceBytes))) parts.push(Buffer.from(part))
  return Buffer.concat(parts)
}

function damaged(archive: Uint8Array, at: number): Buffer {
  const bytes = Buffer.from(archive)
  const index = at < 0 ? bytes.length + at : at
  bytes[index] = (bytes[index] ?? 0) ^ 0x55
  return bytes
}

describe('a gzip archive', () => {
  it('is unpacked whatever its pieces', async () => {
    for (const pieceBytes of [10_007, 524_288, gzip.length]) {
      assert.ok((await unpack(gzip, pieceBytes)).equals(plain), `pieces of ${pieceBytes}`)
    }
    assert.ok((await unpack(gzipSync('tiny'), 1)).equals(Buffer.from('tiny')))
  })

  it('may have many members, and zeros after them', async () => {
    const many = Buffer.concat([gzipSync('one '), gzipSync('two '), gzipSync(''), gzipSync('three')])
    for (const pieceBytes of [1, 7, many.length]) {
      assert.equal((await unpack(many, pieceBytes)).toString(), 'one two three')
      assert.equal(
        (await unpack(Buffer.concat([many, Buffer.alloc(3000)]), pieceBytes)).toString(),
        'one two three',
      )
    }
  })

  it('is read to its end, also when zlib has heard enough', async () => {
    let read = 0
    async function* counted() {
      for await (const piece of inPieces(Buffer.concat([gzipSync('x'), Buffer.alloc(100_000)]), 1000)) {
        read += piece.length
        yield piece
      }
    }
    for await (const _ of decompress(counted()));
    assert.equal(read, gzipSync('x').length + 100_000)
  })

  const wrong: ReadonlyArray<readonly [why: string, archive: Uint8Array, message: RegExp]> = [
    ['cut off', gzip.subarray(0, -3), /cut off/],
    ['cut off in the middle', gzip.subarray(0, gzip.length >> 1), /cut off/],
    ['cut off in its header', gzip.subarray(0, 5), /cut off/],
    ['damaged in its CRC', damaged(gzip, -6), /CRC-32 does not fit/],
    ['damaged in its length', damaged(gzip, -2), /length does not fit/],
    ['damaged inside', damaged(gzip, 200_000), /damaged/],
    ['followed by something else', Buffer.concat([gzip, noise(3, 50)]), /something else follows/],
  ]
  for (const [why, archive, message] of wrong) {
    it(`is refused when it is ${why}`, async () => {
      for (const pieceBytes of [4096, 1_000_000]) {
        await assert.rejects(unpack(archive, pieceBytes), (error) => {
          assert.ok(error instanceof MalformedError)
          assert.match(error.message, message)
          return error.format === 'gzip'
        })
      }
    })
  }

  it('passes on what its source fails with', async () => {
    const failure = new Error('gone')
    async function* source() {
      yield gzip.subarray(0, 100_000)
      throw failure
    }
    await assert.rejects(async () => {
      for await (const _ of decompress(source()));
    }, failure)
  })

  it('ends its source when the reader leaves', async () => {
    let hasEnded = false
    async function* source() {
      try {
        for (;;) yield* inPieces(gzip, 10_000)
      } finally {
        hasEnded = true
      }
    }
    for await (const _ of decompress(source())) break
    await new Promise((resolve) => setImmediate(resolve))
    assert.ok(hasEnded)
  })
})

function hasZstd(): string | false {
  try {
    execFileSync('zstd', ['--version'], { stdio: 'ignore' })
    return false
  } catch {
    return 'the program zstd is not here'
  }
}

function zstd(input: Uint8Array, ...options: string[]): Buffer {
  return execFileSync('zstd', ['-q', '-c', ...options], { input, maxBuffer: 1 << 26 })
}

describe('a zstd archive', { skip: hasZstd() }, () => {
  const ways: ReadonlyArray<readonly [name: string, Unpack]> = [
    ['decompress', decompress],
    ['JavaScript', (source) => unzstd(source, decodeInJavaScript)],
  ]
  for (const [name, by] of ways) {
    it(`is unpacked by ${name}, with checksums and without, of several frames`, async () => {
      const skippable = Buffer.from('502a4d1804000000aaaaaaaa', 'hex')
      const frames = [
        zstd(plain),
        zstd(plain, '--no-check', '-1'),
        zstd(Buffer.from('tiny')),
        zstd(Buffer.alloc(0)),
      ]
      const archive = Buffer.concat([skippable, ...frames])
      const expected = Buffer.concat([plain, plain, Buffer.from('tiny')])
      for (const pieceBytes of [1009, 524_288])
        assert.ok((await unpack(archive, pieceBytes, by)).equals(expected))
    })

    it(`is refused by ${name} when it is cut off, damaged or followed by something else`, async () => {
      const archive = zstd(plain)
      for (const length of [6, 1000, archive.length - 2]) {
        await assert.rejects(unpack(archive.subarray(0, length), 4096, by), /cut off/, `${length} bytes`)
      }
      await assert.rejects(unpack(damaged(archive, -1), 4096, by), /checksum does not fit/)
      await assert.rejects(unpack(damaged(archive, 20), 4096, by), MalformedError)
      await assert.rejects(unpack(Buffer.concat([archive, noise(3, 50)]), 4096, by), MalformedError)
    })

    it(`is refused by ${name} when it wants more memory than 8 MiB`, async () => {
      await assert.rejects(unpack(zstd(plain, '--long=27', '--no-content-size'), 65_536, by), LimitError)
    })
  }
})

describe('what is neither gzip nor zstd', () => {
  it('is passed on as it is', async () => {
    assert.ok((await unpack(plain, 100_000)).equals(plain))
    assert.equal((await unpack(Buffer.from('short'), 1)).toString(), 'short')
  })

  it('is refused when there is nothing', async () => {
    await assert.rejects(unpack(Buffer.alloc(0)), /it is empty/)
  })

  const named: ReadonlyArray<readonly [name: string, start: string]> = [
    ['xz', 'fd377a585a0000'],
    ['bzip2', '425a6839314159265359'],
    ['zip', '504b0304'],
    ['7z', '377abcaf271c'],
    ['lz4', '04224d18'],
  ]
  for (const [name, start] of named) {
    it(`is refused by name: ${name}`, async () => {
      const archive = Buffer.concat([Buffer.from(start, 'hex'), noise(5, 2000)])
      await assert.rejects(unpack(archive, 3), new RegExp(`^MalformedError: ${name} archives are not taken`))
    })
  }
})
