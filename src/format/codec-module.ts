import { readFile } from 'node:fs/promises'

/**
 * What wasm/chunk-codec.ts exports, by its own documentation. Arguments are addresses and lengths in bytes in the
 * memory of the instance; sources and targets have SPARE_BYTES of room behind them.
 */
export interface CodecFunctions {
  snappyCompress(source: number, length: number, target: number, table: number): number
  /** 0 is false: not a well-formed block of `expected` bytes. */
  snappyUncompress(source: number, length: number, target: number, expected: number): number
  xxteaPad(data: number, length: number): number
  xxteaEncrypt(data: number, words: number, key: number): void
  xxteaEncryptAll(jobs: number, count: number, lanes: number): void
  xxteaDecrypt(data: number, words: number, key: number): void
}

export const SPARE_BYTES = 16
/** Scratch of `snappyCompress`. */
export const TABLE_BYTES = 32768

const PAGE_BYTES = 65536
const compiled = readFile(new URL('./chunk-codec.wasm', import.meta.url)).then((bytes) =>
  WebAssembly.compile(bytes),
)
compiled.catch(() => {}) // whoever instantiates meets the failure

/** A shared memory that codec instances of several threads may work in; it is posted to a worker as it is. */
export function createCodecMemory(initialBytes: number, maximumBytes = initialBytes): WebAssembly.Memory {
  return new WebAssembly.Memory({
    initial: Math.ceil(initialBytes / PAGE_BYTES),
    maximum: Math.ceil(maximumBytes / PAGE_BYTES),
    shared: true,
  })
}

export async function instantiateCodec(memory: WebAssembly.Memory): Promise<CodecFunctions> {
  const { exports } = await WebAssembly.instantiate(await compiled, { env: { memory } })
  return exports as unknown as CodecFunctions
}

/** The most bytes that `plainBytes` take when encoded: snappy's worst case, padding and the length word. */
export function maxStoredBytes(plainBytes: number): number {
  const snappyBytes = 32 + plainBytes + Math.floor(plainBytes / 6)
  return 4 * (Math.ceil(snappyBytes / 4) + 1)
}
