import { createGunzip } from 'node:zlib'
import { MalformedError } from '../errors.ts'
import { concat, EMPTY, toLatin1 } from '../util/bytes.ts'
import { STREAM_OPTIONS, throughStream } from './through-stream.ts'
import { unzstd } from './zstd.ts'

/** Enough to know an archive by, and no more: a slow sender's is told as soon as it can be. */
const MAGIC_BYTES = 8

/** Formats that are recognised to be refused by name. */
const REFUSED: ReadonlyArray<readonly [name: string, magic: string]> = [
  ['xz', '\xfd7zXZ\0'],
  ['bzip2', 'BZh'],
  ['zip', 'PK\x03\x04'],
  ['zip', 'PK\x05\x06'],
  ['7z', '7z\xbc\xaf\x27\x1c'],
  ['rar', 'Rar!'],
  ['lzip', 'LZIP'],
  ['lz4', '\x04\x22\x4d\x18'],
  ['compress', '\x1f\x9d'],
  ['lzop', '\x89LZO'],
  ['cpio', '07070'],
  ['ar', '!<arch>'],
]

/**
 * The tar stream in an archive: gzip (of any number of members), zstd, or the tar itself; its first bytes decide.
 * The source is read to its end. Its pieces are free again
 * when the next one is asked for, and so are those that are yielded.
 * @throws {MalformedError} naming the format when it is another, when it is empty, cut off or damaged.
 */
export async function* decompress(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const pieces = source[Symbol.asyncIterator]()
  try {
    const start = await readStart(pieces)
    const all = startingWith(start, pieces)
    const magic = toLatin1(start.subarray(0, MAGIC_BYTES))
    if (start.length === 0) throw new MalformedError('archive', 'not an archive: it is empty')
    if (magic.startsWith('\x1f\x8b')) yield* gunzip(all)
    else if (isZstd(magic)) yield* unzstd(all)
    else {
      const refused = REFUSED.find(([, bytes]) => magic.startsWith(bytes))
      if (refused === undefined) return yield* all
      const message = `${refused[0]} archives are not taken: gzip, zstd and plain tar are`
      throw new MalformedError('archive', message, { offset: 0 })
    }
  } finally {
    // Not waited for: a refusal must not hang on a sender that somebody still waits for.
    pieces.return?.().catch(() => {})
  }
}

/** A frame, or one to be skipped. */
function isZstd(magic: string): boolean {
  return magic.startsWith('\x28\xb5\x2f\xfd') || /^[\x50-\x5f]\x2a\x4d\x18/.test(magic)
}

async function readStart(pieces: AsyncIterator<Uint8Array>): Promise<Uint8Array> {
  let start: Uint8Array = EMPTY
  while (start.length < MAGIC_BYTES) {
    const next = await pieces.next()
    if (next.done === true) break
    if (start.length === 0 && next.value.length >= MAGIC_BYTES) return next.value
    start = concat([start, next.value])
  }
  return start
}

async function* startingWith(
  start: Uint8Array,
  pieces: AsyncIterator<Uint8Array>,
): AsyncGenerator<Uint8Array> {
  yield start
  for (let next = await pieces.next(); next.done !== true; next = await pieces.next()) yield next.value
}

function gunzip(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  return throughStream(source, createGunzip(STREAM_OPTIONS), gzipError)
}

/** What zlib says, in words that help who packed the archive. */
function gzipError(cause: NodeJS.ErrnoException, isStarted: boolean): unknown {
  const malformed = (reason: string) => new MalformedError('gzip', `not a gzip archive: ${reason}`, { cause })
  if (cause.code === 'Z_BUF_ERROR') return malformed('it is cut off')
  if (cause.code !== 'Z_DATA_ERROR') return cause
  if (cause.message === 'incorrect data check') return malformed('it is damaged: its CRC-32 does not fit')
  if (cause.message === 'incorrect length check') return malformed('it is damaged: its length does not fit')
  if (cause.message === 'incorrect header check' && isStarted) return malformed('something else follows it')
  return malformed(`it is damaged: ${cause.message}`)
}
