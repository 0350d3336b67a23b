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
  const last = data + ((words - 1) << 2)
  let z = load<u32>(last)
  let sum: u32 = 0
  for (let rounds = 6 + 52 / words; rounds > 0; rounds--) {
    sum += DELTA
    const e = sum & 12 // (sum >> 2 & 3) as a byte offset
    const k0 = load<u32>(key + e)
    const k1 = load<u32>(key + (e ^ 4))
    const k2 = load<u32>(key + (e ^ 8))
    const k3 = load<u32>(key + (e ^ 12))
    let at = data
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
  }
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

/**
 * `xxteaEncrypt` over four blocks at once, one a SIMD lane: within a block each word waits for the one before.
 * `job` is the address of 4 data addresses, 4 word counts (u32 each; every count over 52, where the rounds are six)
 * and 4 keys of 16 bytes; 64 bytes of scratch follow. `rows` is scratch of 16 × (largest count + 1) bytes. A shorter
 * lane waits at the end of each round, so counts should be nearly equal.
 */
export function xxteaEncrypt4(job: usize, rows: usize): void {
  const counts = v128.load(job, 16)
  const shortest = min(
    min(load<u32>(job, 16), load<u32>(job, 20)),
    min(load<u32>(job, 24), load<u32>(job, 28)),
  )
  const longest = max(
    max(load<u32>(job, 16), load<u32>(job, 20)),
    max(load<u32>(job, 24), load<u32>(job, 28)),
  )
  const keys = job + 96
  transpose(job + 32, job + 48, job + 64, job + 80, keys, 4)
  gatherRows(job, rows, shortest, longest)

  let z = lastWords(job, rows)
  let sum: u32 = 0
  for (let round = 0; round < 6; round++) {
    sum += DELTA
    const e = sum & 12
    const sums = i32x4.splat(sum)
    const k0 = v128.load(keys + (e << 2))
    const k1 = v128.load(keys + ((e ^ 4) << 2))
    const k2 = v128.load(keys + ((e ^ 8) << 2))
    const k3 = v128.load(keys + ((e ^ 12) << 2))

    // The word after a lane's last is its first, which this round has changed by then: keep a copy of it there.
    let here = v128.load(rows)
    let next = v128.load(rows, 16)
    z = i32x4.add(here, mix4(z, next, sums, k0))
    v128.store(rows, z)
    for (let lane: usize = 0; lane < 16; lane += 4) {
      store<u32>(rows + ((<usize>load<u32>(job + lane, 16)) << 4) + lane, load<u32>(rows + lane))
    }

    let row = rows + 16
    const inStep = rows + ((<usize>shortest) << 4)
    here = next
    while (row + 64 <= inStep) {
      next = v128.load(row, 16)
      z = i32x4.add(here, mix4(z, next, sums, k1))
      v128.store(row, z)
      here = v128.load(row, 32)
      z = i32x4.add(next, mix4(z, here, sums, k2))
      v128.store(row, z, 16)
      next = v128.load(row, 48)
      z = i32x4.add(here, mix4(z, next, sums, k3))
      v128.store(row, z, 32)
      here = v128.load(row, 64)
      z = i32x4.add(next, mix4(z, here, sums, k0))
      v128.store(row, z, 48)
      row += 64
    }
    for (let p = <u32>((row - rows) >> 4); p < longest; p++) {
      const k = v128.load(keys + ((((<usize>p) << 2) & 12) ^ e) * 4)
      const word = i32x4.add(v128.load(row), mix4(z, v128.load(row, 16), sums, k))
      const active = i32x4.gt_u(counts, i32x4.splat(p))
      z = v128.bitselect(word, z, active)
      v128.store(row, word)
      row += 16
    }
  }
  scatterRows(job, rows, shortest)
}

function mix4(z: v128, y: v128, sum: v128, k: v128): v128 {
  return v128.xor(
    i32x4.add(v128.xor(i32x4.shr_u(z, 5), i32x4.shl(y, 2)), v128.xor(i32x4.shr_u(y, 3), i32x4.shl(z, 4))),
    i32x4.add(v128.xor(sum, y), v128.xor(k, z)),
  )
}

function lastWords(job: usize, rows: usize): v128 {
  let words = i32x4.splat(0)
  words = i32x4.replace_lane(words, 0, load<u32>(rows + ((<usize>load<u32>(job, 16)) << 4) - 16))
  words = i32x4.replace_lane(words, 1, load<u32>(rows + ((<usize>load<u32>(job, 20)) << 4) - 12))
  words = i32x4.replace_lane(words, 2, load<u32>(rows + ((<usize>load<u32>(job, 24)) << 4) - 8))
  return i32x4.replace_lane(words, 3, load<u32>(rows + ((<usize>load<u32>(job, 28)) << 4) - 4))
}

/** Four blocks to rows of four words, one of each block. */
function gatherRows(job: usize, rows: usize, shortest: u32, longest: u32): void {
  const whole = shortest & ~3
  transpose(load<u32>(job), load<u32>(job, 4), load<u32>(job, 8), load<u32>(job, 12), rows, whole)
  for (let lane: usize = 0; lane < 16; lane += 4) {
    const data = <usize>load<u32>(job + lane)
    const count = load<u32>(job + lane, 16)
    for (let p = whole; p < count; p++) {
      store<u32>(rows + ((<usize>p) << 4) + lane, load<u32>(data + ((<usize>p) << 2)))
    }
  }
}

function scatterRows(job: usize, rows: usize, shortest: u32): void {
  const whole = shortest & ~3
  const a = <usize>load<u32>(job)
  const b = <usize>load<u32>(job, 4)
  const c = <usize>load<u32>(job, 8)
  const d = <usize>load<u32>(job, 12)
  for (let at: usize = 0; at < (<usize>whole) << 2; at += 16) {
    const row = rows + (at << 2)
    transpose4(row, row + 16, row + 32, row + 48, a + at, b + at, c + at, d + at)
  }
  for (let lane: usize = 0; lane < 16; lane += 4) {
    const data = <usize>load<u32>(job + lane)
    const count = load<u32>(job + lane, 16)
    for (let p = whole; p < count; p++) {
      store<u32>(data + ((<usize>p) << 2), load<u32>(rows + ((<usize>p) << 4) + lane))
    }
  }
}

/** `words` (a multiple of four) words of each of four blocks to rows. */
function transpose(a: usize, b: usize, c: usize, d: usize, rows: usize, words: u32): void {
  for (let at: usize = 0; at < (<usize>words) << 2; at += 16) {
    const row = rows + (at << 2)
    transpose4(a + at, b + at, c + at, d + at, row, row + 16, row + 32, row + 48)
  }
}

function transpose4(a: usize, b: usize, c: usize, d: usize, w: usize, x: usize, y: usize, z: usize): void {
  const va = v128.load(a)
  const vb = v128.load(b)
  const vc = v128.load(c)
  const vd = v128.load(d)
  const ab0 = v128.shuffle<i32>(va, vb, 0, 4, 1, 5)
  const ab1 = v128.shuffle<i32>(va, vb, 2, 6, 3, 7)
  const cd0 = v128.shuffle<i32>(vc, vd, 0, 4, 1, 5)
  const cd1 = v128.shuffle<i32>(vc, vd, 2, 6, 3, 7)
  v128.store(w, v128.shuffle<i64>(ab0, cd0, 0, 2))
  v128.store(x, v128.shuffle<i64>(ab0, cd0, 1, 3))
  v128.store(y, v128.shuffle<i64>(ab1, cd1, 0, 2))
  v128.store(z, v128.shuffle<i64>(ab1, cd1, 1, 3))
}
