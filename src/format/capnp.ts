import { LimitError, MalformedError } from '../errors.ts'
import { asBuffer, EMPTY } from '../util/bytes.ts'
import { MIB } from '../util/units.ts'

/**
 * Cap'n Proto, as much as flist v1 needs: unpacked stream framing, structs, composite lists, Text and Data.
 * Reads any number of segments, with far and double-far pointers; writes one segment. Words are 8 bytes.
 * https://capnproto.org/encoding.html. No schema: flist-v1.ts knows the structs.
 *
 * Messages are hostile: every target is checked to lie in its segment, what is visited is paid from a budget of
 * words, so pointers that share targets or point in circles end soon, and nesting is bounded.
 */

/** go-capnproto2's limit, and so the largest message that 0-fs reads. */
export const MAX_MESSAGE_BYTES = 64 * MIB
/** Each word may be visited this often on average: security.md row 5. */
const TRAVERSALS = 8
const MAX_DEPTH = 64
/** Ours: a million inodes in a directory, 512 GiB in a file. Each element read takes memory, however small it is. */
const MAX_ELEMENTS = 2 ** 20

const STRUCT = 0
const LIST = 1
const FAR = 2
const BYTE_ELEMENTS = 2
const COMPOSITE = 7

/** @throws {MalformedError|LimitError} when the framing or the root is no message. */
export function readMessage(bytes: Uint8Array): StructReader {
  if (bytes.length > MAX_MESSAGE_BYTES)
    throw new LimitError("Cap'n Proto message", MAX_MESSAGE_BYTES, 'bytes')
  return new MessageReader(bytes).root()
}

class MessageReader {
  readonly #bytes: Uint8Array
  readonly #buffer: Buffer
  readonly view: DataView
  /** First word of each segment and, last, the end; in words from the start of the message, header included. */
  readonly #bounds: number[]
  #budget: number

