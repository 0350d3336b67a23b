import { toHex } from '../../src/util/bytes.ts'

/** A value as JSON in which bytes are hex, so that `Buffer` and `Uint8Array` compare equal. */
export function asText(value: unknown): string {
  return JSON.stringify(value, function (this: Record<string, unknown>, key, shown: unknown) {
    const raw = this[key]
    return raw instanceof Uint8Array ? toHex(raw) : shown
  })
}
