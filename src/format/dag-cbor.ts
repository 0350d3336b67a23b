import * as dagCbor from '@ipld/dag-cbor'
import { CID } from 'multiformats/cid'
import { create as createDigest } from 'multiformats/hashes/digest'
import { LimitError, MalformedError } from '../errors.ts'
import { asBuffer, equalBytes } from '../util/bytes.ts'

/** What our records are made of. No floats: two nodes must never differ over a rounding. */
export type CborValue =
  | null
  | boolean
  | number
  | string
  | Uint8Array
  | CID
  | readonly CborValue[]
  | { readonly [key: string]: CborValue }

export interface CborOptions {
  /** What the bytes should be, for messages: `operation`, `descriptor` … */
  readonly format: string
  readonly maxBytes: number
}

/** Containers in containers, and tags, at most. Replication.md 2.2, as the next. */
const MAX_DEPTH = 8
const MAX_MAP_KEYS = 256
/** Items in all: ours of 1 MiB have a third of that, and a million empty lists in as many bytes take a hundred times their size. */
const MAX_ITEMS = 100_000
const DAG_CBOR = 0x71
const SHA2_256 = 0x12
const SHA256_BYTES = 32

/** The one canonical form: definite lengths, shortest integers, keys by length and then bytes. */
export function encodeCbor(value: CborValue): Uint8Array {
  return dagCbor.encode(value)
}

/**
 * The value of canonical bytes; anything that does not encode back to the same bytes is refused.
 * @throws {LimitError} for more bytes, items, depth or map keys than allowed, before anything is built from them.
 * @throws {MalformedError} for everything else.
 */
export function decodeCbor(bytes: Uint8Array, { format, maxBytes }: CborOptions): CborValue {
  if (bytes.length > maxBytes) throw new LimitError(format, maxBytes, 'bytes')
  checkShape(bytes, format)
  const value = decode(bytes, format)
  if (!equalBytes(encodeCbor(value), bytes)) {
    throw new MalformedError(format, `the ${format} is not canonical dag-cbor`)
  }
  return value
}

function decode(bytes: Uint8Array, format: string): CborValue {
  try {
    return dagCbor.decode<CborValue>(bytes)
  } catch (cause) {
    throw new MalformedError(format, `the ${format} is no dag-cbor`, { cause })
  }
}

/** A link to a dag-cbor object by the SHA-256 of its bytes. */
export function linkTo(sha256: Uint8Array): CID {
  return CID.createV1(DAG_CBOR, createDigest(SHA2_256, sha256))
}

/** The SHA-256 in a link that `linkTo` could have made, else `undefined`. */
export function linkDigest(value: unknown): Uint8Array | undefined {
  const cid = CID.asCID(value)
  if (cid === null || cid.version !== 1 || cid.code !== DAG_CBOR) return undefined
  const { code, digest } = cid.multihash
  return code === SHA2_256 && digest.length === SHA256_BYTES ? digest : undefined
}

/**
 * Walks the heads of all items, without recursion and without building anything: depth, map sizes, and that every
 * item is complete and of a kind that our records use.
 */
function checkShape(bytes: Uint8Array, format: string): void {
  const open: number[] = [] // items still to come, per container
  let at = 0
  let items = 0
  do {
    if (++items > MAX_ITEMS) throw new LimitError(`the ${format}`, MAX_ITEMS, 'items')
    const head = readHead(bytes, at, format)
    at = head.next
    if (open.length > 0) open[open.length - 1] = (open.at(-1) ?? 0) - 1
    if (head.items > 0) {
      if (open.length === MAX_DEPTH) throw new LimitError(`depth of the ${format}`, MAX_DEPTH, 'levels')
      open.push(head.items)
    }
    while (open.at(-1) === 0) open.pop()
  } while (open.length > 0)
  if (at !== bytes.length) throw malformed(format, 'bytes follow the end', at)
}

interface Head {
  /** Where the next head starts. */
  readonly next: number
  /** Items inside. */
  readonly items: number
}

/** Major types of RFC 8949, 3.1. */
const [BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE] = [2, 3, 4, 5, 6, 7]
/** Simple values that we use: false, true, null. */
const SIMPLE_VALUES = [20, 21, 22]

function readHead(bytes: Uint8Array, at: number, format: string): Head {
  const first = bytes[at]
  if (first === undefined) throw malformed(format, 'it ends within an item', at)
  const major = first >> 5
  if (major === SIMPLE && !SIMPLE_VALUES.includes(first & 31)) {
    throw malformed(format, 'floats, undefined and unknown simple values are not allowed', at)
  }
  const { argument, next } = readArgument(bytes, at, format)
  switch (major) {
    case BYTES:
    case TEXT:
      if (argument > bytes.length - next) throw malformed(format, 'a string is longer than the rest', at)
      return { next: next + argument, items: 0 }
    case ARRAY:
      if (argument > bytes.length - next) throw malformed(format, 'an array is longer than the rest', at)
      return { next, items: argument }
    case MAP:
      if (argument > MAX_MAP_KEYS) throw new LimitError(`map in the ${format}`, MAX_MAP_KEYS, 'keys')
      return { next, items: 2 * argument }
    case TAG:
      return { next, items: 1 }
    default:
      return { next, items: 0 }
  }
}

function readArgument(bytes: Uint8Array, at: number, format: string): { argument: number; next: number } {
  const short = (bytes[at] ?? 0) & 31
  if (short < 24) return { argument: short, next: at + 1 }
  const width = [1, 2, 4, 8][short - 24]
  if (width === undefined) throw malformed(format, 'indefinite lengths are not allowed', at)
  if (at + 1 + width > bytes.length) throw malformed(format, 'it ends within an item', at)
  const buffer = asBuffer(bytes)
  const argument = width === 8 ? Number(buffer.readBigUInt64BE(at + 1)) : buffer.readUIntBE(at + 1, width)
  return { argument, next: at + 1 + width }
}

function malformed(format: string, message: string, offset: number): MalformedError {
  return new MalformedError(format, `the ${format} is malformed: ${message}`, { offset })
}
