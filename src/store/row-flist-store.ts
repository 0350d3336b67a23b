/**
 * Flists: their bytes as content-addressed parts in the chunk store, their descriptor, chunk list and references as
 * rows. References are presence rows (chunk ‖ flist number), never counters, so that a crash cannot make them wrong;
 * the row of the flist itself goes last, in one batch with the objects it names.
 */
import { createHash } from 'node:crypto'
import { setImmediate as breathe } from 'node:timers/promises'
import { CorruptError, InvalidInputError } from '../errors.ts'
import { blake2b256 } from '../format/blake2b.ts'
import {
  chunkListPages,
  decodeChunkListPage,
  decodeDescriptor,
  descriptorId,
  encodeChunkListPage,
  encodeDescriptor,
  FLIST_PART_BYTES,
  type ChunkListRow,
  type Descriptor,
} from '../format/descriptor.ts'
import { concat, equalBytes, fromUtf8, readU64be, toHex, toLatin1, u64be } from '../util/bytes.ts'
import { Mutex } from '../util/mutex.ts'
import type { AbortOptions } from '../util/units.ts'
import type { ChunkStore } from './chunk-store.ts'
import type { FlistId, FlistStore, Lease, NewFlist } from './flist-store.ts'
import type { RowChange, RowStore } from './row-store.ts'
import { SPACES } from './spaces.ts'

/** Rows of one batch: more would hold the event loop for longer than 10 ms. */
const SLICE_ROWS = 2000
const NUMBER_BYTES = 6
const NEXT_NUMBER = fromUtf8('next-flist')

/** A part of a flist file: kept as a chunk under its BLAKE2b-256. */
interface Part {
  readonly id: Uint8Array
  readonly bytes: Uint8Array
  readonly sha256: Uint8Array
}

export class RowFlistStore implements FlistStore {
  readonly #rows: RowStore
  readonly #chunks: ChunkStore
  readonly #turn = new Mutex()

  constructor(rows: RowStore, chunks: ChunkStore) {
    this.#rows = rows
    this.#chunks = chunks
  }

  put(flist: NewFlist, lease: Lease): Promise<FlistId> {
    lease.holdChunks(flist.chunkIds)
    return this.#turn.run(() => this.#put(flist, lease))
  }

