/** Bytes and their spellings. */

export const EMPTY = new Uint8Array(0)

/** A `Buffer` over the same memory: no copy. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return bytes instanceof Buffer ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

export function toHex(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('hex')
}

/** Bytes of lower-case hex, or `undefined` when `text` is anything else. */
export function fromHex(text: string): Uint8Array | undefined {
  return /^(?:[0-9a-f]{2})*$/.test(text) ? Buffer.from(text, 'hex') : undefined
}

export function fromUtf8(text: string): Uint8Array {
  return Buffer.from(text, 'utf8')
}

/** Text of bytes; what is no UTF-8 becomes U+FFFD. */
export function toUtf8(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('utf8')
}

/** True when `bytes` is well-formed UTF-8. */
export function isUtf8(bytes: Uint8Array): boolean {
  try {
    strictUtf8.decode(bytes)
    return true
  } catch {
    return false
  }
}
const strictUtf8 = new TextDecoder('utf-8', { fatal: true })

export function concat(parts: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat(parts)
}

/** Byte-wise order: negative, zero, positive. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  return Buffer.compare(a, b)
}

export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0
}

/** A `Map` key that keeps every byte: one character a byte. */
export function toLatin1(bytes: Uint8Array): string {
  return asBuffer(bytes).toString('latin1')
}

/** What `toLatin1` was given. */
export function fromLatin1(text: string): Uint8Array {
  return Buffer.from(text, 'latin1')
}

/** Eight bytes, big-endian. `value` is a safe integer. */
export function u64be(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(8)
  bytes.writeUInt32BE(Math.floor(value / WORD), 0)
  bytes.writeUInt32BE(value % WORD, 4)
  return bytes
}

export function readU64be(bytes: Uint8Array, offset = 0): number {
  const words = asBuffer(bytes)
  return words.readUInt32BE(offset) * WORD + words.readUInt32BE(offset + 4)
}
const WORD = 2 ** 32