  // What `#resolve` found: the segment, word and pointer words of the target.
  #segment = 0
  #target = 0
  #low = 0
  #high = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#buffer = asBuffer(bytes)
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    this.#bounds = segmentBounds(this.view)
    this.#budget = TRAVERSALS * Math.ceil(bytes.length / 8)
  }

  root(): StructReader {
    return this.structAt(0, this.#bounds[0] ?? 0, 0)
  }

  /** The struct that the pointer at word `at` leads to. */
  structAt(segment: number, at: number, depth: number): StructReader {
    if (!this.#resolve(segment, at)) return new StructReader(this, 0, 0, 0, 0, depth)
    if ((this.#low & 3) !== STRUCT) throw malformed('a pointer to a struct is something else', at)
    const dataWords = this.#high & 0xffff
    const pointers = this.#high >>> 16
    this.#visit(dataWords + pointers)
    return new StructReader(this, this.#segment, this.#target, dataWords, pointers, depth + 1)
  }

  dataAt(segment: number, at: number): Uint8Array {
    const length = this.#byteList(segment, at)
    return length === 0 ? EMPTY : this.#bytes.subarray(8 * this.#target, 8 * this.#target + length)
  }

  textAt(segment: number, at: number): Uint8Array {
    const length = this.#textLength(segment, at)
    return length === 0 ? EMPTY : this.#bytes.subarray(8 * this.#target, 8 * this.#target + length)
  }

  keyAt(segment: number, at: number): string {
    const length = this.#textLength(segment, at)
    return length === 0 ? '' : this.#buffer.toString('latin1', 8 * this.#target, 8 * this.#target + length)
  }

  /** Without the NUL. */
  #textLength(segment: number, at: number): number {
    const length = this.#byteList(segment, at)
    if (length === 0) return 0
    if (this.#bytes[8 * this.#target + length - 1] !== 0) throw malformed('a text does not end in NUL', at)
    return length - 1
  }

  /** Finds a list of bytes and answers its length. */
  #byteList(segment: number, at: number): number {
    if (!this.#resolve(segment, at)) return 0
    const length = this.#high >>> 3
    if ((this.#low & 3) !== LIST || (this.#high & 7) !== BYTE_ELEMENTS) {
      throw malformed('a pointer to bytes is something else', at)
    }
    this.#visit(Math.ceil(length / 8))
    return length
  }

  structsAt(segment: number, at: number, depth: number): StructReader[] {
    if (!this.#resolve(segment, at)) return []
    if ((this.#low & 3) !== LIST || (this.#high & 7) !== COMPOSITE) {
      throw malformed('a pointer to a list of structs is something else', at)
    }
    const words = this.#high >>> 3
    this.#visit(words + 1)
    const home = this.#segment
    const first = this.#target + 1
    const low = this.view.getUint32(8 * this.#target, true)
    const high = this.view.getUint32(8 * this.#target + 4, true)
    const count = low >>> 2
    const dataWords = high & 0xffff
    const pointers = high >>> 16
    const size = dataWords + pointers
    if ((low & 3) !== STRUCT || count * size > words) throw malformed('a list is longer than its words', at)
    if (size === 0 && count > 0) throw malformed('a list has elements of no size', at) // they cost the sender nothing
    if (count > MAX_ELEMENTS) throw new LimitError("Cap'n Proto list", MAX_ELEMENTS, 'elements')
    const structs: StructReader[] = []
    for (let at = first; structs.length < count; at += size)
      structs.push(new StructReader(this, home, at, dataWords, pointers, depth + 1))
    return structs
  }

  /** Follows the pointer at word `at`, over far pointers, to its object. False for a null pointer. */
  #resolve(segment: number, at: number): boolean {
    this.#load(segment, at)
    if (this.#low === 0 && this.#high === 0) return false
    if ((this.#low & 3) === FAR) this.#resolveFar()
    else this.#target = at + 1 + (this.#low >> 2)
    return true
  }

  #resolveFar(): void {
    const isDouble = (this.#low & 4) !== 0
    const home = this.#high
    const start = this.#bounds[home]
    if (start === undefined || home === this.#bounds.length - 1)
      throw malformed(`there is no segment ${home}`)
    const pad = start + (this.#low >>> 3)
    this.#pay(isDouble ? 2 : 1)
    this.#load(home, pad)
    if (!isDouble) {
      if ((this.#low & 3) === FAR) throw malformed('a far pointer leads to a far pointer', pad)
      this.#target = pad + 1 + (this.#low >> 2)
      return
    }
    const objectHome = this.#high
    const objectStart = this.#bounds[objectHome]
    if ((this.#low & 7) !== FAR || objectStart === undefined || objectHome === this.#bounds.length - 1) {
      throw malformed('a double-far pointer leads nowhere', pad)
    }
    this.#target = objectStart + (this.#low >>> 3)
    this.#load(home, pad + 1) // the tag: type and size of the object
    this.#segment = objectHome
  }

  /** Reads the pointer at word `at` of `segment`. */
  #load(segment: number, at: number): void {
    this.#segment = segment
    this.#check(at, 1)
    this.#low = this.view.getInt32(8 * at, true)
    this.#high = this.view.getUint32(8 * at + 4, true)
  }

  /** Checks that the target with its `words` lies in its segment, and pays for it. */
  #visit(words: number): void {
    this.#check(this.#target, words)
    this.#pay(words + 1)
  }

  #check(at: number, words: number): void {
    const start = this.#bounds[this.#segment] ?? Infinity
    const end = this.#bounds[this.#segment + 1] ?? -Infinity
    if (at < start || at + words > end) throw malformed('a pointer leads out of its segment', at)
  }

  #pay(words: number): void {
    this.#budget -= words
    if (this.#budget < 0) throw malformed(`more than ${TRAVERSALS} times its size is visited`)
  }
}

/** Reads the header: u32 segments − 1, u32 words of each, padding to a word. */
function segmentBounds(view: DataView): number[] {
  const count = view.byteLength >= 8 ? view.getUint32(0, true) + 1 : Infinity
  let end = Math.floor(count / 2) + 1
  if (8 * end > view.byteLength) throw malformed('the header is cut off', 0)
  const bounds = [end]
  for (let segment = 0; segment < count; segment++) {
    end += view.getUint32(4 + 4 * segment, true)
    bounds.push(end)
  }
  if (8 * end > view.byteLength) throw malformed('segments are cut off', view.byteLength)
  return bounds
}

/** A struct in a message. Fields that it is too short for, and null pointers, read as zero and empty. */
export class StructReader {
  readonly #message: MessageReader
  readonly #segment: number
  readonly #at: number
  readonly #dataWords: number
  readonly #pointers: number
  readonly #depth: number

  constructor(
    message: MessageReader,
    segment: number,
    at: number,
    dataWords: number,
    pointers: number,
    depth: number,
  ) {
    this.#message = message
    this.#segment = segment
    this.#at = at
    this.#dataWords = dataWords
    this.#pointers = pointers
    this.#depth = depth
    if (depth > MAX_DEPTH) throw malformed(`nested deeper than ${MAX_DEPTH}`, at)
  }

  u16(offset: number): number {
    return offset + 2 > 8 * this.#dataWords ? 0 : this.#message.view.getUint16(8 * this.#at + offset, true)
  }

  u32(offset: number): number {
    return offset + 4 > 8 * this.#dataWords ? 0 : this.#message.view.getUint32(8 * this.#at + offset, true)
  }

  /** @throws {MalformedError} over 2^53. */
  u64(offset: number): number {
    return safe(this.u32(offset + 4) * 2 ** 32 + this.u32(offset))
  }

  /** An Int64 whose schema default is −1, and so is XORed with it. @throws {MalformedError} beyond ±2^53. */
  i64DefaultMinusOne(offset: number): number {
    return safe(~this.u32(offset + 4) * 2 ** 32 + (~this.u32(offset) >>> 0))
  }

  /** Data: a view of the message's memory. */
  data(pointer: number): Uint8Array {
    if (pointer >= this.#pointers) return EMPTY
    return this.#message.dataAt(this.#segment, this.#at + this.#dataWords + pointer)
  }

  /** Text without its NUL: raw bytes, a view of the message's memory. */
  text(pointer: number): Uint8Array {
    if (pointer >= this.#pointers) return EMPTY
    return this.#message.textAt(this.#segment, this.#at + this.#dataWords + pointer)
  }

  /** Text as a key: one character a byte. */
  key(pointer: number): string {
    if (pointer >= this.#pointers) return ''
    return this.#message.keyAt(this.#segment, this.#at + this.#dataWords + pointer)
  }

  struct(pointer: number): StructReader {
    if (pointer >= this.#pointers) return new StructReader(this.#message, 0, 0, 0, 0, this.#depth + 1)
    return this.#message.structAt(this.#segment, this.#at + this.#dataWords + pointer, this.#depth)
  }

  structs(pointer: number): StructReader[] {
    if (pointer >= this.#pointers) return []
    return this.#message.structsAt(this.#segment, this.#at + this.#dataWords + pointer, this.#depth)
  }
}

function safe(value: number): number {
  if (!Number.isSafeInteger(value)) throw malformed('a number is over 2^53')
  return value
}

function malformed(reason: string, word?: number): MalformedError {
  const options = word === undefined ? {} : { offset: 8 * word }
  return new MalformedError('capnp', `not a Cap'n Proto message: ${reason}`, options)
}

/**
 * A message of one segment, written front to back. Positions are words; a struct's pointers follow its data.
 * Equal calls give equal bytes.
 */
export class MessageWriter {
  #buffer = Buffer.alloc(4096)
  #view = viewOf(this.#buffer)
  #words = 1 // the header

  /** Allocates the root struct; must come first. Answers its position. */
  root(dataWords: number, pointers: number): number {
    const at = this.#allocate(1)
    return this.struct(at, dataWords, pointers)
  }

  /** Allocates a struct for the pointer at `pointerAt`. */
  struct(pointerAt: number, dataWords: number, pointers: number): number {
    const at = this.#allocate(dataWords + pointers)
    this.#point(pointerAt, at, STRUCT, (pointers << 16) | dataWords)
    return at
  }

  /** Allocates a composite list and answers its first element; element `i` is `i × (dataWords + pointers)` on. */
  structs(pointerAt: number, count: number, dataWords: number, pointers: number): number {
    const words = count * (dataWords + pointers)
    const tag = this.#allocate(1 + words)
    this.#point(pointerAt, tag, LIST, (words << 3) | COMPOSITE)
    this.u32(tag, 0, count << 2)
    this.u32(tag, 4, (pointers << 16) | dataWords)
    return tag + 1
  }

  data(pointerAt: number, bytes: Uint8Array): void {
    const at = this.#bytes(pointerAt, bytes.length)
    this.#buffer.set(bytes, 8 * at)
  }

  /** `bytes` without the NUL. An empty text is written, not null. */
  text(pointerAt: number, bytes: Uint8Array): void {
    const at = this.#bytes(pointerAt, bytes.length + 1)
    this.#buffer.set(bytes, 8 * at)
  }

  /** Text of one byte a character. */
  key(pointerAt: number, key: string): void {
    const at = this.#bytes(pointerAt, key.length + 1)
    this.#buffer.write(key, 8 * at, 'latin1')
  }

  u16(at: number, offset: number, value: number): void {
    this.#view.setUint16(8 * at + offset, value, true)
  }

  u32(at: number, offset: number, value: number): void {
    this.#view.setUint32(8 * at + offset, value, true)
  }

  /** A safe integer, 0 or more. */
  u64(at: number, offset: number, value: number): void {
    this.u32(at, offset, value)
    this.u32(at, offset + 4, Math.floor(value / 2 ** 32))
  }

  /** A safe integer; see `StructReader.i64DefaultMinusOne`. */
  i64DefaultMinusOne(at: number, offset: number, value: number): void {
    this.u32(at, offset, ~(value % 2 ** 32))
    this.u32(at, offset + 4, ~Math.floor(value / 2 ** 32))
  }

  /** The message; the writer is used up. */
  finish(): Uint8Array {
    this.u32(0, 4, this.#words - 1)
    return new Uint8Array(this.#view.buffer, this.#view.byteOffset, 8 * this.#words)
  }

  #bytes(pointerAt: number, length: number): number {
    const at = this.#allocate(Math.ceil(length / 8))
    this.#point(pointerAt, at, LIST, (length << 3) | BYTE_ELEMENTS)
    return at
  }

  #point(pointerAt: number, target: number, kind: number, high: number): void {
    this.u32(pointerAt, 0, ((target - pointerAt - 1) << 2) | kind)
    this.u32(pointerAt, 4, high)
  }

  #allocate(words: number): number {
    const at = this.#words
    this.#words += words
    const needed = 8 * this.#words
    if (needed > MAX_MESSAGE_BYTES) throw new LimitError("Cap'n Proto message", MAX_MESSAGE_BYTES, 'bytes')
    if (needed > this.#buffer.length) {
      const larger = Buffer.alloc(Math.min(Math.max(needed, 2 * this.#buffer.length), MAX_MESSAGE_BYTES))
      larger.set(this.#buffer)
      this.#buffer = larger
      this.#view = viewOf(larger)
    }
    return at
  }
}

function viewOf(bytes: Uint8Array): DataView {
  const { buffer, byteOffset, byteLength } = asBuffer(bytes)
  return new DataView(buffer, byteOffset, byteLength)
}
