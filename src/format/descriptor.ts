import { createHash } from 'node:crypto'
import { LimitError, MalformedError } from '../errors.ts'
import { compareBytes, toHex } from '../util/bytes.ts'
import { KIB, MIB } from '../util/units.ts'
import { CHUNK_ID_BYTES, FL_CHUNK_ID_BYTES, MAX_CHUNK_BYTES } from './chunk.ts'
import { decodeRows, encodeRows } from './chunk-list-rows.ts'
import { decodeCbor, encodeCbor, linkDigest, linkTo } from './dag-cbor.ts'
import { RecordReader } from './record.ts'

/**
 * What an operation says a flist is: size, digests, parts and the list of its chunks (replication design 2.3).
 * Encoding: format/dag-cbor.ts; the id of a descriptor is the SHA-256 of its canonical bytes.
 */
export interface Descriptor {
  readonly v: 1
  readonly fmt: 'zflist' | 'rfs'
  /** Bytes of the canonical flist file. */
  readonly size: number
  readonly sha256: Uint8Array
  readonly md5: Uint8Array
  /** SHA-256 of each 512 KiB part of the file, in order. */
  readonly parts: readonly Uint8Array[]
  /** SHA-256 of each chunk-list page, in order of their first id. */
  readonly chunks: readonly Uint8Array[]
  readonly nChunks: number
  /** Sum of the encoded chunks, each once. */
  readonly bytes: number
  readonly files: number
}

/** One row of a chunk-list page: id (16 or 32 bytes), encoded length, SHA-256 of the encoded bytes. */
export type ChunkListRow = readonly [id: Uint8Array, encLen: number, sha256: Uint8Array]

/** Rows of a page at most; a page is at most 1 MiB. */
export const CHUNK_LIST_PAGE_ROWS = 8192

/** Bytes of a part of a flist file. */
export const FLIST_PART_BYTES = 512 * KIB

/** Largest descriptor or page. Replication.md 2.2. */
export const MAX_OBJECT_BYTES = 1 * MIB

/** Largest flist file: what readers of flists take. A descriptor must not make a node gather more. */
const MAX_FLIST_BYTES = 256 * MIB
/** Ours: a file for each of a million entries, and a terabyte. */
const MAX_CHUNKS = 2 ** 21

const SHA256_BYTES = 32
const MD5_BYTES = 16

export function encodeDescriptor(descriptor: Descriptor): Uint8Array {
  return encodeCbor({ ...descriptor, chunks: descriptor.chunks.map(linkTo) })
}

/** @throws {MalformedError | LimitError} for anything but the canonical bytes of a descriptor that fits itself. */
export function decodeDescriptor(bytes: Uint8Array): Descriptor {
  const fields = new RecordReader(
    decodeCbor(bytes, { format: 'descriptor', maxBytes: MAX_OBJECT_BYTES }),
    'descriptor',
  )
  fields.version(1)
  const size = fields.integer('size', 1, MAX_FLIST_BYTES)
  const nChunks = fields.integer('nChunks', 0, MAX_CHUNKS)
  const descriptor: Descriptor = {
    v: 1,
    fmt: fields.word('fmt', ['zflist', 'rfs']),
    size,
    sha256: fields.bytes('sha256', SHA256_BYTES),
    md5: fields.bytes('md5', MD5_BYTES),
    parts: fields.bytesList('parts', SHA256_BYTES, Math.ceil(size / FLIST_PART_BYTES)),
    chunks: readPageLinks(fields, Math.ceil(nChunks / CHUNK_LIST_PAGE_ROWS)),
    nChunks,
    bytes: fields.integer('bytes', nChunks),
    files: fields.integer('files'),
  }
  fields.end()
  if (descriptor.parts.length !== Math.ceil(size / FLIST_PART_BYTES))
    throw fields.fail('parts do not cover the size')
  if (new Set(descriptor.chunks.map(toHex)).size !== descriptor.chunks.length)
    throw fields.fail('chunks links to a page twice')
  return descriptor
}

function readPageLinks(fields: RecordReader, pages: number): Uint8Array[] {
  return fields.array('chunks', pages, pages).map((link) => {
    const digest = linkDigest(link)
    if (digest === undefined) throw fields.fail('chunks does not link to chunk-list pages')
    return digest
  })
}

/** SHA-256 of a descriptor's or page's canonical bytes: the name it is kept and linked by. */
export function descriptorId(bytes: Uint8Array): Uint8Array {
  return createHash('sha256').update(bytes).digest()
}

/** SHA-256 of each part of a flist file. */
export function flistParts(file: Uint8Array): Uint8Array[] {
  const count = Math.ceil(file.length / FLIST_PART_BYTES)
  return Array.from({ length: count }, (_, index) => {
    const from = index * FLIST_PART_BYTES
    return createHash('sha256')
      .update(file.subarray(from, from + FLIST_PART_BYTES))
      .digest()
  })
}

/** Cuts rows that are sorted by id, each id once, into pages: all full but the last, so equal lists have equal pages. */
export function* chunkListPages(rows: readonly ChunkListRow[]): Generator<readonly ChunkListRow[]> {
  for (let from = 0; from < rows.length; from += CHUNK_LIST_PAGE_ROWS) {
    yield rows.slice(from, from + CHUNK_LIST_PAGE_ROWS)
  }
}

/** @throws {RangeError} for rows that are no page: none, too many, or out of order. */
export function encodeChunkListPage(rows: readonly ChunkListRow[]): Uint8Array {
  if (rows.length === 0 || rows.length > CHUNK_LIST_PAGE_ROWS || !isSorted(rows)) {
    throw new RangeError('a page has 1 to 8192 rows, sorted by id, each id once')
  }
  return encodeRows(rows)
}

/** @throws {MalformedError | LimitError} for anything but the canonical bytes of a page. */
export function decodeChunkListPage(bytes: Uint8Array): ChunkListRow[] {
  const format = 'chunk list page'
  const wrong = (why: string) => new MalformedError(format, `the ${format} is malformed: ${why}`)
  if (bytes.length > MAX_OBJECT_BYTES) throw new LimitError(format, MAX_OBJECT_BYTES, 'bytes')
  const rows = decodeRows(bytes, format, CHUNK_LIST_PAGE_ROWS)
  if (rows.length === 0) throw wrong('it has no rows')
  for (const [id, length, sha256] of rows) {
    if (id.length !== CHUNK_ID_BYTES && id.length !== FL_CHUNK_ID_BYTES)
      throw wrong('an id is not 16 or 32 bytes')
    if (length < 1 || length > MAX_CHUNK_BYTES) throw wrong('a length is no chunk length')
    if (sha256.length !== SHA256_BYTES) throw wrong('a digest is not 32 bytes')
  }
  if (!isSorted(rows)) throw wrong('ids are not sorted, each once')
  return rows
}

function isSorted(rows: readonly ChunkListRow[]): boolean {
  return rows.every(([id], index) => {
    const before = rows[index - 1]
    return before === undefined || compareBytes(before[0], id) < 0
  })
}
