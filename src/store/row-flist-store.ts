/**
 * Flists: their bytes as content-addressed parts in the chunk store, their descriptor, chunk list and references as
 * rows. References are lists of chunks by flist, never counters, so that a crash cannot make them wrong; the row of the flist itself goes last, in one batch with its descriptor.
 */
import { createHash } from 'node:crypto'
import { setImmediate as breathe } from 'node:timers/promises'
import { ConflictError, CorruptError, HubError } from '../errors.ts'
import {
  decodeChunkListPage,
  decodeDescriptor,
  descriptorId,
  encodeDescriptor,
  type ChunkListRow,
  type Descriptor,
} from '../format/descriptor.ts'
import { concat, equalBytes, fromUtf8, toHex, u64be } from '../util/bytes.ts'
import { Mutex } from '../util/mutex.ts'
import { MIB, type AbortOptions } from '../util/units.ts'
import { listChunks, type ChunkList } from './chunk-list.ts'
import type { ChunkStore } from './chunk-store.ts'
import { digestFlist, type FlistDigests, type Page } from './flist-digests.ts'
import type { FlistId, FlistStore, Lease, NewFlist, ServedFlists } from './flist-store.ts'
import { decodeNumber } from './number-row.ts'
import { referenceDeletions, referenceRows } from './references.ts'
import type { RowChange, RowStore } from './row-store.ts'
import { SPACES } from './spaces.ts'

/** Rows of one batch: more would hold the event loop for longer than 10 ms. */
const SLICE_ROWS = 2000

/** Pages of one batch, half a megabyte each. */
const SLICE_PAGES = 8

/** Of references, in one batch. */
const SLICE_BYTES = 1 * MIB

/** Parts read in one step. */
const PARTS_AT_ONCE = 4

const NEXT_NUMBER = fromUtf8('next-flist')

export class RowFlistStore implements FlistStore, ServedFlists {
  readonly #rows: RowStore
  readonly #chunks: ChunkStore
  readonly #isPurged: (id: FlistId) => boolean
  readonly #turn = new Mutex()
  /** Flists whose deletion is decided and not yet durable: whoever takes a hold from then on must not find them. */
  readonly #leaving = new Set<string>()
  /** Objects and parts that flists have come to name since each sweep under way began. */
  readonly #sweeps = new Set<Set<string>>()

  /** `isPurged`: must a flist not exist here? */
  constructor(rows: RowStore, chunks: ChunkStore, isPurged: (id: FlistId) => boolean = () => false) {
    this.#rows = rows
    this.#chunks = chunks
    this.#isPurged = isPurged
  }

  put(flist: NewFlist, lease: Lease): Promise<FlistId> {
    return this.#turn.run(() => this.#put(flist, lease))
  }

  /** @throws {CorruptError} when it is lost or damaged. */
  descriptor(id: FlistId): Descriptor | undefined {
    return this.numberOf(id) === undefined ? undefined : this.#decodeDescriptor(id)
  }

  async read(id: FlistId, { signal }: AbortOptions = {}): Promise<Uint8Array | undefined> {
    signal?.throwIfAborted()
    const descriptor = this.descriptor(id)
    if (descriptor === undefined) return undefined
    const hash = createHash('sha256')
    const parts: Uint8Array[] = []
    for (const sha256 of descriptor.parts) {
      const part = this.#readPart(id, sha256)
      if (part === undefined) return undefined
      hash.update(part)
      parts.push(part)
      if (parts.length % PARTS_AT_ONCE === 0) await breathe()
    }
    if (!equalBytes(hash.digest(), descriptor.sha256)) {
      throw new CorruptError(toHex(id), `the bytes of flist ${toHex(id)} are damaged on this disk`)
    }
    return concat(parts)
  }

  async chunkIds(id: FlistId): Promise<Uint8Array[] | undefined> {
    const ids: Uint8Array[] = []
    for await (const page of this.chunkPages(id)) for (const [chunk] of page) ids.push(chunk)
    return this.numberOf(id) === undefined ? undefined : ids
  }

