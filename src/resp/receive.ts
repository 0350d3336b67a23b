import { CorruptError } from '../errors.ts'
import { blake2b128, blake2b256 } from '../format/blake2b.ts'
import { CHUNK_ID_BYTES } from '../format/chunk.ts'
import type { ChunkStore } from '../store/chunk-store.ts'
import { equalBytes, toHex } from '../util/bytes.ts'

export async function receiveChunk(chunks: ChunkStore, id: Uint8Array, bytes: Uint8Array): Promise<boolean> {
  const actual = id.length === CHUNK_ID_BYTES ? blake2b128(bytes) : blake2b256(bytes)
  if (!equalBytes(actual, id)) throw new CorruptError(toHex(id), `the value hashes to ${toHex(actual)}`)
  const isNew = chunks.info(id) === undefined
  await chunks.write([{ id, bytes }])
  return isNew
}
