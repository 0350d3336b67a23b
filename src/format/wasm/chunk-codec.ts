/**
 * The inner loops of the flist v1 chunk codec: raw snappy and XXTEA. AssemblyScript, compiled by scripts/build.mjs;
 * never seen by tsc. Everything works on addresses that the caller gives: no statics, no allocator, no globals, so
 * any number of instances may share one memory as long as their regions are their own. chunk-codec.ts is the caller.
 *
 * Chunk ids are hashes of what `snappyCompress` writes, so its bytes are pinned: by this file, and by the version
 * of assemblyscript in package-lock.json as far as a compiler could matter (integer code has one meaning). They
 * are those of npm `snappy` 7.4.3, which is the Rust crate `snap` 1.x, itself google/snappy's encoder of 2011–2019.
 * To change one byte of output is to change the id of known content: a decision, not an optimisation.
 *
 * Spare bytes: readers may touch 16 bytes after a source and writers 16 bytes after a target. The caller keeps
 * that much room; nothing is ever touched outside it, whatever the input.
 */

const BLOCK: u32 = 65536
const INPUT_MARGIN: u32 = 15
const MAX_TABLE: u32 = 16384

/** Raw snappy of `length` bytes. `table` is 32 KiB of scratch. At most 32 + n + n/6 bytes are written; answers how many. */
export function snappyCompress(source: usize, length: u32, target: usize, table: usize): u32 {
  let out = target
  let rest = length
  while (rest >= 0x80) {
    store<u8>(out++, (rest & 0x7f) | 0x80)
    rest >>>= 7
  }
  store<u8>(out++, rest)

  for (let done: u32 = 0; done < length; done += BLOCK) {
    const part = min(length - done, BLOCK)
    out =
      part <= INPUT_MARGIN + 1
        ? emitLiteral(source + done, part, out)
        : compressBlock(source + done, part, out, table)
  }
  return <u32>(out - target)
}

function compressBlock(source: usize, length: u32, target: usize, table: usize): usize {
  let shift: u32 = 24
  let size: u32 = 256
  while (size < MAX_TABLE && size < length) {
    size <<= 1
    shift--
  }
  memory.fill(table, 0, size << 1)

  const limit = length - INPUT_MARGIN
  let out = target
  let emitted: u32 = 0
  let at: u32 = 1
  let nextHash = hash(load<u32>(source + 1), shift)

  while (true) {
    // Look for four bytes seen before, in growing steps: 32 misses one by one, then every second byte, and so on.
    let skip: u32 = 32
    let next = at
    let candidate: u32
    do {
      at = next
      const step = skip >> 5
      next = at + step
      skip += step
      if (next > limit) return emitLiteral(source + emitted, length - emitted, out)
      const slot = table + (nextHash << 1)
      candidate = load<u16>(slot)
      store<u16>(slot, at)
      nextHash = hash(load<u32>(source + next), shift)
    } while (load<u32>(source + at) != load<u32>(source + candidate))

    out = emitLiteral(source + emitted, at - emitted, out)

    // Emit copies as long as one follows directly on the other.
    while (true) {
      const base = at
      at = matchEnd(source, at + 4, candidate + 4, length)
      out = emitCopy(base - candidate, at - base, out)
      emitted = at
      if (at >= limit) return emitLiteral(source + emitted, length - emitted, out)

      const ahead = load<u64>(source + at - 1)
      store<u16>(table + (hash(<u32>ahead, shift) << 1), at - 1)
      const slot = table + (hash(<u32>(ahead >> 8), shift) << 1)
      candidate = load<u16>(slot)
      store<u16>(slot, at)
      if (<u32>(ahead >> 8) != load<u32>(source + candidate)) {
        nextHash = hash(<u32>(ahead >> 16), shift)
        at++
        break
      }
    }
  }
}

function hash(word: u32, shift: u32): u32 {
  return (word * 0x1e35a7bd) >> shift
}

/** The first position from `at` on that does not repeat `from` on, or `length`. */
function matchEnd(source: usize, at: u32, from: u32, length: u32): u32 {
  while (at + 8 <= length) {
    const difference = load<u64>(source + at) ^ load<u64>(source + from)
    if (difference != 0) return at + ((<u32>ctz(difference)) >> 3)
    at += 8
    from += 8
  }
  while (at < length && load<u8>(source + at) == load<u8>(source + from)) {
    at++
    from++
  }
  return at
}

