import { HubError, LimitError, MalformedError } from '../errors.ts'
import { parseTarHeader, TAR_BLOCK_BYTES, tarPadding } from '../format/tar.ts'
import type { TarHeader, TarKind } from '../format/tar.ts'
import { concat, EMPTY, toLatin1 } from '../util/bytes.ts'
import { show } from './entry-name.ts'
import type { IngestLimits } from './ingest-limits.ts'
import { paxNumber, PaxState } from './pax.ts'
import {
  GNU_EXTENSION_PAIRS,
  GNU_HEADER_PAIRS,
  gnuRealSize,
  readGnuPairs,
  readPaxPairs,
  SegmentList,
  SparseMapText,
} from './sparse.ts'
import type { Segment } from './sparse.ts'

/** A member of an archive as its headers say. Byte arrays are views: valid until the next step of the reader. */
export interface TarMember {
  readonly kind: TarKind
  /** As it stands there: not normalised. */
  readonly path: Uint8Array
  /** Of links and hard links. */
  readonly linkTarget: Uint8Array
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly userName: Uint8Array
  readonly groupName: Uint8Array
  /** Whole seconds; may be negative. */
  readonly modifiedS: number
  /** Of a file, with its holes filled; 0 for everything else. */
  readonly sizeBytes: number
  readonly major: number
  readonly minor: number
}

/** A member, then, for a file, its content in pieces: bytes (views) and holes; then its end. */
export type TarEvent =
  | { readonly kind: 'member'; readonly member: TarMember }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array }
  | { readonly kind: 'hole'; readonly lengthBytes: number }
  | { readonly kind: 'end' }

export type TarLimits = Pick<
  IngestLimits,
  'maxPaxBytes' | 'maxPathBytes' | 'maxPlainBytes' | 'maxSparseSegments'
>

type Steps<T> = Generator<TarEvent | undefined, T>

const END = { kind: 'end' } as const
/** Extension headers before one member; more are a loop. */
const MAX_EXTENSIONS = 64
const MAX_ID = 0xffffffff

/**
 * Reads a tar stream as it comes: v7, ustar, GNU (long names, sparse files, base-256), pax (POSIX and GNU's sparse
 * formats 0.0, 0.1 and 1.0), as GNU tar understands them. What follows the end mark is passed over.
 */
export class TarReader {
  readonly #limits: TarLimits
  readonly #pax: PaxState
  readonly #steps: Steps<void>
  #input: Uint8Array = EMPTY
  #at = 0
  /** Bytes before `#input`. */
  #before = 0
  #isAtEnd = false
  #longPath: Uint8Array | undefined
  #longTarget: Uint8Array | undefined
  #extensions = 0
  #extensionBytes = 0

  constructor(limits: TarLimits) {
    this.#limits = limits
    this.#pax = new PaxState(limits.maxPaxBytes)
    this.#steps = this.#members()
  }

  /**
   * What can be told with these bytes more; to be read to its end before the next call.
   * @throws {MalformedError | LimitError} naming the member, or the place.
   */
  *push(bytes: Uint8Array): Generator<TarEvent> {
    this.#before += this.#input.length
    this.#input = bytes
    this.#at = 0
    for (;;) {
      const { value, done } = this.#steps.next()
      if (done === true || value === undefined) return
      yield value
    }
  }

  /** The stream has ended. @throws {MalformedError} before the end mark. */
  finish(): void {
    if (this.#isAtEnd) return
    const offset = this.#before + this.#input.length
    throw new MalformedError('tar', 'the tar archive is cut off: its end mark is missing', { offset })
  }

  *#members(): Steps<void> {
    for (;;) {
      const offset = this.#before + this.#at
      const block = yield* this.#take(TAR_BLOCK_BYTES)
      if (block[0] === 0 && block.every((byte) => byte === 0)) break
      const header = headerAt(block, offset)
      if (!(yield* this.#extension(header))) yield* this.#member(header, block, offset)
    }
    this.#isAtEnd = true
    for (;;) {
      this.#at = this.#input.length
      yield undefined
    }
  }

  /** Takes what only says something of a later member; false for a member. */
  *#extension(header: TarHeader): Steps<boolean> {
    switch (header.type) {
      case 'x':
      case 'X':
        this.#pax.addLocal(yield* this.#extensionBody(header))
        return true
      case 'g':
        this.#pax.addGlobal(yield* this.#extensionBody(header))
        return true
      case 'L':
        this.#longPath = untilNul(yield* this.#extensionBody(header))
        return true
      case 'K':
        this.#longTarget = untilNul(yield* this.#extensionBody(header))
        return true
      case 'V': // volume label
      case 'A': // Solaris ACL
      case 'I': // inode metadata of Solaris
        this.#countExtension(0)
        yield* this.#skip(header.sizeBytes + tarPadding(header.sizeBytes))
        return true
      default:
        return false
    }
  }

  *#extensionBody({ sizeBytes }: TarHeader): Steps<Uint8Array> {
    this.#countExtension(sizeBytes)
    const body = (yield* this.#take(sizeBytes)).slice()
    yield* this.#skip(tarPadding(sizeBytes))
    return body
  }

  #countExtension(bytes: number): void {
    this.#extensions++
    this.#extensionBytes += bytes
    const { maxPaxBytes } = this.#limits
    if (this.#extensionBytes > maxPaxBytes) {
      throw new LimitError('extension headers of a tar member', maxPaxBytes, 'bytes')
    }
    if (this.#extensions > MAX_EXTENSIONS) {
      throw new LimitError('extension headers of a tar member', MAX_EXTENSIONS, 'headers')
    }
  }

