import type { Transform } from 'node:stream'
import * as zlib from 'node:zlib'
import { Decompress } from 'fzstd'
import { LimitError, MalformedError } from '../errors.ts'
import { createXxHash64 } from '../format/xxhash64.ts'
import { asBuffer, concat, EMPTY } from '../util/bytes.ts'
import { MIB } from '../util/units.ts'
import { STREAM_OPTIONS, throughStream } from './through-stream.ts'

/** RFC 8878: what every decoder should support. Larger windows are made by `zstd --long` and `--ultra`. */
const MAX_WINDOW_BYTES = 8 * MIB

/** Only newer Nodes have it. */
interface ZlibWithZstd {
  readonly createZstdDecompress?: (options: object) => Transform
}

/**
 * Plain bytes of zstd frames: by node:zlib where it can (from Node 22.15 on), else in JavaScript, many times slower.
 * Frames are taken apart here, for neither bounds windows, sees that one is cut off, and takes the next.
 */
export async function* unzstd(
  source: AsyncIterable<Uint8Array>,
  decode: FrameReader = hasNative() ? decodeByZlib : decodeInJavaScript,
): AsyncGenerator<Uint8Array> {
  const input = new ByteQueue(source)
  while (await input.has(1)) {
    const magic = asBuffer(await input.peek(4)).readUInt32LE(0)
    if ((magic & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
      const head = asBuffer(await input.take(8))
      await input.skip(head.readUInt32LE(4))
    } else if (magic === FRAME_MAGIC) {
      const header = parseFrameHeader(await input.peekUpTo(MAX_HEADER_BYTES))
      yield* decode(frameParts(input, header), header.hasChecksum)
    } else throw malformed('something else follows it')
  }
}

interface FramePart {
  readonly bytes: Uint8Array
  readonly isLast: boolean
}
type FrameReader = (frame: AsyncIterable<FramePart>, hasChecksum: boolean) => AsyncIterable<Uint8Array>

/** Header, then blocks, the last with the checksum. */
async function* frameParts(
  input: ByteQueue,
  { headerBytes, hasChecksum }: FrameHeader,
): AsyncGenerator<FramePart> {
  yield { bytes: await input.take(headerBytes), isLast: false }
  for (let isLast = false; !isLast;) {
    const block = await takeBlock(input)
    isLast = block.isLast
    const trailer = isLast && hasChecksum ? await input.take(CHECKSUM_BYTES) : EMPTY
    yield { bytes: concat([block.bytes, trailer]), isLast }
  }
}

function hasNative(): boolean {
  return (zlib as unknown as ZlibWithZstd).createZstdDecompress !== undefined
}

async function* decodeByZlib(frame: AsyncIterable<FramePart>): AsyncGenerator<Uint8Array> {
  const { createZstdDecompress } = zlib as unknown as ZlibWithZstd
  if (createZstdDecompress === undefined) throw new Error('this Node has no zstd')
  const stream = createZstdDecompress(STREAM_OPTIONS)
  yield* throughStream(bytesOf(frame), stream, explain)
}

async function* bytesOf(frame: AsyncIterable<FramePart>): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of frame) yield bytes
}

function explain(cause: NodeJS.ErrnoException): unknown {
  const code = cause.code ?? ''
  if (code === 'Z_BUF_ERROR') return malformed('it is cut off', { cause })
  if (code === 'ZSTD_error_checksum_wrong') return malformed(WRONG_CHECKSUM, { cause })
  return code.startsWith('ZSTD_error') ? malformed(`it is damaged: ${cause.message}`, { cause }) : cause
}

// RFC 8878, 3.1.1: frames of a header, blocks, and mostly a checksum.
const FRAME_MAGIC = 0xfd2fb528
const SKIPPABLE_MAGIC = 0x184d2a50
const MAX_HEADER_BYTES = 18
const MAX_BLOCK_BYTES = 128 * 1024
const CHECKSUM_BYTES = 4
const RUN = 1
const WRONG_CHECKSUM = 'it is damaged: its checksum does not fit'

/** fzstd does not check checksums. */
export async function* decodeInJavaScript(
  frame: AsyncIterable<FramePart>,
  hasChecksum: boolean,
): AsyncGenerator<Uint8Array> {
  const hash = hasChecksum ? await createXxHash64() : undefined
  const decoder = new FrameDecoder()
  for await (const { bytes, isLast } of frame) {
    for (const plain of decoder.push(bytes, isLast)) {
      hash?.update(plain)
      yield plain
    }
    if (isLast && hash !== undefined && !isChecksum(hash.digest(), bytes.subarray(-CHECKSUM_BYTES))) {
      throw malformed(WRONG_CHECKSUM)
    }
  }
}