  descriptor(id: FlistId): Descriptor | undefined {
    if (this.#rows.get(SPACES.flists, id) === undefined) return undefined
    const bytes = this.#rows.get(SPACES.objects, id)
    if (bytes === undefined) throw new CorruptError(toHex(id), `flist ${toHex(id)} has lost its descriptor`)
    return decodeDescriptor(bytes)
  }

  async read(id: FlistId, { signal }: AbortOptions = {}): Promise<Uint8Array | undefined> {
    signal?.throwIfAborted()
    const descriptor = this.descriptor(id)
    if (descriptor === undefined) return undefined
    const bytes = concat(descriptor.parts.map((sha256) => this.#readPart(id, sha256)))
    const actual = createHash('sha256').update(bytes).digest()
    if (!equalBytes(actual, descriptor.sha256)) {
      throw new CorruptError(toHex(id), `the bytes of flist ${toHex(id)} are damaged on this disk`)
    }
    return bytes
  }

  async chunkIds(id: FlistId): Promise<Uint8Array[] | undefined> {
    return (await this.chunkList(id))?.map(([chunk]) => chunk)
  }

  /** Its chunks with length and SHA-256, sorted by id. @throws {CorruptError} when a page is lost. */
  async chunkList(id: FlistId): Promise<ChunkListRow[] | undefined> {
    const descriptor = this.descriptor(id)
    if (descriptor === undefined) return undefined
    const rows: ChunkListRow[] = []
    for (const page of descriptor.chunks) {
      const bytes = this.#rows.get(SPACES.objects, page)
      if (bytes === undefined)
        throw new CorruptError(toHex(id), `flist ${toHex(id)} has lost a page of its chunk list`)
      for (const row of decodeChunkListPage(bytes)) rows.push(row)
      await breathe()
    }
    return rows
  }

  async *ids(): AsyncGenerator<FlistId> {
    for await (const [id] of this.#rows.rows(SPACES.flists)) yield id
  }

  /** With `isStillUnwanted`, looks once more in the turn in which it deletes. */
  delete(id: FlistId, isStillUnwanted: () => boolean = () => true): Promise<void> {
    return this.#turn.run(async () => {
      if (isStillUnwanted()) await this.#delete(id)
    })
  }

  /** Every flist with the number of its references, and the last number given out; no flist is on its way meanwhile. */
  census(): Promise<{ readonly numbers: ReadonlyArray<readonly [FlistId, number]>; readonly last: number }> {
    return this.#turn.run(async () => {
      const numbers: Array<readonly [FlistId, number]> = []
      for await (const [id, row] of this.#rows.rows(SPACES.flists)) numbers.push([id, readU64be(row)])
      const next = this.#rows.get(SPACES.own, NEXT_NUMBER)
      return { numbers, last: next === undefined ? 0 : readU64be(next) - 1 }
    })
  }

  /** Chunk ids under which the parts of a flist are kept, in order; `undefined` for a part that is lost. */
  partIds({ parts }: Descriptor): Array<Uint8Array | undefined> {
    return parts.map((sha256) => this.#rows.get(SPACES.parts, sha256))
  }

  /** Number under which a flist's references stand. */
  numberOf(id: FlistId): number | undefined {
    const row = this.#rows.get(SPACES.flists, id)
    return row === undefined ? undefined : readU64be(row)
  }

  /** Drops objects and part rows that no flist names any more. Nothing is put meanwhile. */
  sweep(options?: AbortOptions): Promise<void> {
    return this.#turn.run(async () => {
      const named = new Set<string>()
      for await (const id of this.ids()) {
        const descriptor = this.descriptor(id)
        named.add(toHex(id))
        for (const object of [...(descriptor?.chunks ?? []), ...(descriptor?.parts ?? [])])
          named.add(toHex(object))
      }
      for (const space of [SPACES.objects, SPACES.parts]) {
        for await (const [key] of this.#rows.rows(space, {}, options)) {
          if (!named.has(toHex(key))) await this.#rows.write([{ type: 'delete', space, key }])
        }
      }
    })
  }

