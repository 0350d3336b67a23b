import { MalformedError } from '../errors.ts'
import { CHUNK_ID_BYTES } from '../format/chunk.ts'
import type { BlockRef, EntryContent, FlistEntry, SpecialKind } from './entry.ts'

/**
 * Entries as one flat buffer, to be handed from thread to thread without a copy: structured clones of 45,000 entries
 * would take the receiving thread 20 times as long. Both sides are one release; this is no format.
 */
const KINDS = ['directory', 'file', 'link', 'special'] as const
const SPECIALS: readonly SpecialKind[] = ['socket', 'block', 'char', 'fifo', 'unknown']
const FIXED_BYTES = 32

export function encodeEntries(entries: readonly FlistEntry[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(entries.reduce((sum, entry) => sum + lengthOf(entry), 0))
  const writer = new Writer(bytes)
  for (const entry of entries) writeEntry(writer, entry)
  return bytes
}

/** Arrays of the entries are views of `bytes`. */
export function decodeEntries(bytes: Uint8Array): FlistEntry[] {
  const reader = new Reader(bytes)
  const entries: FlistEntry[] = []
  while (!reader.isDone) entries.push(readEntry(reader))
  return entries
}

function lengthOf({ path, userName, groupName, content }: FlistEntry): number {
  return FIXED_BYTES + 4 * 3 + path.length + userName.length + groupName.length + contentLength(content)
}

function contentLength(content: EntryContent): number {
  switch (content.kind) {
    case 'directory':
      return 0
    case 'file':
      return 4 + 2 * CHUNK_ID_BYTES * content.blocks.length
    case 'link':
      return 4 + content.target.length
    case 'special':
      return 12
  }
}

function writeEntry(writer: Writer, entry: FlistEntry): void {
  const { content } = entry
  writer.u32(KINDS.indexOf(content.kind))
  writer.f64(entry.sizeBytes)
  writer.u32(entry.mode)
  writer.u32(entry.uid)
  writer.u32(entry.gid)
  writer.f64(entry.modifiedS)
  for (const bytes of [entry.path, entry.userName, entry.groupName]) writer.bytes(bytes)
  if (content.kind === 'link') writer.bytes(content.target)
  if (content.kind === 'special') {
    for (const value of [SPECIALS.indexOf(content.special), content.major, content.minor]) writer.u32(value)
  }
  if (content.kind !== 'file') return
  writer.u32(content.blocks.length)
  for (const { id, key } of content.blocks) {
    writer.raw(id)
    writer.raw(key)
  }
}

function readEntry(reader: Reader): FlistEntry {
  const kind = KINDS[reader.u32()]
  const [sizeBytes, mode, uid, gid] = [reader.f64(), reader.u32(), reader.u32(), reader.u32()]
  const modifiedS = reader.f64()
  const [path, userName, groupName] = [reader.bytes(), reader.bytes(), reader.bytes()]
  const content = readContent(reader, kind)
  return { path, content, sizeBytes, mode, uid, gid, userName, groupName, modifiedS }
}

function readContent(reader: Reader, kind: (typeof KINDS)[number] | undefined): EntryContent {
  switch (kind) {
    case 'directory':
      return { kind }
    case 'file':
      return { kind, blocks: Array.from({ length: reader.u32() }, () => readBlock(reader)) }
    case 'link':
      return { kind, target: reader.bytes() }
    case 'special': {
      const special = SPECIALS[reader.u32()] ?? 'unknown'
      return { kind, special, major: reader.u32(), minor: reader.u32() }
    }
    case undefined:
      throw new MalformedError('entries', 'a batch of entries of another release')
  }
}

function readBlock(reader: Reader): BlockRef {
  return { id: reader.raw(CHUNK_ID_BYTES), key: reader.raw(CHUNK_ID_BYTES) }
}

class Writer {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  u32(value: number): void {
    this.#view.setUint32(this.#at, value)
    this.#at += 4
  }

  f64(value: number): void {
    this.#view.setFloat64(this.#at, value)
    this.#at += 8
  }

  bytes(value: Uint8Array): void {
    this.u32(value.length)
    this.raw(value)
  }

  raw(value: Uint8Array): void {
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }
}

class Reader {
  readonly #bytes: Uint8Array
  readonly #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get isDone(): boolean {
    return this.#at >= this.#bytes.length
  }

  u32(): number {
    this.#at += 4
    return this.#view.getUint32(this.#at - 4)
  }

  f64(): number {
    this.#at += 8
    return this.#view.getFloat64(this.#at - 8)
  }

  bytes(): Uint8Array {
    return this.raw(this.u32())
  }

  raw(length: number): Uint8Array {
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }
}
