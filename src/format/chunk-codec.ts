import { CorruptError, MalformedError } from '../errors.ts'
import { equalBytes, toHex } from '../util/bytes.ts'
import { blake2b128 } from './blake2b.ts'
import { BLOCK_BYTES, CHUNK_ID_BYTES, MAX_CHUNK_BYTES } from './chunk.ts'
import {
  createCodecMemory,
  instantiateCodec,
  maxStoredBytes,
  SPARE_BYTES,
  TABLE_BYTES,
} from './codec-module.ts'
import type { CodecFunctions } from './codec-module.ts'

export interface EncodedChunk {
  /** Storage key: BLAKE2b-128 of `stored`. */
  readonly id: Uint8Array
  /** Decipher key: BLAKE2b-128 of the plain block. */
  readonly key: Uint8Array
  readonly stored: Uint8Array
}

/**
 * Plain blocks ⇄ stored chunks of flist v1 (flist-v1.md §8): XXTEA(snappy(plain), BLAKE2b-128(plain)).
 * Equal blocks give equal chunks on every node of a release. Results are the caller's own memory.
 */
export interface ChunkCodec {
  /** @throws {RangeError} over BLOCK_BYTES: the caller cuts files into blocks. */
  encode(plain: Uint8Array): EncodedChunk

  /**
   * Hostile bytes are expected: nothing is allocated by what they declare before that is checked.
   * @throws {MalformedError} when `stored` does not decode, or declares more than `maxPlainBytes`.
   * @throws {CorruptError} when it decodes to something that `key` is not the hash of.
   */
  decode(stored: Uint8Array, key: Uint8Array, maxPlainBytes?: number): Uint8Array
}

/** One codec for one thread: about 1.6 MiB of memory, growing only for a `maxPlainBytes` over BLOCK_BYTES. */
export async function createChunkCodec(): Promise<ChunkCodec> {
  const memory = createCodecMemory(OUTPUT_FROM + MAX_CHUNK_BYTES, MAX_MEMORY_BYTES)
  return new WasmChunkCodec(memory, await instantiateCodec(memory))
}

// The memory: key, snappy's table, input, output.
const KEY_AT = 0
const TABLE_AT = 1024
const INPUT_AT = TABLE_AT + TABLE_BYTES
const OUTPUT_FROM = INPUT_AT + BLOCK_BYTES
/** Ours: far over any block size in use (512 KiB; by configuration up to 4 MiB, security.md row 4). */
const MAX_MEMORY_BYTES = 256 * 1024 * 1024
const GROW_BYTES = 65536

class WasmChunkCodec implements ChunkCodec {
  readonly #memory: WebAssembly.Memory
  readonly #functions: CodecFunctions
  #bytes: Uint8Array

  constructor(memory: WebAssembly.Memory, functions: CodecFunctions) {
    this.#memory = memory
    this.#functions = functions
    this.#bytes = new Uint8Array(memory.buffer)
  }

  encode(plain: Uint8Array): EncodedChunk {
    if (plain.length > BLOCK_BYTES) throw new RangeError(`a block of ${plain.length} bytes`)
    const key = blake2b128(plain)
    const output = this.#layOut(plain.length, maxStoredBytes(plain.length))
    this.#bytes.set(plain, INPUT_AT)
    this.#bytes.set(key, KEY_AT)

    const { snappyCompress, xxteaPad, xxteaEncrypt } = this.#functions
    const words = xxteaPad(output, snappyCompress(INPUT_AT, plain.length, output, TABLE_AT))
    xxteaEncrypt(output, words, KEY_AT)
    const stored = this.#bytes.slice(output, output + 4 * words)
    return { id: blake2b128(stored), key, stored }
  }

  decode(stored: Uint8Array, key: Uint8Array, maxPlainBytes: number = BLOCK_BYTES): Uint8Array {
    if (key.length !== CHUNK_ID_BYTES) throw malformed(`a decipher key of ${key.length} bytes`)
    if (stored.length % 4 !== 0 || stored.length < 8)
      throw malformed(`${stored.length} bytes are no whole words`)
    if (stored.length > Math.max(MAX_CHUNK_BYTES, maxStoredBytes(maxPlainBytes))) {
      throw malformed(`${stored.length} bytes are more than a block of ${maxPlainBytes} can take`)
    }
    const snappyLength = this.#decipher(stored, key)
    const plainLength = this.#plainLength(snappyLength)
    if (plainLength.value > maxPlainBytes) {
      throw malformed(`it declares ${plainLength.value} plain bytes; the limit is ${maxPlainBytes}`)
    }

    const output = this.#layOut(stored.length, plainLength.value)
    const elements = INPUT_AT + plainLength.size
    const { snappyUncompress } = this.#functions
    if (!snappyUncompress(elements, snappyLength - plainLength.size, output, plainLength.value)) {
      throw malformed('bad snappy data, or the wrong key')
    }
    const plain = this.#bytes.slice(output, output + plainLength.value)
    const actual = blake2b128(plain)
    if (!equalBytes(actual, key)) {
      throw new CorruptError(
        toHex(key),
        `the plain block hashes to ${toHex(actual)}, not to its key ${toHex(key)}`,
      )
    }
    return plain
  }

  /** Decrypts at INPUT_AT and answers the length of the snappy block there. */
  #decipher(stored: Uint8Array, key: Uint8Array): number {
    this.#layOut(stored.length, 0)
    this.#bytes.set(stored, INPUT_AT)
    this.#bytes.set(key, KEY_AT)
    this.#functions.xxteaDecrypt(INPUT_AT, stored.length / 4, KEY_AT)

    const room = stored.length - 4
    const length = this.#readU32(INPUT_AT + room)
    if (length > room || length < room - 3)
      throw malformed('its length word does not fit, or the key is wrong')
    return length
  }

  /** The length preamble of the snappy block at INPUT_AT: a varint of at most 32 bits. */
  #plainLength(snappyLength: number): { value: number; size: number } {
    let value = 0
    for (let size = 0; size < 5 && size < snappyLength; size++) {
      const byte = this.#bytes[INPUT_AT + size] ?? 0
      value += (byte & 0x7f) * 2 ** (7 * size)
      if (byte < 0x80) return { value, size: size + 1 }
    }
    throw malformed('bad snappy length, or the wrong key')
  }

  /** Room for an input and an output; answers where the output starts. */
  #layOut(inputBytes: number, outputBytes: number): number {
    const output = (INPUT_AT + inputBytes + SPARE_BYTES + 15) & ~15
    const missing = output + outputBytes + SPARE_BYTES - this.#bytes.length
    if (missing > 0) {
      this.#memory.grow(Math.ceil(missing / GROW_BYTES))
      this.#bytes = new Uint8Array(this.#memory.buffer)
    }
    return output
  }

  #readU32(at: number): number {
    return new DataView(this.#bytes.buffer).getUint32(at, true)
  }
}

function malformed(reason: string): MalformedError {
  return new MalformedError('chunk', `not a chunk: ${reason}`)
}
