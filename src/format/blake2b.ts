import { createRequire } from 'node:module'
import type * as HashWasm from 'hash-wasm'

/** Only this hash: all of the library costs each thread 20 ms at its start. */
const { createBLAKE2b } = createRequire(import.meta.url)(
  'hash-wasm/dist/blake2b.umd.min.js',
) as typeof HashWasm

/**
 * BLAKE2b (RFC 7693), unkeyed, by native digest length: a shorter digest is not a prefix of a longer one.
 * hash-wasm: 1,306 MB/s on 512 KiB where @noble/hashes does 60.
 */
const [state64, state128, state256] = await Promise.all([
  createBLAKE2b(64),
  createBLAKE2b(128),
  createBLAKE2b(256),
])

/** 8 bytes: ACL keys of flist v1. */
export function blake2b64(bytes: Uint8Array): Uint8Array {
  return state64.init().update(bytes).digest('binary')
}

/** 16 bytes: directory keys, decipher keys and chunk ids of flist v1. */
export function blake2b128(bytes: Uint8Array): Uint8Array {
  return state128.init().update(bytes).digest('binary')
}

/** 32 bytes: keys and chunk ids of `.fl`. */
export function blake2b256(bytes: Uint8Array): Uint8Array {
  return state256.init().update(bytes).digest('binary')
}

/** BLAKE2b-128 of bytes that come in parts; one hash at a time. */
export interface PartsHash {
  begin(): void
  add(bytes: Uint8Array): void
  end(): Uint8Array
}

export async function createPartsHash128(): Promise<PartsHash> {
  const state = await createBLAKE2b(128)
  return {
    begin: () => void state.init(),
    add: (bytes) => void state.update(bytes),
    end: () => state.digest('binary'),
  }
}
