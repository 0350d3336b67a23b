import { InvalidInputError, LimitError } from '../errors.ts'
import { blake2b128, blake2b256 } from '../format/blake2b.ts'
import { CHUNK_ID_BYTES, FL_CHUNK_ID_BYTES, MAX_CHUNK_BYTES } from '../format/chunk.ts'
import { equalBytes, toHex } from '../util/bytes.ts'
import type { ChunkStore } from './chunk-store.ts'

/**
 * The way in for a chunk of a stranger's: kept only when it hashes to its id. Durable when it resolves; false when it
 * was known.
 * @throws {InvalidInputError} when `bytes` do not hash to `id`. @throws {LimitError} when they are too many.
 */
export async function receiveChunk(chunks: ChunkStore, id: Uint8Array, bytes: Uint8Array): Promise<boolean> {
  if (bytes.length > MAX_CHUNK_BYTES) throw new LimitError('chunk', MAX_CHUNK_BYTES, 'bytes')
  const actual = digestAs(id, bytes)
  if (!equalBytes(actual, id))
    throw new InvalidInputError(`the chunk hashes to ${toHex(actual)}, not to ${toHex(id)}`)
  const isNew = chunks.info(id) === undefined
  await chunks.write([{ id, bytes }])
  return isNew
}

/** The BLAKE2b of `bytes` of an id's length. @throws {InvalidInputError} for an id of no such length. */
export function digestAs(id: Uint8Array, bytes: Uint8Array): Uint8Array {
  if (id.length === CHUNK_ID_BYTES) return blake2b128(bytes)
  if (id.length === FL_CHUNK_ID_BYTES) return blake2b256(bytes)
  throw new InvalidInputError(`a chunk id has 16 or 32 bytes, not ${id.length}`)
}