  /** Its chunks with length and SHA-256, sorted by id. @throws {CorruptError} when a page is lost or damaged. */
  async *chunkPages(id: FlistId): AsyncGenerator<readonly ChunkListRow[]> {
    for (const page of this.descriptor(id)?.chunks ?? []) {
      if (this.numberOf(id) === undefined) return // deleted while we read
      yield decodeChunkListPage(this.#object(id, page, 'a page of its chunk list'))
      await breathe()
    }
  }

  async *ids(): AsyncGenerator<FlistId> {
    for await (const [id] of this.#rows.rows(SPACES.flists)) yield id
  }

  /** Resolves when what was under way is done. */
  settled(): Promise<void> {
    return this.#turn.run(async () => {})
  }

  /** With `isStillUnwanted`, looks once more in the turn from which on nobody finds it. */
  delete(id: FlistId, isStillUnwanted: () => boolean = () => true): Promise<void> {
    return this.#turn.run(() => this.#delete(id, isStillUnwanted))
  }

  /** Every flist with the number of its references, and the last number given out; no flist is on its way meanwhile. */
  census(): Promise<{ readonly numbers: ReadonlyArray<readonly [FlistId, number]>; readonly last: number }> {
    return this.#turn.run(async () => {
      const numbers: Array<readonly [FlistId, number]> = []
      for await (const [id, row] of this.#rows.rows(SPACES.flists)) numbers.push([id, readFlistNumber(row)])
      return { numbers, last: this.#nextNumber() - 1 }
    })
  }

  object(id: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(SPACES.objects, id)
  }

  partId(sha256: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(SPACES.parts, sha256)
  }

  /** Chunk ids under which the parts of a flist are kept, in order; `undefined` for a part that is lost. */
  partIds({ parts }: Descriptor): Array<Uint8Array | undefined> {
    return parts.map((sha256) => this.#rows.get(SPACES.parts, sha256))
  }

  /** Number under which a flist's references stand. */
  numberOf(id: FlistId): number | undefined {
    if (this.#leaving.size > 0 && this.#leaving.has(toHex(id))) return undefined
    const row = this.#rows.get(SPACES.flists, id)
    return row === undefined ? undefined : readFlistNumber(row)
  }

  /** Drops objects and part rows that no flist names any more, or none while a descriptor is damaged. Flists come and go meanwhile. */
  async sweep(options?: AbortOptions): Promise<void> {
    const since = new Set<string>()
    await this.#turn.run(async () => void this.#sweeps.add(since)) // when none is half put
    try {
      const named = await this.#namedObjects(options)
      if (named === undefined) return
      for (const space of [SPACES.objects, SPACES.parts]) {
        let unnamed: Uint8Array[] = []
        for await (const [key] of this.#rows.rows(space, {}, options)) {
          if (!named.has(toHex(key))) unnamed.push(key)
          if (unnamed.length < SLICE_ROWS) continue
          await this.#drop(space, unnamed, since)
          unnamed = []
        }
        await this.#drop(space, unnamed, since)
      }
    } finally {
      this.#sweeps.delete(since)
    }
  }

  async #put(flist: NewFlist, lease: Lease): Promise<FlistId> {
    const list = flist.list ?? (await listChunks(this.#chunks, flist.chunkIds, lease))
    const { pages } = list
    const digests = await digestFlist(flist.bytes)
    const { parts } = digests
    const descriptor = encodeDescriptor(describe(flist, list, digests))
    const id = descriptorId(descriptor)
    if (this.#isPurged(id)) {
      throw new ConflictError('this content was purged from the realm: it is not taken again')
    }
    lease.holdFlist(id)
    lease.holdChunks(parts.map((part) => part.id))
    this.#name([id, ...pages.map((page) => page.id), ...parts.map(({ sha256 }) => sha256)])
    if (this.numberOf(id) !== undefined) return id

    const number = this.#nextNumber()
    const partIds = parts.map((part) => part.id)
    await inFull([
      this.#chunks.write(parts),
      this.#writeReferences(referenceRows(number, partIds, list.groups), [
        put(SPACES.own, NEXT_NUMBER, u64be(number + 1)), // first: what a crash leaves is never another flist's
      ]),
    ])
    const ahead = pages.length - (pages.length % SLICE_PAGES)
    for (let from = 0; from < ahead; from += SLICE_PAGES) {
      await this.#rows.write(pages.slice(from, from + SLICE_PAGES).map((page) => objectChange(page)))
    }
    await this.#rows.write([
      ...pages.slice(ahead).map((page) => objectChange(page)),
      ...parts.map((part) => put(SPACES.parts, part.sha256, part.id)),
      objectChange({ id, bytes: descriptor }),
      put(SPACES.flists, id, u64be(number)),
    ])
    return id
  }

  /** Batch by batch; `first` goes with the first. */
  async #writeReferences(
    references: ReturnType<typeof referenceRows>,
    first: readonly RowChange[],
  ): Promise<void> {
    let batch = [...first]
    let bytes = 0
    for (const change of references) {
      batch.push(change)
      bytes += change.value.length
      if (bytes < SLICE_BYTES) continue
      await this.#rows.write(batch)
      batch = []
      bytes = 0
    }
    await this.#rows.write(batch)
  }

