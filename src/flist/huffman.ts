/** Length-limited Huffman codes as RFC 1951 has them: canonical, and sent least significant bit first. */
export interface HuffmanCode {
  /** Bits of each symbol; 0 for symbols that do not occur. */
  readonly lengths: Uint8Array
  /** The bits of each symbol, reversed: ready to be sent. */
  readonly codes: Uint16Array
}

/** The code for these frequencies, no symbol over `maxBits`. At least two symbols get a code: some decoders ask for it. */
export function huffmanCode(frequencies: Uint32Array, maxBits: number): HuffmanCode {
  const symbols = usedSymbols(frequencies)
  const perLength = lengthCounts(
    symbols.map((symbol) => frequencies[symbol] ?? 0),
    maxBits,
  )
  const lengths = new Uint8Array(frequencies.length)
  let next = symbols.length // the rarest, first in `symbols`, get the longest codes
  for (let bits = 1; bits <= maxBits; bits++) {
    for (let left = perLength[bits] ?? 0; left > 0; left--) lengths[symbols[--next] ?? 0] = bits
  }
  return { lengths, codes: canonicalCodes(lengths, maxBits) }
}

/** Symbols that occur, by frequency and then number; with the first ones of the alphabet if there are fewer than two. */
function usedSymbols(frequencies: Uint32Array): number[] {
  const used: number[] = []
  for (let symbol = 0; symbol < frequencies.length; symbol++) if (frequencies[symbol] !== 0) used.push(symbol)
  for (let symbol = 0; used.length < 2; symbol++) if (!used.includes(symbol)) used.push(symbol)
  return used.sort((a, b) => (frequencies[a] ?? 0) - (frequencies[b] ?? 0) || a - b)
}

/** How many symbols get each length, for ascending frequencies. */
function lengthCounts(weights: readonly number[], maxBits: number): number[] {
  const counts = new Array<number>(maxBits + 1).fill(0)
  for (const depth of treeDepths(weights)) {
    const bits = Math.min(depth, maxBits)
    counts[bits] = (counts[bits] ?? 0) + 1
  }
  // Cutting at maxBits has overfilled the code: split shorter ones until all fit (Kraft's sum is one again).
  let excess = -(2 ** maxBits)
  for (let bits = 1; bits <= maxBits; bits++) excess += (counts[bits] ?? 0) * 2 ** (maxBits - bits)
  for (; excess > 0; excess--) {
    let bits = maxBits - 1
    while (counts[bits] === 0) bits--
    counts[bits] = (counts[bits] ?? 0) - 1
    counts[bits + 1] = (counts[bits + 1] ?? 0) + 2
    counts[maxBits] = (counts[maxBits] ?? 0) - 1
  }
  return counts
}

/** The depths of the leaves of a Huffman tree, by two queues: leaves by weight, and the nodes made from them. */
function treeDepths(weights: readonly number[]): number[] {
  const leaves = weights.length
  const weight = [...weights]
  const parent: number[] = []
  let leaf = 0
  let node = leaves
  const lightest = () =>
    leaf < leaves && (node >= weight.length || (weight[leaf] ?? 0) <= (weight[node] ?? 0)) ? leaf++ : node++
  while (weight.length < 2 * leaves - 1) {
    const [first, second] = [lightest(), lightest()]
    parent[first] = parent[second] = weight.length
    weight.push((weight[first] ?? 0) + (weight[second] ?? 0))
  }
  const depth = new Array<number>(weight.length).fill(0)
  for (let at = weight.length - 2; at >= 0; at--) depth[at] = (depth[parent[at] ?? 0] ?? 0) + 1
  return depth.slice(0, leaves)
}

/** RFC 1951, 3.2.2: codes of one length are consecutive, in the order of their symbols. */
function canonicalCodes(lengths: Uint8Array, maxBits: number): Uint16Array {
  const codes = new Uint16Array(lengths.length)
  let code = 0
  for (let bits = 1; bits <= maxBits; bits++) {
    for (let symbol = 0; symbol < lengths.length; symbol++) {
      if (lengths[symbol] === bits) codes[symbol] = reversed(code++, bits)
    }
    code <<= 1
  }
  return codes
}

function reversed(code: number, bits: number): number {
  let result = 0
  for (let at = 0; at < bits; at++) result |= ((code >>> at) & 1) << (bits - 1 - at)
  return result
}
