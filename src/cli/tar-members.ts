/**
 * The members of a tar stream as a node makes it (GNU format: long names in L and K records, no pax, no holes, no hard
 * links). Whoever sends it is a stranger: every length is bounded, and every path is checked before it is given out.
 */
import { LimitError, MalformedError } from '../errors.ts'
import {
  isZeroBlock,
  parseTarHeader,
  TAR_BLOCK_BYTES,
  tarPadding,
  type TarHeader,
  type TarKind,
} from '../format/tar.ts'
import { concat, EMPTY, toLatin1 } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'

export interface TarMember {
  /** Relative, without `.`, `..` or empty parts; empty for the root itself. */
  readonly path: Uint8Array
  readonly kind: Exclude<TarKind, 'hardlink'>
  /** Permission bits, 0…07777. */
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly modifiedS: number
  readonly sizeBytes: number
  readonly linkTarget: Uint8Array
  readonly major: number
  readonly minor: number
  /** Of a file, once; what is not read is passed over. */
  readonly content: AsyncIterable<Uint8Array>
}

/** Linux: PATH_MAX; the node takes no longer ones. */
const MAX_NAME_BYTES = 4 * KIB

const KIND_OF: Readonly<Record<string, TarMember['kind']>> = {
  '0': 'file',
  '2': 'link',
  '3': 'char',
  '4': 'block',
  '5': 'directory',
  '6': 'fifo',
}

/** @throws {MalformedError} for anything but whole members up to the end of the archive. */
export async function* readMembers(source: AsyncIterable<Uint8Array>): AsyncGenerator<TarMember> {
  const input = new ByteReader(source)
  try {
    for (;;) {
      const member = await nextMember(input)
      if (member === undefined) return await input.drain()
      yield member
      await input.skip(member.content.leftBytes + tarPadding(member.sizeBytes))
    }
  } finally {
    await input.close()
  }
}

async function nextMember(input: ByteReader): Promise<(TarMember & { content: Content }) | undefined> {
  const long: { L?: Uint8Array; K?: Uint8Array } = {}
  for (;;) {
    const block = await input.take(TAR_BLOCK_BYTES)
    if (isZeroBlock(block)) return undefined
    const header = parseTarHeader(block)
    if (header.type !== 'L' && header.type !== 'K') return memberOf(header, long, input)
    long[header.type] = await longName(header, input)
  }
}

async function longName({ sizeBytes }: TarHeader, input: ByteReader): Promise<Uint8Array> {
  if (sizeBytes > MAX_NAME_BYTES + 1) throw new LimitError('name in a tar stream', MAX_NAME_BYTES, 'bytes')
  const name = await input.take(sizeBytes)
  await input.skip(tarPadding(sizeBytes))
  const end = name.indexOf(0)
  return end < 0 ? name : name.subarray(0, end)
}

function memberOf(
  header: TarHeader,
  long: { L?: Uint8Array; K?: Uint8Array },
  input: ByteReader,
): TarMember & { content: Content } {
  const kind = KIND_OF[header.type]
  if (kind === undefined) throw malformed(`a member of type ${JSON.stringify(header.type)}`)
  const linkTarget = kind === 'link' ? (long.K ?? header.linkName) : EMPTY
  if (kind === 'link' && linkTarget.length === 0) throw malformed('a link to nothing')
  if (kind !== 'file' && header.sizeBytes > 0) throw malformed(`a ${kind} with content`)
  const { mode, uid, gid, modifiedS, sizeBytes, major, minor } = header
  return {
    path: checkedPath(long.L ?? header.name),
    kind,
    mode: mode & 0o7777,
    ...{ uid, gid, modifiedS, sizeBytes, linkTarget, major, minor },
    content: new Content(input, sizeBytes),
  }
}

/** `./a/b/` is `a/b`. @throws {MalformedError} for a path that could lead anywhere else. */
function checkedPath(path: Uint8Array): Uint8Array {
  const text = toLatin1(path)
  const parts = text.replace(/\/$/, '').split('/')
  if (parts[0] === '.') parts.shift()
  if (parts.some((part) => part === '' || part === '.' || part === '..')) {
    throw malformed(`the path ${JSON.stringify(text)}`)
  }
  return Buffer.from(parts.join('/'), 'latin1')
}

class Content implements AsyncIterable<Uint8Array> {
  leftBytes: number
  readonly #input: ByteReader

  constructor(input: ByteReader, sizeBytes: number) {
    this.#input = input
    this.leftBytes = sizeBytes
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    while (this.leftBytes > 0) {
      const piece = await this.#input.some(this.leftBytes)
      this.leftBytes -= piece.length
      yield piece
    }
  }
}

/** Bytes of a stream by count; holds one piece of it at a time. */
class ByteReader {
  readonly #source: AsyncIterator<Uint8Array>
  #piece: Uint8Array = EMPTY

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]()
  }

  /** At least one byte and at most `most`. */
  async some(most: number): Promise<Uint8Array> {
    while (this.#piece.length === 0) {
      const next = await this.#source.next()
      if (next.done === true) throw malformed('the stream ends before the archive does')
      this.#piece = next.value
    }
    const taken = this.#piece.subarray(0, most)
    this.#piece = this.#piece.subarray(taken.length)
    return taken
  }

  async take(count: number): Promise<Uint8Array> {
    const parts: Uint8Array[] = []
    for (let left = count; left > 0;) {
      const part = await this.some(left)
      parts.push(part)
      left -= part.length
    }
    return parts.length === 1 ? (parts[0] ?? EMPTY) : concat(parts)
  }

  async skip(count: number): Promise<void> {
    for (let left = count; left > 0;) left -= (await this.some(left)).length
  }

  /** To the end of the stream: a sender that failed at the very end still says so. */
  async drain(): Promise<void> {
    while ((await this.#source.next()).done !== true);
  }

  async close(): Promise<void> {
    await this.#source.return?.()
  }
}

function malformed(reason: string): MalformedError {
  return new MalformedError('tar', `not a tar stream of a node: ${reason}`)
}
