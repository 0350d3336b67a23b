import { MalformedError } from '../errors.ts'
import { asBuffer, concat } from '../util/bytes.ts'
import { KIB, MIB } from '../util/units.ts'
import { CHUNK_ID_BYTES, FL_CHUNK_ID_BYTES } from './chunk.ts'
import { decodeCbor, encodeCbor } from './dag-cbor.ts'
import { HASH_BYTES } from './operation.ts'
import { asInteger, isArray, RecordReader } from './record.ts'

/**
 * The messages of `/zhub/chunk/1.0.0` (SYNC.md): questions and refusals are dag-cbor, a chunk is its bytes behind seven
 * bytes, so that nothing of it is copied or parsed. CBOR arrays begin with 0x80 and more, a chunk with 0x01.
 */

/** Largest message. Replication.md 2.11, as the next. */
export const MAX_CHUNK_MESSAGE_BYTES = MIB + 4 * KIB
export const MAX_HAVE_IDS = 2048
export const MAX_GET_IDS = 64

/** How a chunk is named: by its native id, or, for a part of a flist, by its SHA-256. */
export type ChunkNaming = 'chunk' | 'part'

export type ChunkMessage =
  | {
      readonly type: 'have'
      readonly number: number
      readonly naming: ChunkNaming
      readonly ids: readonly Uint8Array[]
    }
  /** A bit for each id of the question, the first in the highest bit of the first byte. */
  | { readonly type: 'held'; readonly number: number; readonly bits: Uint8Array }
  | {
      readonly type: 'get'
      readonly number: number
      readonly naming: ChunkNaming
      readonly ids: readonly Uint8Array[]
    }
  /** The answer to one id of a `get`; none, when the peer does not have it. */
  | {
      readonly type: 'chunk'
      readonly number: number
      readonly index: number
      readonly bytes: Uint8Array | undefined
    }
  /** None of a `get` is answered: too much was asked at once. */
  | { readonly type: 'busy'; readonly number: number; readonly retryMs: number }
  /** The answer to one id of a `get`: another was just promised it, and can be asked soon. */
  | { readonly type: 'elsewhere'; readonly number: number; readonly index: number }

const FORMAT = 'chunk message'
const [HAVE, HELD, GET, MISS, BUSY, ELSEWHERE] = [0, 1, 2, 3, 4, 5]
const MAX_RETRY_MS = 2 ** 31 - 1
const CHUNK = 0x01
const HEADER_BYTES = 7
const MAX_NUMBER = 2 ** 32 - 1

/** A chunk goes out as two pieces, its header and its own bytes. */
export function encodeChunkMessage(message: ChunkMessage): readonly Uint8Array[] {
  const { number } = message
  switch (message.type) {
    case 'have':
    case 'get':
      return [
        encodeCbor([
          message.type === 'have' ? HAVE : GET,
          number,
          { of: message.naming, len: message.ids[0]?.length ?? CHUNK_ID_BYTES, ids: concat(message.ids) },
        ]),
      ]
    case 'held':
      return [encodeCbor([HELD, number, { bits: message.bits }])]
    case 'busy':
      return [encodeCbor([BUSY, number, { retry: message.retryMs }])]
    case 'elsewhere':
      return [encodeCbor([ELSEWHERE, number, { idx: message.index }])]
    case 'chunk':
      if (message.bytes === undefined) return [encodeCbor([MISS, number, { idx: message.index }])]
      return [chunkHeader(number, message.index), message.bytes]
  }
}

function chunkHeader(number: number, index: number): Uint8Array {
  const header = Buffer.allocUnsafe(HEADER_BYTES)
  header[0] = CHUNK
  header.writeUInt32BE(number, 1)
  header.writeUInt16BE(index, 5)
  return header
}

/** A chunk's bytes share the message's memory. @throws {MalformedError | LimitError} for what is no message. */
export function decodeChunkMessage(bytes: Uint8Array): ChunkMessage {
  if (bytes[0] === CHUNK) return decodeChunk(asBuffer(bytes))
  const message = decodeCbor(bytes, { format: FORMAT, maxBytes: MAX_CHUNK_MESSAGE_BYTES })
  const wrong = () => new MalformedError(FORMAT, 'it is no message of this protocol')
  if (!isArray(message) || message.length !== 3) throw wrong()
  const type = asInteger(message[0], HAVE, ELSEWHERE, wrong)
  const number = asInteger(message[1], 0, MAX_NUMBER, wrong)
  const fields = new RecordReader(message[2] ?? null, FORMAT)
  const decoded = decodeFields(type, number, fields)
  fields.end()
  return decoded
}

function decodeFields(type: number, number: number, fields: RecordReader): ChunkMessage {
  switch (type) {
    case HAVE:
      return { type: 'have', number, naming: naming(fields), ids: ids(fields, MAX_HAVE_IDS) }
    case GET:
      return { type: 'get', number, naming: naming(fields), ids: ids(fields, MAX_GET_IDS) }
    case HELD: {
      const bits = fields.value('bits')
      if (!(bits instanceof Uint8Array) || bits.length > MAX_HAVE_IDS / 8)
        throw fields.fail('bits are too many')
      return { type: 'held', number, bits }
    }
    case BUSY:
      return { type: 'busy', number, retryMs: fields.integer('retry', 0, MAX_RETRY_MS) }
    default: {
      const index = fields.integer('idx', 0, MAX_GET_IDS - 1)
      return type === ELSEWHERE
        ? { type: 'elsewhere', number, index }
        : { type: 'chunk', number, index, bytes: undefined }
    }
  }
}

function decodeChunk(message: Buffer): ChunkMessage {
  if (message.length <= HEADER_BYTES || message.length > MAX_CHUNK_MESSAGE_BYTES) {
    throw new MalformedError(FORMAT, 'a chunk message has a chunk in it')
  }
  return {
    type: 'chunk',
    number: message.readUInt32BE(1),
    index: message.readUInt16BE(5),
    bytes: message.subarray(HEADER_BYTES),
  }
}

function naming(fields: RecordReader): ChunkNaming {
  return fields.word('of', ['chunk', 'part'])
}

function ids(fields: RecordReader, max: number): Uint8Array[] {
  const length = fields.integer('len', CHUNK_ID_BYTES, FL_CHUNK_ID_BYTES)
  const all = fields.value('ids')
  const isWhole =
    [CHUNK_ID_BYTES, HASH_BYTES].includes(length) && all instanceof Uint8Array && all.length % length === 0
  if (!isWhole || all.length === 0 || all.length / length > max) throw fields.fail('ids are no list of ids')
  return Array.from({ length: all.length / length }, (_, at) => all.subarray(at * length, (at + 1) * length))
}

/** One bit for each answer, as `held` carries them. */
export function packBits(answers: readonly boolean[]): Uint8Array {
  const bits = new Uint8Array(Math.ceil(answers.length / 8))
  answers.forEach((answer, at) => {
    if (answer) bits[at >> 3] = (bits[at >> 3] ?? 0) | (0x80 >> (at & 7))
  })
  return bits
}

/** @throws {MalformedError} when there are not as many bits as `count` needs. */
export function unpackBits(bits: Uint8Array, count: number): boolean[] {
  if (bits.length !== Math.ceil(count / 8)) throw new MalformedError(FORMAT, 'bits do not fit the question')
  return Array.from({ length: count }, (_, at) => ((bits[at >> 3] ?? 0) & (0x80 >> (at & 7))) !== 0)
}