function emitLiteral(source: usize, length: u32, target: usize): usize {
  if (length == 0) return target
  const last = length - 1
  let out = target
  if (last < 60) {
    store<u8>(out, last << 2)
    out += 1
  } else if (last < 256) {
    store<u16>(out, (60 << 2) | (last << 8))
    out += 2
  } else {
    store<u8>(out, 61 << 2)
    store<u16>(out + 1, last)
    out += 3
  }
  copy(out, source, length)
  return out + length
}

/** Most literals are short. */
function copy(target: usize, source: usize, length: u32): void {
  if (length <= 16) v128.store(target, v128.load(source))
  else memory.copy(target, source, length)
}

function emitCopy(offset: u32, length: u32, target: usize): usize {
  let out = target
  while (length >= 68) {
    out = emitLongCopy(offset, 64, out)
    length -= 64
  }
  if (length > 64) {
    out = emitLongCopy(offset, 60, out)
    length -= 60
  }
  if (length > 11 || offset > 2047) return emitLongCopy(offset, length, out)
  store<u16>(out, ((offset >> 8) << 5) | ((length - 4) << 2) | 1 | ((offset & 0xff) << 8))
  return out + 2
}

function emitLongCopy(offset: u32, length: u32, target: usize): usize {
  store<u8>(target, ((length - 1) << 2) | 2)
  store<u16>(target + 1, offset)
  return target + 3
}

/**
 * Expands the elements of a raw snappy block (what follows the length preamble) to exactly `expected` bytes.
 * Hostile input is expected: answers false for anything but a well-formed block of that length.
 */
export function snappyUncompress(source: usize, length: u32, target: usize, expected: u32): bool {
  let at = source
  const end = source + length
  let out = target
  const outEnd = target + expected

  while (at < end) {
    const tag: u32 = load<u8>(at++)
    if ((tag & 3) == 0) {
      let count = tag >> 2
      if (count >= 60) {
        const extra = count - 59
        if (<u32>(end - at) < extra) return false
        // The four bytes read lie in the input or in its spare bytes; those not asked for are masked away.
        count = load<u32>(at) & (0xffffffff >> (32 - (extra << 3)))
        at += extra
        if (count == 0xffffffff) return false
      }
      count++
      if (count > <u32>(end - at) || count > <u32>(outEnd - out)) return false
      copy(out, at, count)
      at += count
      out += count
      continue
    }

    let count: u32
    let offset: u32
    if ((tag & 3) == 1) {
      if (at == end) return false
      count = ((tag >> 2) & 7) + 4
      offset = ((tag >> 5) << 8) | load<u8>(at)
      at += 1
    } else if ((tag & 3) == 2) {
      if (<u32>(end - at) < 2) return false
      count = (tag >> 2) + 1
      offset = load<u16>(at)
      at += 2
    } else {
      if (<u32>(end - at) < 4) return false
      count = (tag >> 2) + 1
      offset = load<u32>(at)
      at += 4
    }
    if (offset == 0 || offset > <u32>(out - target) || count > <u32>(outEnd - out)) return false
    repeat(out, offset, count)
    out += count
  }
  return out == outEnd
}

/** Copies `count` (1…64) bytes from `offset` back; source and target may overlap. */
function repeat(out: usize, offset: u32, count: u32): void {
  let from = out - offset
  if (offset < 16) {
    // The pattern, byte by byte, up to a multiple of its length that is a step of 16 or more away.
    const first = min(count, 16)
    for (let done: u32 = 0; done < first; done++) store<u8>(out + done, load<u8>(from + done))
    const away = ((15 + offset) / offset) * offset
    from = out - away
    for (let done: u32 = 16; done < count; done += 16) v128.store(out + done, v128.load(from + done))
    return
  }
  for (let done: u32 = 0; done < count; done += 16) v128.store(out + done, v128.load(from + done))
}

const DELTA: u32 = 0x9e3779b9

function mix(z: u32, y: u32, sum: u32, k: u32): u32 {
  return (((z >> 5) ^ (y << 2)) + ((y >> 3) ^ (z << 4))) ^ ((sum ^ y) + (k ^ z))
}

