import { LimitError, MalformedError } from '../errors.ts'
import { parseTarHeader, TAR_BLOCK_BYTES, tarPadding } from '../format/tar.ts'
import type { TarHeader } from '../format/tar.ts'
import { EMPTY } from '../util/bytes.ts'
import { show } from './entry-name.ts'
import type { IngestLimits } from './ingest-limits.ts'
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
import { kindOf, MemberExtensions, ownCopy } from './tar-member.ts'
import type { TarMember } from './tar-member.ts'

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

/**
 * Reads a tar stream as it comes: v7, ustar, GNU (long names, sparse files, base-256), pax (POSIX and GNU's sparse
 * formats 0.0, 0.1 and 1.0), as GNU tar understands them. What follows the end mark is passed over.
 */
export class TarReader {
  readonly #limits: TarLimits
  readonly #extensions: MemberExtensions
  readonly #steps: Steps<void>
  #input: Uint8Array = EMPTY
  #at = 0
  /** Bytes before `#input`, and with it; its own length is 0 once its owner has it back. */
  #before = 0
  #end = 0
  /** Where the last header began, or will. */
  #headerAt = 0
  #isAtEnd = false

  constructor(limits: TarLimits) {
    this.#limits = limits
    this.#extensions = new MemberExtensions(limits)
    this.#steps = this.#members()
  }

  /**
   * What can be told with these bytes more; to be read to its end before the next call.
   * @throws {MalformedError | LimitError} naming the member, or the place.
   */
  *push(bytes: Uint8Array): Generator<TarEvent> {
    this.#before = this.#end
    this.#end += bytes.length
    this.#input = bytes
    this.#at = 0
    for (;;) {
      const { value, done } = this.#steps.next()
      if (done === true || value === undefined) return
      yield value
    }
  }

  /**
   * The stream has ended. `needsEndMark`: without one it may be cut off, unless something else vouches for its length.
   * @throws {MalformedError} before the end mark.
   */
  finish({ needsEndMark = true }: { readonly needsEndMark?: boolean } = {}): void {
    const offset = this.#end
    if (this.#isAtEnd || (!needsEndMark && this.#headerAt === offset)) return
    throw malformedAt(offset, 'the tar archive is cut off: its end mark is missing')
  }

  *#members(): Steps<void> {
    for (;;) {
      const offset = this.#before + this.#at
      this.#headerAt = offset
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
  *#extension({ type, sizeBytes }: TarHeader): Steps<boolean> {
    switch (type) {
      case 'x':
      case 'X':
      case 'g':
      case 'L':
      case 'K':
        this.#extensions.expect(sizeBytes)
        this.#extensions.add(type, yield* this.#take(sizeBytes))
        yield* this.#skip(tarPadding(sizeBytes))
        return true
      case 'V': // volume label
      case 'A': // Solaris ACL
      case 'I': // inode metadata of Solaris
        this.#extensions.expect(0)
        yield* this.#skip(sizeBytes + tarPadding(sizeBytes))
        return true
      default:
        return false
    }
  }

  *#member(header: TarHeader, block: Uint8Array, offset: number): Steps<void> {
    const path = this.#extensions.path(header).slice()
    try {
      const kind = kindOf(header, path)
      const storedBytes = kind === 'file' || header.type === 'D' ? this.#extensions.storedBytes(header) : 0
      if (kind !== 'file') {
        const member = this.#extensions.describe(header, kind, path, 0)
        this.#extensions.end()
        yield { kind: 'member', member }
        yield* this.#skip(storedBytes + tarPadding(storedBytes))
      } else yield* this.#file(header, block, path, storedBytes)
    } catch (error) {
      throw namingMember(error, path, offset)
    }
  }

  *#file(header: TarHeader, block: Uint8Array, path: Uint8Array, storedBytes: number): Steps<void> {
    const isGnuSparse = header.type === 'S'
    const isPaxSparse = !isGnuSparse && this.#extensions.sparseFormat !== undefined
    let contentBytes = storedBytes
    let sizeBytes = storedBytes
    let segments: readonly Segment[] | undefined
    let member: TarMember
    if (isGnuSparse || isPaxSparse) {
      sizeBytes = isGnuSparse ? gnuRealSize(block) : this.#extensions.sparseBytes
      this.#checkSize(sizeBytes)
      member = ownCopy(this.#extensions.describe(header, 'file', path, sizeBytes))
      const list = new SegmentList(this.#limits.maxSparseSegments)
      contentBytes -= isGnuSparse ? yield* this.#gnuMap(block, list) : yield* this.#paxMap(list, storedBytes)
      list.check(sizeBytes, contentBytes)
      segments = list.segments
    } else {
      this.#checkSize(sizeBytes)
      member = this.#extensions.describe(header, 'file', path, sizeBytes)
    }
    this.#extensions.end()
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
    if (this.#extensions.sparseFormat !== '1') {
      readPaxPairs(this.#extensions.records, list)
      return 0
    }
    const map = new SparseMapText(list)
    for (let taken = TAR_BLOCK_BYTES; taken <= storedBytes; taken += TAR_BLOCK_BYTES) {
      if (map.addBlock(yield* this.#take(TAR_BLOCK_BYTES))) return taken
    }
    throw new MalformedError('tar', 'not a tar archive: a sparse file: its map is cut off')
  }

  #checkSize(sizeBytes: number): void {
    const { maxPlainBytes } = this.#limits
    if (sizeBytes > maxPlainBytes) throw new LimitError('plain size of an archive', maxPlainBytes, 'bytes')
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
    throw malformedAt(offset, error.message, error)
  }
}

function namingMember(error: unknown, path: Uint8Array, offset: number): unknown {
  if (!(error instanceof MalformedError)) return error
  return malformedAt(offset, `member ${show(path)}: ${error.message}`, error)
}

/** `offset` counts unpacked bytes: where to look in the archive once it is a plain tar. */
function malformedAt(offset: number, message: string, cause?: unknown): MalformedError {
  return new MalformedError('tar', `${message} (byte ${offset} of the tar stream)`, { cause, offset })
}