  async #delete(id: FlistId, isStillUnwanted: () => boolean): Promise<void> {
    const number = this.numberOf(id)
    if (number === undefined || !isStillUnwanted()) return
    this.#leaving.add(toHex(id))
    try {
      await this.#rows.write([
        { type: 'delete', space: SPACES.flists, key: id },
        { type: 'delete', space: SPACES.objects, key: id },
      ])
    } finally {
      this.#leaving.delete(toHex(id))
    }
    await this.#rows.write([...referenceDeletions(this.#rows, number)])
  }

  #nextNumber(): number {
    const row = this.#rows.get(SPACES.own, NEXT_NUMBER)
    return row === undefined ? 1 : decodeNumber(row, 'the number of the next flist')
  }

  #name(objects: readonly Uint8Array[]): void {
    for (const sweep of this.#sweeps) for (const object of objects) sweep.add(toHex(object))
  }

  /** `undefined` when a flist cannot tell. */
  async #namedObjects(options?: AbortOptions): Promise<Set<string> | undefined> {
    const named = new Set<string>()
    for await (const [id] of this.#rows.rows(SPACES.flists, {}, options)) {
      const descriptor = this.#descriptorIfGood(id)
      if (descriptor === undefined) {
        if (this.#rows.get(SPACES.flists, id) !== undefined) return undefined
        continue // deleted meanwhile
      }
      for (const object of [id, ...descriptor.chunks, ...descriptor.parts]) named.add(toHex(object))
    }
    return named
  }

  #decodeDescriptor(id: FlistId): Descriptor {
    return decodeDescriptor(this.#object(id, id, 'its descriptor'))
  }

  #descriptorIfGood(id: FlistId): Descriptor | undefined {
    try {
      return this.#decodeDescriptor(id)
    } catch (error) {
      if (error instanceof HubError) return undefined
      throw error
    }
  }

  #drop(space: string, unnamed: readonly Uint8Array[], since: ReadonlySet<string>): Promise<void> {
    return this.#turn.run(() => {
      const still = unnamed.filter((key) => !since.has(toHex(key)))
      return this.#rows.write(still.map((key) => ({ type: 'delete', space, key })))
    })
  }

  /** Bytes that are kept under their SHA-256. */
  #object(flist: FlistId, id: Uint8Array, what: string): Uint8Array {
    const bytes = this.#rows.get(SPACES.objects, id)
    if (bytes === undefined) throw new CorruptError(toHex(flist), `flist ${toHex(flist)} has lost ${what}`)
    if (equalBytes(descriptorId(bytes), id)) return bytes
    throw new CorruptError(toHex(flist), `${what} is damaged on this disk: flist ${toHex(flist)}`)
  }

  /** `undefined` when the flist has been deleted meanwhile. */
  #readPart(flist: FlistId, sha256: Uint8Array): Uint8Array | undefined {
    const id = this.#rows.get(SPACES.parts, sha256)
    const bytes = id === undefined ? undefined : this.#chunks.read(id)
    if (bytes !== undefined || this.numberOf(flist) === undefined) return bytes
    throw new CorruptError(toHex(flist), `flist ${toHex(flist)} has lost a part`)
  }
}

function readFlistNumber(row: Uint8Array): number {
  return decodeNumber(row, 'the number of a flist')
}

function describe(
  { format, bytes, files }: NewFlist,
  { pages, count, bytes: chunkBytes }: ChunkList,
  { parts, sha256, md5 }: FlistDigests,
): Descriptor {
  return {
    v: 1,
    fmt: format,
    size: bytes.length,
    sha256,
    md5,
    parts: parts.map((part) => part.sha256),
    chunks: pages.map(({ id }) => id),
    nChunks: count,
    bytes: chunkBytes,
    files,
  }
}

/** Waits for all, also when one fails. */
async function inFull(works: ReadonlyArray<Promise<void>>): Promise<void> {
  for (const result of await Promise.allSettled(works)) if (result.status === 'rejected') throw result.reason
}

function objectChange({ id, bytes }: Page): RowChange {
  return put(SPACES.objects, id, bytes)
}

function put(space: string, key: Uint8Array, value: Uint8Array): RowChange {
  return { type: 'put', space, key, value }
}
