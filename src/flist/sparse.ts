import { LimitError, MalformedError } from '../errors.ts'
import { TAR_BLOCK_BYTES, tarNumber } from '../format/tar.ts'
import { toLatin1 } from '../util/bytes.ts'
import type { PaxRecord } from './pax.ts'

/** A piece of content of a sparse file; what lies between pieces is zeros. GNU tar manual, "Sparse Formats". */
export interface Segment {
  readonly offset: number
  readonly length: number
}

// Old GNU format: four pairs in the header, then blocks of 21; a flag says whether one more block follows.
const PAIR_BYTES = 24
export const GNU_HEADER_PAIRS = { at: 386, count: 4, moreAt: 482 } as const
export const GNU_EXTENSION_PAIRS = { at: 0, count: 21, moreAt: 504 } as const
const GNU_REAL_SIZE = [483, 12] as const

export function gnuRealSize(header: Uint8Array): number {
  return tarNumber(header, GNU_REAL_SIZE)
}

/** Adds the pairs of a block; answers whether another block follows. */
export function readGnuPairs(
  block: Uint8Array,
  { at, count, moreAt }: typeof GNU_HEADER_PAIRS | typeof GNU_EXTENSION_PAIRS,
  segments: SegmentList,
): boolean {
  for (let pair = 0; pair < count; pair++) {
    const from = at + pair * PAIR_BYTES
    if (block[from] === 0) break // unused
    segments.add(tarNumber(block, [from, 12]), tarNumber(block, [from + 12, 12]))
  }
  return block[moreAt] !== 0
}

/** Pairs of pax formats 0.0 (a record a number) and 0.1 (one list). */
export function readPaxPairs(records: readonly PaxRecord[], segments: SegmentList): void {
  let offset: number | undefined
  for (const [key, value] of records) {
    if (key === 'GNU.sparse.offset') offset = decimal(toLatin1(value))
    if (key === 'GNU.sparse.numbytes' && offset !== undefined) {
      segments.add(offset, decimal(toLatin1(value)))
      offset = undefined
    }
    if (key !== 'GNU.sparse.map') continue
    const numbers = toLatin1(value).split(',').map(decimal)
    for (let at = 0; at + 1 < numbers.length; at += 2) segments.add(numbers[at] ?? 0, numbers[at + 1] ?? 0)
  }
}

/** The map of pax format 1.0: lines at the start of the content, in whole blocks. */
export class SparseMapText {
  readonly #segments: SegmentList
  #expected: number | undefined
  #rest = ''
  #offset: number | undefined

  constructor(segments: SegmentList) {
    this.#segments = segments
  }

  /** True once the map is whole; the block that ends it is its last. @throws {MalformedError | LimitError} */
  addBlock(block: Uint8Array): boolean {
    const lines = (this.#rest + toLatin1(block.subarray(0, TAR_BLOCK_BYTES))).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) {
      if (this.#isComplete) break
      this.#addNumber(decimal(line))
    }
    if (!this.#isComplete && this.#rest.length > 32) throw malformed('its map has no lines')
    return this.#isComplete
  }

  get #isComplete(): boolean {
    return this.#expected === 0
  }

  #addNumber(value: number): void {
    if (this.#expected === undefined) {
      this.#segments.expect(value)
      this.#expected = value
    } else if (this.#offset === undefined) this.#offset = value
    else {
      this.#segments.add(this.#offset, value)
      this.#offset = undefined
      this.#expected--
    }
  }
}

/** The map of one file, in order and without overlap. */
export class SegmentList {
  readonly segments: Segment[] = []
  readonly #limit: number
  #end = 0
  #contentBytes = 0

  constructor(limit: number) {
    this.#limit = limit
  }

  /** @throws {LimitError} for more pieces than a file may have. */
  expect(count: number): void {
    if (count > this.#limit) throw new LimitError('sparse file', this.#limit, 'pieces')
  }

  /** @throws {MalformedError | LimitError} */
  add(offset: number, length: number): void {
    this.expect(this.segments.length + 1)
    const end = offset + length
    if (!(offset >= this.#end && length >= 0 && Number.isSafeInteger(end))) {
      throw malformed('its map is out of order')
    }
    this.#end = end
    this.#contentBytes += length
    if (length > 0) this.segments.push({ offset, length })
  }

  /** @throws {MalformedError} unless the pieces lie in a file of `realBytes` and hold `storedBytes`. */
  check(realBytes: number, storedBytes: number): void {
    if (this.#end > realBytes) throw malformed('its map goes beyond its size')
    if (this.#contentBytes !== storedBytes) throw malformed('its map does not fit its content')
  }
}

function decimal(text: string): number {
  if (!/^\d{1,20}$/.test(text)) throw malformed('its map has something else than numbers')
  return Number(text)
}

function malformed(reason: string): MalformedError {
  return new MalformedError('tar', `not a tar archive: a sparse file: ${reason}`)
}