  async #put(flist: NewFlist, lease: Lease): Promise<FlistId> {
    const list = await this.#chunkRows(flist)
    const pages: Uint8Array[] = []
    for (const rows of chunkListPages(list)) {
      pages.push(encodeChunkListPage(rows))
      await breathe()
    }
    const parts = partsOf(flist.bytes)
    const descriptor = encodeDescriptor(describe(flist, list, pages, parts))
    const id = descriptorId(descriptor)
    lease.holdFlist(id)
    lease.holdChunks(parts.map((part) => part.id))
    if (this.#rows.get(SPACES.flists, id) !== undefined) return id

    await this.#chunks.write(parts)
    const number = await this.#takeNumber()
    const referenced = [...list.map(([chunk]) => chunk), ...parts.map((part) => part.id)]
    await this.#writeSlices(referenced.map((chunk) => referenceChange('put', chunk, number)))
    await this.#rows.write([
      ...pages.map((page) => put(SPACES.objects, descriptorId(page), page)),
      ...parts.map((part) => put(SPACES.parts, part.sha256, part.id)),
      put(SPACES.objects, id, descriptor),
      put(SPACES.flists, id, u64be(number)),
    ])
    return id
  }

  /** @throws {InvalidInputError} naming a chunk that is not here. */
  async #chunkRows({ chunkIds }: NewFlist): Promise<ChunkListRow[]> {
    const list: ChunkListRow[] = []
    for (const [at, id] of sortedOnce(chunkIds).entries()) {
      const info = this.#chunks.info(id)
      if (info === undefined) throw new InvalidInputError(`chunk ${toHex(id)} is not here`)
      list.push([id, info.lengthBytes, info.sha256])
      if (at % SLICE_ROWS === SLICE_ROWS - 1) await breathe()
    }
    return list
  }

  async #delete(id: FlistId): Promise<void> {
    const number = this.numberOf(id)
    if (number === undefined) return
    const list = await this.chunkList(id).catch(() => undefined) // damaged: the collector finds its references
    const descriptor = this.descriptor(id)
    const parts =
      descriptor === undefined ? [] : this.partIds(descriptor).filter((part) => part !== undefined)
    await this.#rows.write([{ type: 'delete', space: SPACES.flists, key: id }])
    const referenced = [...(list ?? []).map(([chunk]) => chunk), ...parts]
    await this.#writeSlices(referenced.map((chunk) => referenceChange('delete', chunk, number)))
  }

  /** Durable before it is used, so that references which a crash left are never another flist's. */
  async #takeNumber(): Promise<number> {
    const row = this.#rows.get(SPACES.own, NEXT_NUMBER)
    const number = row === undefined ? 1 : readU64be(row)
    await this.#rows.write([put(SPACES.own, NEXT_NUMBER, u64be(number + 1))])
    return number
  }

  async #writeSlices(changes: readonly RowChange[]): Promise<void> {
    for (let from = 0; from < changes.length; from += SLICE_ROWS) {
      await this.#rows.write(changes.slice(from, from + SLICE_ROWS))
      await breathe()
    }
  }

  #readPart(flist: FlistId, sha256: Uint8Array): Uint8Array {
    const id = this.#rows.get(SPACES.parts, sha256)
    const bytes = id === undefined ? undefined : this.#chunks.read(id)
    if (bytes === undefined) throw new CorruptError(toHex(flist), `flist ${toHex(flist)} has lost a part`)
    return bytes
  }
}

function partsOf(bytes: Uint8Array): Part[] {
  const parts: Part[] = []
  for (let from = 0; from < bytes.length; from += FLIST_PART_BYTES) {
    const part = bytes.subarray(from, from + FLIST_PART_BYTES)
    parts.push({ id: blake2b256(part), bytes: part, sha256: createHash('sha256').update(part).digest() })
  }
  return parts
}

/** In byte order, each once. As texts of a character a byte: five times faster than comparing bytes. */
function sortedOnce(ids: readonly Uint8Array[]): Uint8Array[] {
  return [...new Set(ids.map(toLatin1))].sort().map((text) => Buffer.from(text, 'latin1'))
}

function describe(
  { format, bytes, files }: NewFlist,
  list: readonly ChunkListRow[],
  pages: readonly Uint8Array[],
  parts: readonly Part[],
): Descriptor {
  return {
    v: 1,
    fmt: format,
    size: bytes.length,
    sha256: createHash('sha256').update(bytes).digest(),
    md5: createHash('md5').update(bytes).digest(),
    parts: parts.map(({ sha256 }) => sha256),
    chunks: pages.map(descriptorId),
    nChunks: list.length,
    bytes: list.reduce((sum, [, length]) => sum + length, 0),
    files,
  }
}

function put(space: string, key: Uint8Array, value: Uint8Array): RowChange {
  return { type: 'put', space, key, value }
}

/** A flist's hold on a chunk. */
export function referenceChange(type: 'put' | 'delete', chunk: Uint8Array, number: number): RowChange {
  const key = concat([chunk, u64be(number).subarray(8 - NUMBER_BYTES)])
  return type === 'put'
    ? { type, space: SPACES.references, key, value: new Uint8Array() }
    : { type, space: SPACES.references, key }
}

/** Chunk and flist number of a reference row's key. */
export function parseReference(key: Uint8Array): { chunk: Uint8Array; number: number } {
  const at = key.length - NUMBER_BYTES
  return { chunk: key.subarray(0, at), number: Buffer.from(key).readUIntBE(at, NUMBER_BYTES) }
}