/** Makes `length` bytes ready for encryption: zero bytes up to a word, then a word with the length. Answers the words. */
export function xxteaPad(data: usize, length: u32): u32 {
  const whole = (length + 3) & ~3
  for (let at = length; at < whole; at++) store<u8>(data + at, 0)
  store<u32>(data + whole, length)
  return (whole >> 2) + 1
}

/** XXTEA in place over `words` (at least 2) little-endian words; `key` is the address of 16 bytes. */
export function xxteaEncrypt(data: usize, words: u32, key: usize): void {
  let z = load<u32>(data + ((words - 1) << 2))
  let sum: u32 = 0
  for (let rounds = 6 + 52 / words; rounds > 0; rounds--) {
    sum += DELTA
    z = xxteaRound(data, data, words, key, sum, z)
  }
}

/** The rest of a round, from the word at `from` on, a multiple of four words after `data`. Answers its last word. */
function xxteaRound(data: usize, from: usize, words: u32, key: usize, sum: u32, before: u32): u32 {
  const last = data + ((words - 1) << 2)
  const e = sum & 12 // (sum >> 2 & 3) as a byte offset
  const k0 = load<u32>(key + e)
  const k1 = load<u32>(key + (e ^ 4))
  const k2 = load<u32>(key + (e ^ 8))
  const k3 = load<u32>(key + (e ^ 12))
  let z = before
  let at = from
  let here = load<u32>(at)
  while (at + 16 <= last) {
    const y1 = load<u32>(at, 4)
    const y2 = load<u32>(at, 8)
    const y3 = load<u32>(at, 12)
    const y4 = load<u32>(at, 16)
    z = here + mix(z, y1, sum, k0)
    store<u32>(at, z)
    z = y1 + mix(z, y2, sum, k1)
    store<u32>(at, z, 4)
    z = y2 + mix(z, y3, sum, k2)
    store<u32>(at, z, 8)
    z = y3 + mix(z, y4, sum, k3)
    store<u32>(at, z, 12)
    here = y4
    at += 16
  }
  for (let p: usize = 0; at < last; p += 4) {
    z = load<u32>(at) + mix(z, load<u32>(at, 4), sum, load<u32>(key + (p ^ e)))
    store<u32>(at, z)
    at += 4
  }
  z = load<u32>(last) + mix(z, load<u32>(data), sum, load<u32>(key + ((((words - 1) << 2) & 12) ^ e)))
  store<u32>(last, z)
  return z
}

/** The inverse of `xxteaEncrypt`. */
export function xxteaDecrypt(data: usize, words: u32, key: usize): void {
  const last = data + ((words - 1) << 2)
  let y = load<u32>(data)
  for (let sum: u32 = (6 + 52 / words) * DELTA; sum != 0; sum -= DELTA) {
    const e = sum & 12
    const k0 = load<u32>(key + e)
    const k1 = load<u32>(key + (e ^ 4))
    const k2 = load<u32>(key + (e ^ 8))
    const k3 = load<u32>(key + (e ^ 12))
    let at = last
    while ((at - data) & 12) {
      y = load<u32>(at) - mix(load<u32>(at - 4), y, sum, load<u32>(key + (((at - data) & 12) ^ e)))
      store<u32>(at, y)
      at -= 4
    }
    let here = load<u32>(at)
    while (at > data) {
      at -= 16
      const z3 = load<u32>(at, 12)
      const z2 = load<u32>(at, 8)
      const z1 = load<u32>(at, 4)
      const z0 = load<u32>(at)
      y = here - mix(z3, y, sum, k0)
      store<u32>(at, y, 16)
      y = z3 - mix(z2, y, sum, k3)
      store<u32>(at, y, 12)
      y = z2 - mix(z1, y, sum, k2)
      store<u32>(at, y, 8)
      y = z1 - mix(z0, y, sum, k1)
      store<u32>(at, y, 4)
      here = z0
    }
    y = here - mix(load<u32>(last), y, sum, k0)
    store<u32>(data, y)
  }
}

// A lane: four bytes in each of these rows of 16.
const LANE_Z: usize = 0
const LANE_SUM: usize = 16
const LANE_KEYS: usize = 32 // four rows: the key's words in this round's order
const LANE_AT: usize = 96
const LANE_DATA: usize = 112
const LANE_WORDS: usize = 128
const LANE_KEY: usize = 144
const LANE_ROUNDS: usize = 160 // left; 0: no block
const LANES_END: usize = 16

