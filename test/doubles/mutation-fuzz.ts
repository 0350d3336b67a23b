import assert from 'node:assert/strict'
import { HubError } from '../../src/errors.ts'
import { concat } from '../../src/util/bytes.ts'
import { MIB } from '../../src/util/units.ts'
import { heldBytes } from './collect-garbage.ts'

export interface FuzzTarget {
  /** Valid inputs, from which others are made. */
  readonly seeds: readonly Uint8Array[]
  /** Invalid ones, for the same. */
  readonly hostile?: readonly Uint8Array[]
  /**
   * Reads one input, or throws a `HubError`. Answers the bytes of what it read, where they must be the same again;
   * `undefined` where they need not.
   */
  readonly read: (bytes: Uint8Array) => Uint8Array | undefined
  /** No input takes longer. */
  readonly maxMs?: number
}

/** For each target; `ZHUB_FUZZ_SECONDS=60` for a campaign. */
const SECONDS = Number(process.env['ZHUB_FUZZ_SECONDS'] ?? 0.2)
/** So many at least, whatever the time: on a busy machine, too. */
const LEAST = 300
/** Beside what the inputs themselves take. */
const MAX_HELD_BYTES = 24 * MIB

/** Reads mutated inputs for a while: each is read or refused, soon, and nothing of them stays. The seed is in every failure. */
export function fuzz(
  { seeds, hostile = [], read, maxMs = 2000 }: FuzzTarget,
  first = Date.now() >>> 0,
): void {
  const before = heldBytes()
  const untilMs = performance.now() + SECONDS * 1000
  let refused = 0
  let count = 0
  for (; count < LEAST || performance.now() < untilMs; count++) {
    const seed = (first + count) >>> 0
    const bytes = mutated([...seeds, ...hostile], seed)
    const startMs = performance.now()
    try {
      const again = read(bytes)
      if (again !== undefined) assert.ok(Buffer.compare(again, bytes) === 0, 'it is read as other bytes')
    } catch (error) {
      if (!(error instanceof HubError)) throw new Error(`seed ${seed}: ${shown(bytes)}`, { cause: error })
      refused++
    }
    const tookMs = performance.now() - startMs
    assert.ok(tookMs < maxMs, `seed ${seed} took ${tookMs} ms: ${shown(bytes)}`)
  }
  assert.ok(refused > 0, 'nothing was refused')
  for (const seed of seeds) read(seed)
  const held = heldBytes() - before
  assert.ok(held < MAX_HELD_BYTES, `${held} bytes are held after ${count} inputs`)
}

function shown(bytes: Uint8Array): string {
  return Buffer.from(bytes.subarray(0, 2000)).toString('hex')
}

/** Mulberry32, as in the simulation. */
function chance(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((((mixed ^ (mixed >>> 14)) >>> 0) * below) / 2 ** 32) | 0
  }
}

const TELLING = [
  0, 1, 0x17, 0x18, 0x1b, 0x3b, 0x5b, 0x7f, 0x80, 0x9b, 0x9f, 0xa1, 0xbb, 0xbf, 0xd8, 0xf6, 0xfb, 0xff,
]

/** One of the seeds after one to six changes: bytes, runs put in, taken out, said twice or taken from another seed. */
export function mutated(seeds: readonly Uint8Array[], seed: number): Uint8Array {
  const below = chance(seed)
  const pick = () => Buffer.from(seeds[below(seeds.length)] ?? [])
  let bytes = pick()
  for (let change = below(6); change >= 0; change--) {
    const at = below(bytes.length + 1)
    const end = Math.min(bytes.length, at + below(below(4) === 0 ? 200 : 9))
    const head = bytes.subarray(0, at)
    const kinds = [
      () =>
        concat([
          head,
          Buffer.of(bytes[at] === undefined ? 0 : (bytes[at] ?? 0) ^ (1 << below(8))),
          bytes.subarray(at + 1),
        ]),
      () => concat([head, Buffer.of(TELLING[below(TELLING.length)] ?? 0), bytes.subarray(at + 1)]),
      () => concat([head, Buffer.of(TELLING[below(TELLING.length)] ?? 0), bytes.subarray(at)]),
      () => concat([head, bytes.subarray(end)]),
      () => concat([head, bytes.subarray(at, end), bytes.subarray(at)]),
      () => concat([head, pick().subarray(below(50))]),
      () => concat([head, Buffer.alloc(8, 0xff), bytes.subarray(end)]),
      () => head,
    ]
    bytes = Buffer.from(kinds[below(kinds.length)]?.() ?? bytes)
  }
  return bytes
}
