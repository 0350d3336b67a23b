/** The index row of a chunk: where its payload is and how to know it again. FORMAT.md, space `chunk`. */
import { MalformedError } from '../errors.ts'
import { asBuffer, readU64be, u64be } from '../util/bytes.ts'

export interface ChunkRow {
  /** Key of the payload: insertion order. */
  readonly number: number
  readonly lengthBytes: number
  readonly crc32: number
  readonly sha256: Uint8Array
  readonly usedAtS: number
  /** Of the plain block, when our own encoder made the chunk. */
  readonly plainKey: Uint8Array | undefined
}

const VERSION = 1
const FIXED_BYTES = 1 + 8 + 4 + 4 + 4 + 32
const PLAIN_KEY_BYTES = 16

export function encodeChunkRow(row: ChunkRow): Uint8Array {
  const bytes = Buffer.allocUnsafe(FIXED_BYTES + (row.plainKey === undefined ? 0 : PLAIN_KEY_BYTES))
  bytes[0] = VERSION
  bytes.set(u64be(row.number), 1)
  bytes.writeUInt32BE(row.lengthBytes, 9)
  bytes.writeUInt32BE(row.crc32, 13)
  bytes.writeUInt32BE(row.usedAtS, 17)
  bytes.set(row.sha256, 21)
  if (row.plainKey !== undefined) bytes.set(row.plainKey, FIXED_BYTES)
  return bytes
}

/** Of a version up to this one, and whole. */
export function isChunkRow(bytes: Uint8Array): boolean {
  const isWhole = bytes.length === FIXED_BYTES || bytes.length === FIXED_BYTES + PLAIN_KEY_BYTES
  return isWhole && bytes[0] === VERSION
}

/** @throws {MalformedError} for bytes that are no row of a version up to this one. */
export function decodeChunkRow(bytes: Uint8Array): ChunkRow {
  if (!isChunkRow(bytes)) throw new MalformedError('chunk row', 'not the index row of a chunk')
  const row = asBuffer(bytes)
  return {
    number: readU64be(row, 1),
    lengthBytes: row.readUInt32BE(9),
    crc32: row.readUInt32BE(13),
    usedAtS: row.readUInt32BE(17),
    sha256: row.subarray(21, FIXED_BYTES),
    plainKey: row.length > FIXED_BYTES ? row.subarray(FIXED_BYTES) : undefined,
  }
}
