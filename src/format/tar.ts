import { MalformedError } from '../errors.ts'
import { concat, EMPTY, fromUtf8 } from '../util/bytes.ts'

/**
 * Tar headers, both ways, as raw bytes: what a 512-byte block says, and the blocks for an entry in GNU format.
 * Streams, pax records and what entries mean are the reader's part. POSIX.1-2017 pax, "ustar Interchange Format";
 * GNU tar manual, "Basic Tar Format".
 */
export const TAR_BLOCK_BYTES = 512

/** The two zero blocks at the end of an archive. */
export const TAR_END: Uint8Array = new Uint8Array(2 * TAR_BLOCK_BYTES)

/** Zero bytes that fill up the last block of `sizeBytes` bytes. */
export function tarPadding(sizeBytes: number): number {
  return (TAR_BLOCK_BYTES - (sizeBytes % TAR_BLOCK_BYTES)) % TAR_BLOCK_BYTES
}

// [offset, length] of the fields.
const NAME = [0, 100] as const
const MODE = [100, 8] as const
const UID = [108, 8] as const
const GID = [116, 8] as const
const SIZE = [124, 12] as const
const MODIFIED = [136, 12] as const
const CHECKSUM = [148, 8] as const
const TYPE = 156
const LINK_NAME = [157, 100] as const
const MAGIC = [257, 8] as const
const USER_NAME = [265, 32] as const
const GROUP_NAME = [297, 32] as const
const MAJOR = [329, 8] as const
const MINOR = [337, 8] as const
const PREFIX = [345, 155] as const

type Field = readonly [offset: number, length: number]

/** `ustar` has a prefix; `gnu` has other things in its place; `v7` has nothing after the link name. */
export type TarFormat = 'ustar' | 'gnu' | 'v7'

/** What a header block says. Byte arrays are views of the block. */
export interface TarHeader {
  readonly format: TarFormat
  readonly name: Uint8Array
  /** To go before `name` with a slash between; empty outside of `ustar`. */
  readonly prefix: Uint8Array
  /** All bits of the field; some writers put file type bits there. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly sizeBytes: number
  /** Unix seconds; may be negative. */
  readonly modifiedS: number
  /** The type flag as a character; NUL is `0`. */
  readonly type: string
  readonly linkName: Uint8Array
  readonly userName: Uint8Array
  readonly groupName: Uint8Array
  /** Of types 3 and 4; 0 otherwise. */
  readonly major: number
  readonly minor: number
}

/** True for a block of zeros, which ends an archive. */
export function isZeroBlock(block: Uint8Array): boolean {
  return block.every((byte) => byte === 0)
}

/** @throws {MalformedError} when the checksum does not fit, or a number is none. */
export function parseTarHeader(block: Uint8Array): TarHeader {
  if (block.length !== TAR_BLOCK_BYTES) throw malformed(`a header of ${block.length} bytes`)
  checkSum(block)
  const format = formatOf(block)
  const type = String.fromCharCode(block[TYPE] || 0x30)
  const isDevice = type === '3' || type === '4'
  const isV7 = format === 'v7'
  return {
    format,
    name: tarText(block, NAME),
    prefix: format === 'ustar' ? tarText(block, PREFIX) : EMPTY,
    mode: count('mode', block, MODE),
    uid: count('user id', block, UID),
    gid: count('group id', block, GID),
    sizeBytes: count('size', block, SIZE),
    modifiedS: tarNumber(block, MODIFIED),
    type,
    linkName: tarText(block, LINK_NAME),
    userName: isV7 ? EMPTY : tarText(block, USER_NAME),
    groupName: isV7 ? EMPTY : tarText(block, GROUP_NAME),
    major: isDevice ? count('device number', block, MAJOR) : 0,
    minor: isDevice ? count('device number', block, MINOR) : 0,
  }
}

/** Both sums are in use: POSIX adds unsigned bytes, some old tars signed ones. */
function checkSum(block: Uint8Array): void {
  const expected = tarNumber(block, CHECKSUM)
  const unsigned = sumOf(block)
  if (expected !== unsigned && expected !== unsigned - 256 * highBytes(block)) {
    throw malformed('the checksum of a header does not fit')
  }
}

/** Of unsigned bytes, with spaces for the field of the sum itself. */
function sumOf(block: Uint8Array): number {
  const [from, length] = CHECKSUM
  let sum = 0x20 * length
  for (let at = 0; at < from; at++) sum += block[at] ?? 0
  for (let at = from + length; at < TAR_BLOCK_BYTES; at++) sum += block[at] ?? 0
  return sum
}

function highBytes(block: Uint8Array): number {
  const [from, length] = CHECKSUM
  return block.reduce((sum, byte, at) => sum + (at >= from && at < from + length ? 0 : byte >> 7), 0)
}

const USTAR = fromUtf8('ustar')

function formatOf(block: Uint8Array): TarFormat {
  for (const [at, byte] of USTAR.entries()) if (block[MAGIC[0] + at] !== byte) return 'v7'
  return block[MAGIC[0] + 5] === 0x20 ? 'gnu' : 'ustar'
}

function count(what: string, block: Uint8Array, field: Field): number {
  const value = tarNumber(block, field)
  if (value < 0) throw malformed(`a negative ${what}`)
  return value
}

/** The bytes of a field up to its NUL, if it has one. */
export function tarText(block: Uint8Array, [offset, length]: Field): Uint8Array {
  const field = block.subarray(offset, offset + length)
  const end = field.indexOf(0)
  return end < 0 ? field : field.subarray(0, end)
}

/**
 * A number field: octal digits between spaces and NULs (nothing is 0), or, with the first bit set, a big-endian
 * two's complement number (GNU, star).
 * @throws {MalformedError} when it is neither, or beyond ±2^53.
 */