  *#member(header: TarHeader, block: Uint8Array, offset: number): Steps<void> {
    const path = this.#path(header).slice()
    try {
      const kind = kindOf(header, path)
      const storedBytes = kind === 'file' || header.type === 'D' ? this.#storedSize(header) : 0
      if (kind !== 'file') {
        const member = this.#describe(header, kind, path, 0)
        this.#endExtensions()
        yield { kind: 'member', member }
        yield* this.#skip(storedBytes + tarPadding(storedBytes))
      } else yield* this.#file(header, block, path, storedBytes)
    } catch (error) {
      throw namingMember(error, path, offset)
    }
  }

  *#file(header: TarHeader, block: Uint8Array, path: Uint8Array, storedBytes: number): Steps<void> {
    const isGnuSparse = header.type === 'S'
    const isPaxSparse = !isGnuSparse && !this.#pax.isEmpty && this.#sparseFormat() !== undefined
    let contentBytes = storedBytes
    let sizeBytes = storedBytes
    let segments: readonly Segment[] | undefined
    let member: TarMember
    if (isGnuSparse || isPaxSparse) {
      sizeBytes = this.#realSize(block, isGnuSparse)
      this.#checkSize(sizeBytes)
      member = ownCopy(this.#describe(header, 'file', path, sizeBytes))
      const list = new SegmentList(this.#limits.maxSparseSegments)
      contentBytes -= isGnuSparse ? yield* this.#gnuMap(block, list) : yield* this.#paxMap(list, storedBytes)
      list.check(sizeBytes, contentBytes)
      segments = list.segments
    } else {
      this.#checkSize(sizeBytes)
      member = this.#describe(header, 'file', path, sizeBytes)
    }
    this.#endExtensions()
    yield { kind: 'member', member }
    if (segments === undefined) yield* this.#bytes(contentBytes)
    else yield* this.#segments(segments, sizeBytes)
    yield* this.#skip(tarPadding(storedBytes))
    yield END
  }

  *#segments(segments: readonly Segment[], sizeBytes: number): Steps<void> {
    let at = 0
    for (const { offset, length } of segments) {
      if (offset > at) yield { kind: 'hole', lengthBytes: offset - at }
      yield* this.#bytes(length)
      at = offset + length
    }
    if (sizeBytes > at) yield { kind: 'hole', lengthBytes: sizeBytes - at }
  }

  /** Extension blocks are no part of the stored size. */
  *#gnuMap(header: Uint8Array, list: SegmentList): Steps<number> {
    let hasMore = readGnuPairs(header, GNU_HEADER_PAIRS, list)
    while (hasMore) hasMore = readGnuPairs(yield* this.#take(TAR_BLOCK_BYTES), GNU_EXTENSION_PAIRS, list)
    return 0
  }

  /** Bytes of the stored content that are its map. */
  *#paxMap(list: SegmentList, storedBytes: number): Steps<number> {
    if (this.#sparseFormat() !== '1') {
      readPaxPairs(this.#pax.records, list)
      return 0
    }
    const map = new SparseMapText(list)
    for (let taken = TAR_BLOCK_BYTES; taken <= storedBytes; taken += TAR_BLOCK_BYTES) {
      if (map.addBlock(yield* this.#take(TAR_BLOCK_BYTES))) return taken
    }
    throw new MalformedError('tar', 'not a tar archive: a sparse file: its map is cut off')
  }

  /** `0` (0.0 and 0.1) or `1`, of GNU's pax formats. */
  #sparseFormat(): string | undefined {
    const major = this.#pax.get('GNU.sparse.major')
    if (major !== undefined) return toLatin1(major)
    const isSparse = ['GNU.sparse.map', 'GNU.sparse.size'].some((key) => this.#pax.get(key) !== undefined)
    return isSparse ? '0' : undefined
  }

  #realSize(block: Uint8Array, isGnuSparse: boolean): number {
    if (isGnuSparse) return gnuRealSize(block)
    const size = this.#paxCount('GNU.sparse.realsize') ?? this.#paxCount('GNU.sparse.size')
    if (size === undefined) throw new MalformedError('tar', 'not a tar archive: a sparse file has no size')
    return size
  }

  #checkSize(sizeBytes: number): void {
    const { maxPlainBytes } = this.#limits
    if (sizeBytes > maxPlainBytes) throw new LimitError('plain size of an archive', maxPlainBytes, 'bytes')
  }

  #storedSize(header: TarHeader): number {
    return this.#paxCount('size') ?? header.sizeBytes
  }

  #path(header: TarHeader): Uint8Array {
    const inPax = this.#pax.isEmpty ? undefined : (this.#pax.get('GNU.sparse.name') ?? this.#pax.get('path'))
    const path = inPax ?? this.#longPath
    if (path !== undefined) return path
    return header.prefix.length === 0 ? header.name : concat([header.prefix, Buffer.from('/'), header.name])
  }

  #describe(header: TarHeader, kind: TarKind, path: Uint8Array, sizeBytes: number): TarMember {
    const linkTarget = this.#longTarget ?? header.linkName
    const { major, minor, mode, userName, groupName, modifiedS } = header
    const uid = checkId('user', this.#paxCount('uid') ?? header.uid)
    const gid = checkId('group', this.#paxCount('gid') ?? header.gid)
    const member = {
      kind,
      path,
      linkTarget,
      mode,
      uid,
      gid,
      userName,
      groupName,
      modifiedS,
      sizeBytes,
      major,
      minor,
    }
    if (this.#pax.isEmpty) return member
    const time = this.#pax.get('mtime')
    return {
      ...member,
      linkTarget: this.#pax.get('linkpath') ?? linkTarget,
      userName: this.#pax.get('uname') ?? userName,
      groupName: this.#pax.get('gname') ?? groupName,
      modifiedS: time === undefined ? modifiedS : paxNumber('mtime', time),
    }
  }

  #paxCount(key: string): number | undefined {
    const value = this.#pax.isEmpty ? undefined : this.#pax.get(key)
    if (value === undefined) return undefined
    const count = paxNumber(key, value)
    if (count < 0) throw new MalformedError('tar', `not a tar archive: the pax header ${key} is negative`)
    return count
  }

  #endExtensions(): void {
    this.#pax.endMember()
    this.#longPath = undefined
    this.#longTarget = undefined
    this.#extensions = 0
    this.#extensionBytes = 0
  }

  *#bytes(length: number): Steps<void> {
    for (let left = length; left > 0;) {
      const here = Math.min(left, this.#input.length - this.#at)
      if (here > 0) {
        const bytes = this.#input.subarray(this.#at, this.#at + here)
        this.#at += here
        left -= here
        yield { kind: 'bytes', bytes }
      } else yield undefined
    }
  }

  *#skip(length: number): Steps<void> {
    for (let left = length; left > 0;) {
      const here = Math.min(left, this.#input.length - this.#at)
      this.#at += here
      left -= here
      if (left > 0) yield undefined
    }
  }

  /** The next bytes as one array: a view where they lie together. */
  *#take(length: number): Steps<Uint8Array> {
    if (length <= this.#input.length - this.#at) {
      this.#at += length
      return this.#input.subarray(this.#at - length, this.#at)
    }
    const gathered = new Uint8Array(length)
    let filled = 0
    for (;;) {
      const part = this.#input.subarray(this.#at, this.#at + length - filled)
      gathered.set(part, filled)
      filled += part.length
      this.#at += part.length
      if (filled === length) return gathered
      yield undefined
    }
  }
}