/** A job of `xxteaEncryptAll`: u32 data, u32 words, u32 key, all as `xxteaEncrypt`. */
const JOB_BYTES: usize = 12
/** A block of fewer words is done before a lane has taken it. */
const MIN_LANE_WORDS: u32 = 16

/**
 * `xxteaEncrypt` over many blocks, four at once, one a SIMD lane: within a block each word waits for the one before.
 * A lane that is through takes the next block, so the longest should come first. `lanes` is 176 bytes of scratch.
 */
export function xxteaEncryptAll(jobs: usize, count: u32, lanes: usize): void {
  const end = jobs + <usize>count * JOB_BYTES
  let next = jobs
  for (let lane: usize = 0; lane < LANES_END; lane += 4) store<u32>(lanes + lane, 0, LANE_ROUNDS)
  while (true) {
    let active: u32 = 0
    let some: usize = 0
    for (let lane: usize = 0; lane < LANES_END; lane += 4) {
      const at = lanes + lane
      while (load<u32>(at, LANE_ROUNDS) == 0 && next < end) {
        takeJob(at, next)
        next += JOB_BYTES
      }
      if (load<u32>(at, LANE_ROUNDS) == 0) continue
      active++
      some = at
    }
    if (active == 0) return
    if (active == 1) return endBlock(some)
    fillIdleLanes(lanes, some)
    runLanes(lanes, stepsOf(lanes))
    for (let lane: usize = 0; lane < LANES_END; lane += 4) {
      const at = lanes + lane
      if (load<u32>(at, LANE_ROUNDS) != 0 && stepsLeft(at) == 0) endRound(at)
    }
  }
}

function takeJob(lane: usize, job: usize): void {
  const data = <usize>load<u32>(job)
  const words = load<u32>(job, 4)
  const key = <usize>load<u32>(job, 8)
  if (words < MIN_LANE_WORDS) return xxteaEncrypt(data, words, key)
  store<u32>(lane, <u32>data, LANE_DATA)
  store<u32>(lane, words, LANE_WORDS)
  store<u32>(lane, <u32>key, LANE_KEY)
  store<u32>(lane, 6 + 52 / words, LANE_ROUNDS)
  store<u32>(lane, load<u32>(data + ((words - 1) << 2)), LANE_Z)
  beginRound(lane, DELTA)
}

function beginRound(lane: usize, sum: u32): void {
  const key = <usize>load<u32>(lane, LANE_KEY)
  const e = sum & 12
  store<u32>(lane, sum, LANE_SUM)
  store<u32>(lane, load<u32>(lane, LANE_DATA), LANE_AT)
  for (let k: usize = 0; k < 16; k += 4) store<u32>(lane + (k << 2), load<u32>(key + (k ^ e)), LANE_KEYS)
}

/** What is left of a round, fewer than four words and the last, and the start of the next. */
function endRound(lane: usize): void {
  const sum = load<u32>(lane, LANE_SUM)
  const z = xxteaRound(
    load<u32>(lane, LANE_DATA),
    load<u32>(lane, LANE_AT),
    load<u32>(lane, LANE_WORDS),
    load<u32>(lane, LANE_KEY),
    sum,
    load<u32>(lane, LANE_Z),
  )
  store<u32>(lane, z, LANE_Z)
  const rounds = load<u32>(lane, LANE_ROUNDS) - 1
  store<u32>(lane, rounds, LANE_ROUNDS)
  if (rounds > 0) beginRound(lane, sum + DELTA)
}

/** One chain of words alone is no faster on four lanes. */
function endBlock(lane: usize): void {
  while (load<u32>(lane, LANE_ROUNDS) > 0) endRound(lane)
}

/** Steps of four words of which each has a next one in the round. */
function stepsLeft(lane: usize): u32 {
  const done = (load<u32>(lane, LANE_AT) - load<u32>(lane, LANE_DATA)) >> 2
  return (load<u32>(lane, LANE_WORDS) - 1 - done) >> 2
}

/** Until the first lane ends its round. */
function stepsOf(lanes: usize): u32 {
  let steps: u32 = 0xffffffff
  for (let lane: usize = 0; lane < LANES_END; lane += 4) {
    if (load<u32>(lanes + lane, LANE_ROUNDS) != 0) steps = min(steps, stepsLeft(lanes + lane))
  }
  return steps
}