export function tarNumber(block: Uint8Array, [offset, length]: Field): number {
  const first = block[offset] ?? 0
  const value = first & 0x80 ? base256(block, offset, length) : octal(block, offset, offset + length)
  if (!Number.isSafeInteger(value)) throw malformed('a number in a header is over 2^53')
  return value
}

function octal(block: Uint8Array, start: number, end: number): number {
  let at = start
  while (at < end && isBlank(block[at])) at++
  let value = 0
  for (; at < end && !isBlank(block[at]); at++) {
    const digit = (block[at] ?? 0) - 0x30
    if (digit < 0 || digit > 7) throw malformed('a number in a header is not octal')
    value = value * 8 + digit
  }
  for (; at < end; at++) if (!isBlank(block[at])) throw malformed('a number in a header is not octal')
  return value
}

function isBlank(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0
}

function base256(block: Uint8Array, offset: number, length: number): number {
  const first = block[offset] ?? 0
  let value = first & 0x40 ? (first & 0x3f) - 0x40 : first & 0x3f
  for (let at = offset + 1; at < offset + length; at++) value = value * 256 + (block[at] ?? 0)
  return value
}

export type TarKind = 'file' | 'hardlink' | 'link' | 'char' | 'block' | 'directory' | 'fifo'
const TYPE_OF: Readonly<Record<TarKind, string>> = {
  file: '0',
  hardlink: '1',
  link: '2',
  char: '3',
  block: '4',
  directory: '5',
  fifo: '6',
}

export interface TarEntry {
  /** Raw bytes, without a slash at the end; a directory gets its slash here, and an empty path is `.`. */
  readonly path: Uint8Array
  readonly kind: TarKind
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly userName: Uint8Array
  readonly groupName: Uint8Array
  /** Bytes of content that follow; 0 for everything but files. */
  readonly sizeBytes: number
  readonly modifiedS: number
  /** Of links and hard links. */
  readonly linkTarget?: Uint8Array
  /** Of devices. */
  readonly major?: number
  readonly minor?: number
}

/** The header of an entry, after GNU `K` and `L` records where its names are over 100 bytes. */
export function encodeTarHeader(entry: TarEntry): Uint8Array {
  const path = pathOf(entry)
  const linkTarget = entry.linkTarget ?? EMPTY
  const records = [...longName('K', linkTarget), ...longName('L', path)]
  const header = encodeBlock({ ...entry, path, linkTarget }, TYPE_OF[entry.kind])
  return records.length === 0 ? header : concat([...records, header])
}

function pathOf({ path, kind }: TarEntry): Uint8Array {
  const named = path.length === 0 ? fromUtf8('.') : path
  return kind === 'directory' ? concat([named, fromUtf8('/')]) : named
}

/** A record that carries a name too long for its field, NUL at the end. */
function longName(type: 'K' | 'L', name: Uint8Array): Uint8Array[] {
  if (name.length <= NAME[1]) return []
  const sizeBytes = name.length + 1
  const header = encodeBlock({ ...LONG_NAME, sizeBytes }, type)
  return [header, name, new Uint8Array(1 + tarPadding(sizeBytes))]
}

const LONG_NAME = {
  path: fromUtf8('././@LongLink'),
  kind: 'file',
  mode: 0o644,
  uid: 0,
  gid: 0,
  userName: fromUtf8('root'),
  groupName: fromUtf8('root'),
  modifiedS: 0,
} as const

function encodeBlock(entry: TarEntry, type: string): Uint8Array {
  const block = new Uint8Array(TAR_BLOCK_BYTES)
  putText(block, NAME, entry.path.subarray(0, NAME[1]))
  putNumber(block, MODE, entry.mode)
  putNumber(block, UID, entry.uid)
  putNumber(block, GID, entry.gid)
  putNumber(block, SIZE, entry.sizeBytes)
  putNumber(block, MODIFIED, entry.modifiedS)
  block[TYPE] = type.charCodeAt(0)
  putText(block, LINK_NAME, (entry.linkTarget ?? EMPTY).subarray(0, LINK_NAME[1]))
  putText(block, MAGIC, fromUtf8('ustar  \0'))
  putText(block, USER_NAME, ownerName(entry.userName))
  putText(block, GROUP_NAME, ownerName(entry.groupName))
  if (entry.kind === 'char' || entry.kind === 'block') {
    putNumber(block, MAJOR, entry.major ?? 0)
    putNumber(block, MINOR, entry.minor ?? 0)
  }
  const sum = sumOf(block).toString(8).padStart(6, '0')
  putText(block, CHECKSUM, fromUtf8(`${sum}\0 `))
  return block
}

/** A name that does not fit is left out: cut off it might be somebody else's. The number says who. */
function ownerName(name: Uint8Array): Uint8Array {
  return name.length < USER_NAME[1] ? name : EMPTY
}

function putText(block: Uint8Array, [offset]: Field, bytes: Uint8Array): void {
  block.set(bytes, offset)
}

/** Octal with a NUL at the end where it fits, else base-256. */
function putNumber(block: Uint8Array, field: Field, value: number): void {
  const [offset, length] = field
  const digits = value.toString(8)
  if (value >= 0 && digits.length < length) {
    putText(block, field, fromUtf8(digits.padStart(length - 1, '0')))
    return
  }
  let rest = value
  for (let at = offset + length - 1; at > offset; at--) {
    block[at] = ((rest % 256) + 256) % 256
    rest = Math.floor(rest / 256)
  }
  block[offset] = value < 0 ? 0xff : 0x80
}

function malformed(reason: string): MalformedError {
  return new MalformedError('tar', `not a tar archive: ${reason}`)
}