function headerAt(block: Uint8Array, offset: number): TarHeader {
  try {
    return parseTarHeader(block)
  } catch (error) {
    if (!(error instanceof MalformedError)) throw error
    throw new MalformedError('tar', error.message, { cause: error, offset })
  }
}

const KINDS: Readonly<Record<string, TarKind>> = {
  '0': 'file',
  '7': 'file',
  S: 'file',
  '1': 'hardlink',
  '2': 'link',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  D: 'directory', // of an incremental dump: its content lists names
  '6': 'fifo',
}

/** Old writers mark a directory by a slash at the end alone. */
function kindOf({ type }: TarHeader, path: Uint8Array): TarKind {
  const kind = KINDS[type]
  if (kind === undefined) {
    throw new MalformedError('tar', `members of the type ${JSON.stringify(type)} are not taken`)
  }
  return kind === 'file' && path.at(-1) === 0x2f ? 'directory' : kind
}

function checkId(what: string, id: number): number {
  if (id > MAX_ID) throw new MalformedError('tar', `the ${what} id ${id} is over ${MAX_ID}`)
  return id
}

function untilNul(bytes: Uint8Array): Uint8Array {
  const end = bytes.indexOf(0)
  return end < 0 ? bytes : bytes.subarray(0, end)
}

/** Reading on moves the input that a member's fields are views of. */
function ownCopy(member: TarMember): TarMember {
  return {
    ...member,
    path: member.path.slice(),
    linkTarget: member.linkTarget.slice(),
    userName: member.userName.slice(),
    groupName: member.groupName.slice(),
  }
}

function namingMember(error: unknown, path: Uint8Array, offset: number): unknown {
  if (!(error instanceof MalformedError) || !(error instanceof HubError)) return error
  return new MalformedError('tar', `member ${show(path)}: ${error.message}`, { cause: error, offset })
}
