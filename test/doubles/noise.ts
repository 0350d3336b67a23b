/** Bytes that look random and are the same every time: xorshift32. */
export function noise(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length)
  let x = (seed * 2654435761 + 1) >>> 0 || 1
  for (let at = 0; at < length; at++) {
    x ^= x << 13
    x ^= x >>> 17
    x ^= x << 5
    bytes[at] = x >>> 24
  }
  return bytes
}

/** Content of a file, by `seed`: noise, text of few letters, runs, or a mixture; 0 to 150,000 bytes. */
export function block(seed: number): Uint8Array {
  const random = noise(seed, 150_000)
  const length = (((seed * 7919) % 150) + 1) * ((seed * 31) % 1000)
  const kinds = [
    () => random.subarray(0, length),
    () => random.subarray(0, length).map((byte) => 97 + (byte % 4)),
    () => random.subarray(0, length).map((_, at) => random[(at >> 6) % 997] ?? 0),
    () => random.subarray(0, length).map((byte, at) => (at & 0x1000 ? byte : (random[at % 300] ?? 0))),
  ]
  return (kinds[seed % kinds.length] ?? (() => random))()
}
