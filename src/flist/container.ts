import { crc32, gunzipSync } from 'node:zlib'
import { LimitError, MalformedError } from '../errors.ts'
import { encodeTarHeader, parseTarHeader, TAR_BLOCK_BYTES, TAR_END, tarPadding } from '../format/tar.ts'
import type { TarEntry, TarHeader } from '../format/tar.ts'
import { asBuffer, concat, EMPTY, fromUtf8, toLatin1 } from '../util/bytes.ts'
import { MIB } from '../util/units.ts'
import { Deflate } from './deflate.ts'
import { FLIST_LIMITS } from './limits.ts'
import type { FlistLimits } from './limits.ts'

/** A flist file ⇄ the sqlite database in it: gzip(tar(flistdb.sqlite3)), flist-v1.md §1. */
const MEMBER = 'flistdb.sqlite3'

/** Plain bytes for one compressed byte, counted after the first 64 MiB. Keys of blocks do not shrink: real ones reach 10. */
const MAX_RATIO = 50
const RATIO_FREE_BYTES = 64 * MIB

/** Of its header and its trailer. */
const MIN_GZIP_BYTES = 18
/** A piece that is not full ends it. */
const SPARE_BYTES = 64

type ContainerLimits = Pick<FlistLimits, 'maxFileBytes' | 'maxDatabaseBytes'>

/**
 * The database in a flist: in gzip or, as zflist takes it too, in a bare tar; ustar, GNU or pax; other members are
 * passed over. The result may be a view of `bytes`.
 * @throws {MalformedError | LimitError}
 */
export function unpackFlist(bytes: Uint8Array, limits: ContainerLimits = FLIST_LIMITS): Uint8Array {
  if (bytes.length > limits.maxFileBytes) throw new LimitError('flist', limits.maxFileBytes, 'bytes')
  const tar = bytes[0] === 0x1f && bytes[1] === 0x8b ? gunzip(bytes, limits) : bytes
  const database = findDatabase(tar)
  if (database.length > limits.maxDatabaseBytes) throw databaseLimit(limits)
  return database
}

function gunzip(bytes: Uint8Array, limits: ContainerLimits): Uint8Array {
  // The tar around the database: its headers, padding and what else a stranger packed.
  const most = limits.maxDatabaseBytes + MIB
  const maxOutputLength = Math.min(most, mostPlainBytes(bytes))
  // In one piece if it is as long as it says: pieces would be copied together.
  const told = bytes.length < MIN_GZIP_BYTES ? 0 : asBuffer(bytes).readUInt32LE(bytes.length - 4)
  const chunkSize = Math.min(Math.max(told + SPARE_BYTES, MIB), maxOutputLength + SPARE_BYTES)
  try {
    return gunzipSync(bytes, { maxOutputLength, chunkSize })
  } catch (cause) {
    if (cause instanceof RangeError && maxOutputLength === most) throw databaseLimit(limits)
    if (cause instanceof RangeError) throw ratioLimit()
    throw malformed('the gzip stream is broken or cut off', { cause })
  }
}

function mostPlainBytes(compressed: Uint8Array): number {
  return Math.max(RATIO_FREE_BYTES, MAX_RATIO * compressed.length)
}

function ratioLimit(): LimitError {
  return new LimitError('compression of a flist', MAX_RATIO, 'to 1')
}

function databaseLimit(limits: ContainerLimits): LimitError {
  return new LimitError('database of a flist', limits.maxDatabaseBytes, 'bytes')
}

function findDatabase(tar: Uint8Array): Uint8Array {
  let found: Uint8Array | undefined
  for (let at = 0; at + TAR_BLOCK_BYTES <= tar.length;) {
    const block = tar.subarray(at, at + TAR_BLOCK_BYTES)
    if (block.every((byte) => byte === 0)) break
    const header = headerAt(block, at)
    const start = at + TAR_BLOCK_BYTES
    const end = start + header.sizeBytes
    if (isDatabase(header)) {
      if (end > tar.length) throw malformed(`${MEMBER} is cut off`, { offset: tar.length })
      if (found !== undefined) throw malformed(`it holds ${MEMBER} twice`, { offset: at }) // readers would differ
      found = tar.subarray(start, end)
    }
    at = end + tarPadding(header.sizeBytes)
  }
  if (found === undefined) throw malformed(`there is no ${MEMBER} in it`)
  return found
}

function headerAt(block: Uint8Array, offset: number): TarHeader {
  try {
    return parseTarHeader(block)
  } catch (cause) {
    const what = offset === 0 ? 'it is neither gzip nor tar' : 'its tar archive is broken'
    throw malformed(what, { cause, offset })
  }
}

function isDatabase({ type, name, prefix }: TarHeader): boolean {
  if (type !== '0' && type !== '7') return false
  return prefix.length === 0 && [MEMBER, `./${MEMBER}`].includes(toLatin1(name))
}

function malformed(reason: string, options: ErrorOptions & { offset?: number } = {}): MalformedError {
  return new MalformedError('flist', `not a flist: ${reason}`, options)
}

// Deflate, no name, time 0, no level told, Unix: what the reference writes.
const GZIP_HEADER = Uint8Array.of(0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3)

const OWNED_BY_ROOT = {
  uid: 0,
  gid: 0,
  userName: fromUtf8('root'),
  groupName: fromUtf8('root'),
  modifiedS: 0,
} as const

// libtar puts the file type into the mode field.
const FOLDER: TarEntry = { ...OWNED_BY_ROOT, path: EMPTY, kind: 'directory', mode: 0o40700, sizeBytes: 0 }
const DATABASE = { ...OWNED_BY_ROOT, path: fromUtf8(`./${MEMBER}`), kind: 'file', mode: 0o100644 } as const

/**
 * The flist of a database of this size, which comes in pieces: the same bytes on every Node version and processor, for
 * the encoder is our own.
 * @throws {LimitError} for a database that compresses so well that no reader would believe it.
 */
export function packFlist(sizeBytes: number, pieces: Iterable<Uint8Array>): Uint8Array {
  const deflate = new Deflate()
  let sum = 0
  let tarBytes = 0
  const add = (piece: Uint8Array) => {
    if (piece.length === 0) return // of nothing zlib forgets the sum so far
    sum = crc32(asBuffer(piece), sum)
    tarBytes += piece.length
    deflate.add(piece)
  }
  add(encodeTarHeader(FOLDER))
  add(encodeTarHeader({ ...DATABASE, sizeBytes }))
  for (const piece of pieces) add(piece)
  add(new Uint8Array(tarPadding(sizeBytes)))
  add(TAR_END)
  const trailer = Buffer.alloc(8)
  trailer.writeUInt32LE(sum, 0)
  trailer.writeUInt32LE(tarBytes % 2 ** 32, 4)
  const bytes = concat([GZIP_HEADER, ...deflate.finish(), trailer])
  if (tarBytes > mostPlainBytes(bytes)) throw ratioLimit()
  return bytes
}
