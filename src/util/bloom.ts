/** Bits for each key, and how many of them a key sets: one wrong answer in 120. */
const BITS_PER_KEY = 10
const HASHES = 7
const FIRST_CAPACITY = 4096

interface Layer {
  readonly words: Uint32Array
  readonly capacity: number
  count: number
}

/**
 * A set of digests that forgets which: `has` is never wrong when it says no. Keys are the first 16 bytes of a hash, so
 * they are not hashed again. Grows by layers, each twice as large.
 */
export class BloomFilter {
  #layers: Layer[] = []

  add(key: Uint8Array): void {
    let layer = this.#layers.at(-1)
    if (layer === undefined || layer.count >= layer.capacity) {
      const capacity = layer === undefined ? FIRST_CAPACITY : 2 * layer.capacity
      layer = { words: new Uint32Array(Math.ceil((capacity * BITS_PER_KEY) / 32)), capacity, count: 0 }
      this.#layers.push(layer)
    }
    const { words } = layer
    for (const bit of bitsOf(key, 32 * words.length))
      words[bit >>> 5] = (words[bit >>> 5] ?? 0) | (1 << (bit & 31))
    layer.count++
  }

  has(key: Uint8Array): boolean {
    return this.#layers.some(({ words }) =>
      bitsOf(key, 32 * words.length).every((bit) => ((words[bit >>> 5] ?? 0) & (1 << (bit & 31))) !== 0),
    )
  }

  clear(): void {
    this.#layers = []
  }
}

function bitsOf(key: Uint8Array, bits: number): number[] {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength)
  const [first, step] = [view.getUint32(0), (view.getUint32(4) | 1) >>> 0]
  return Array.from({ length: HASHES }, (_, at) => (first + at * step) % bits)
}