/** A lane without a block does what another does: it writes the same bytes to the same place. */
function fillIdleLanes(lanes: usize, from: usize): void {
  for (let lane: usize = 0; lane < LANES_END; lane += 4) {
    const at = lanes + lane
    if (load<u32>(at, LANE_ROUNDS) != 0) continue
    for (let row: usize = 0; row < LANE_DATA; row += 16) store<u32>(at + row, load<u32>(from + row))
  }
}

function runLanes(lanes: usize, steps: u32): void {
  let a = <usize>load<u32>(lanes, LANE_AT)
  let b = <usize>load<u32>(lanes, LANE_AT + 4)
  let c = <usize>load<u32>(lanes, LANE_AT + 8)
  let d = <usize>load<u32>(lanes, LANE_AT + 12)
  const sums = v128.load(lanes, LANE_SUM)
  const k0 = v128.load(lanes, LANE_KEYS)
  const k1 = v128.load(lanes, LANE_KEYS + 16)
  const k2 = v128.load(lanes, LANE_KEYS + 32)
  const k3 = v128.load(lanes, LANE_KEYS + 48)
  let z = v128.load(lanes, LANE_Z)

  // Four words of each lane, turned into rows of one word of each.
  let va = v128.load(a)
  let vb = v128.load(b)
  let vc = v128.load(c)
  let vd = v128.load(d)
  let low = v128.shuffle<i32>(va, vb, 0, 4, 1, 5)
  let high = v128.shuffle<i32>(vc, vd, 0, 4, 1, 5)
  let here = v128.shuffle<i64>(low, high, 0, 2)
  for (let step: u32 = 0; step < steps; step++) {
    const w1 = v128.shuffle<i64>(low, high, 1, 3)
    low = v128.shuffle<i32>(va, vb, 2, 6, 3, 7)
    high = v128.shuffle<i32>(vc, vd, 2, 6, 3, 7)
    const w2 = v128.shuffle<i64>(low, high, 0, 2)
    const w3 = v128.shuffle<i64>(low, high, 1, 3)
    // Of the last step's four words only the first is the lane's for certain; what lies behind is read, and not used.
    va = v128.load(a, 16)
    vb = v128.load(b, 16)
    vc = v128.load(c, 16)
    vd = v128.load(d, 16)
    low = v128.shuffle<i32>(va, vb, 0, 4, 1, 5)
    high = v128.shuffle<i32>(vc, vd, 0, 4, 1, 5)
    const w4 = v128.shuffle<i64>(low, high, 0, 2)

    const z0 = i32x4.add(here, mix4(z, w1, sums, k0))
    const z1 = i32x4.add(w1, mix4(z0, w2, sums, k1))
    const z2 = i32x4.add(w2, mix4(z1, w3, sums, k2))
    z = i32x4.add(w3, mix4(z2, w4, sums, k3))
    here = w4

    const z01 = v128.shuffle<i32>(z0, z1, 0, 4, 1, 5)
    const z23 = v128.shuffle<i32>(z2, z, 0, 4, 1, 5)
    v128.store(a, v128.shuffle<i64>(z01, z23, 0, 2))
    v128.store(b, v128.shuffle<i64>(z01, z23, 1, 3))
    const y01 = v128.shuffle<i32>(z0, z1, 2, 6, 3, 7)
    const y23 = v128.shuffle<i32>(z2, z, 2, 6, 3, 7)
    v128.store(c, v128.shuffle<i64>(y01, y23, 0, 2))
    v128.store(d, v128.shuffle<i64>(y01, y23, 1, 3))
    a += 16
    b += 16
    c += 16
    d += 16
  }
  v128.store(lanes, z, LANE_Z)
  store<u32>(lanes, <u32>a, LANE_AT)
  store<u32>(lanes, <u32>b, LANE_AT + 4)
  store<u32>(lanes, <u32>c, LANE_AT + 8)
  store<u32>(lanes, <u32>d, LANE_AT + 12)
}

function mix4(z: v128, y: v128, sum: v128, k: v128): v128 {
  return v128.xor(
    i32x4.add(v128.xor(i32x4.shr_u(z, 5), i32x4.shl(y, 2)), v128.xor(i32x4.shr_u(y, 3), i32x4.shl(z, 4))),
    i32x4.add(v128.xor(sum, y), v128.xor(k, z)),
  )
}
