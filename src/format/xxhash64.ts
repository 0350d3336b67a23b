import { createRequire } from 'node:module'
import type * as HashWasm from 'hash-wasm'

/** Only this hash of the library, as in blake2b.ts. */
const { createXXHash64 } = createRequire(import.meta.url)(
  'hash-wasm/dist/xxhash64.umd.min.js',
) as typeof HashWasm

/** XXH64 of seed 0, over many updates: checksums of zstd frames (RFC 8878, 3.1.1). */
export interface XxHash64 {
  update(bytes: Uint8Array): void
  digest(): bigint
}

export async function createXxHash64(): Promise<XxHash64> {
  const state = (await createXXHash64()).init()
  return {
    update: (bytes) => void state.update(bytes),
    digest: () => BigInt(`0x${state.digest('hex')}`),
  }
}
