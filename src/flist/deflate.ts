import { deflateSync } from 'fflate'

/** Raw deflate. */
export function deflate(bytes: Uint8Array): Uint8Array {
  return deflateSync(bytes, { level: 1 })
}