async function takeBlock(input: ByteQueue): Promise<FramePart> {
  const head = asBuffer(await input.peek(3)).readUIntLE(0, 3)
  const size = head >>> 3
  if (size > MAX_BLOCK_BYTES) throw malformed('it is damaged: a block is too large')
  const isRun = ((head >>> 1) & 3) === RUN
  return { bytes: await input.take(3 + (isRun ? 1 : size)), isLast: (head & 1) === 1 }
}

class FrameDecoder {
  #output: Uint8Array[] = []
  // fzstd goes on in the memory that it hands out
  readonly #decoder = new Decompress((bytes) => this.#output.push(bytes.slice()))

  push(bytes: Uint8Array, isLast: boolean): Uint8Array[] {
    this.#output = []
    try {
      this.#decoder.push(bytes, isLast)
    } catch (cause) {
      throw malformed(`it is damaged: ${(cause as Error).message}`, { cause })
    }
    return this.#output.filter(({ length }) => length > 0)
  }
}

/** The lower half of XXH64, little-endian. */
function isChecksum(digest: bigint, trailer: Uint8Array): boolean {
  return Number(digest & 0xffffffffn) === asBuffer(trailer).readUInt32LE(0)
}

interface FrameHeader {
  readonly headerBytes: number
  readonly hasChecksum: boolean
}

function parseFrameHeader(start: Uint8Array): FrameHeader {
  const bytes = asBuffer(start)
  const descriptor = start[4] ?? 0
  const isSingleSegment = (descriptor & 0x20) !== 0
  const idBytes = [0, 1, 2, 4][descriptor & 3] ?? 0
  const sizeFlag = descriptor >> 6
  const sizeBytes = sizeFlag === 0 ? Number(isSingleSegment) : 2 ** sizeFlag
  const sizeAt = 5 + Number(!isSingleSegment) + idBytes
  const headerBytes = sizeAt + sizeBytes
  if (start.length < headerBytes) throw malformed('it is cut off')
  if (isSingleSegment) {
    if (readSize(bytes, sizeAt, sizeBytes) > MAX_WINDOW_BYTES) throw windowLimit()
  } else {
    const window = start[5] ?? 0
    const base = 2 ** (10 + (window >> 3))
    if (base + (base / 8) * (window & 7) > MAX_WINDOW_BYTES) throw windowLimit()
  }
  const hasDictionary = idBytes > 0 && start.subarray(sizeAt - idBytes, sizeAt).some((byte) => byte !== 0)
  if (hasDictionary) throw malformed('it needs a dictionary')
  return { headerBytes, hasChecksum: (descriptor & 4) !== 0 }
}

function readSize(bytes: Buffer, at: number, length: number): number {
  if (length === 8) return Number(bytes.readBigUInt64LE(at))
  return bytes.readUIntLE(at, length) + (length === 2 ? 256 : 0)
}

function windowLimit(): LimitError {
  return new LimitError('window of a zstd archive', MAX_WINDOW_BYTES, 'bytes')
}

function malformed(reason: string, options?: ErrorOptions): MalformedError {
  return new MalformedError('zstd', `not a zstd archive: ${reason}`, options)
}

/** Bytes of a source, so many at a time. */
class ByteQueue {
  readonly #pieces: AsyncIterator<Uint8Array>
  #piece: Uint8Array = EMPTY

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#pieces = source[Symbol.asyncIterator]()
  }

  /** Whether that many are left. */
  async has(length: number): Promise<boolean> {
    while (this.#piece.length < length) {
      const next = await this.#pieces.next()
      if (next.done === true) return false
      // A copy: the source takes its piece back.
      this.#piece = this.#piece.length === 0 ? next.value.slice() : concat([this.#piece, next.value])
    }
    return true
  }

  async peek(length: number): Promise<Uint8Array> {
    if (!(await this.has(length))) throw malformed('it is cut off')
    return this.#piece.subarray(0, length)
  }

  async peekUpTo(length: number): Promise<Uint8Array> {
    await this.has(length)
    return this.#piece.subarray(0, length)
  }

  async take(length: number): Promise<Uint8Array> {
    const bytes = await this.peek(length)
    this.#piece = this.#piece.subarray(length)
    return bytes
  }

  async skip(length: number): Promise<void> {
    let left = length
    while (left > this.#piece.length) {
      left -= this.#piece.length
      this.#piece = EMPTY
      await this.peek(1)
    }
    this.#piece = this.#piece.subarray(left)
  }
}
