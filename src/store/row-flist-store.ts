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
import { digestFlist, type FlistDigests, type Page, type Part } from './flist-digests.ts'
import type {
  FetchedFlist,
  FetchedFlists,
  FlistId,
  FlistStore,
  Lease,
  NewFlist,
  ServedFlists,
} from './flist-store.ts'
import { checkFetched } from './check-fetched.ts'
import { decodeFlistRow, encodeFlistRow, type FlistRow } from './flist-row.ts'
import { decodeNumber } from './number-row.ts'
import { ObjectSweeper } from './object-sweeper.ts'
import { referenceDeletions, ReferenceLookup, referenceRows, type IdGroup } from './references.ts'
import type { RowChange, RowStore } from './row-store.ts'
import { SPACES } from './spaces.ts'

/** Pages of one batch, half a megabyte each. */
const SLICE_PAGES = 8

/** Of references, in one batch. */
const SLICE_BYTES = 1 * MIB

/** Parts read in one step. */
const PARTS_AT_ONCE = 4

const NEXT_NUMBER = fromUtf8('next-flist')

export class RowFlistStore implements FlistStore, FetchedFlists, ServedFlists {
  readonly #rows: RowStore
  readonly #chunks: ChunkStore
  readonly #isPurged: (id: FlistId) => boolean
  readonly #turn = new Mutex()
  /** Flists whose deletion is decided and not yet durable: whoever takes a hold from then on must not find them. */
  readonly #leaving = new Set<string>()
  readonly #sweeper: ObjectSweeper

  /** `isPurged`: must a flist not exist here? */
  constructor(rows: RowStore, chunks: ChunkStore, isPurged: (id: FlistId) => boolean = () => false) {
    this.#rows = rows
    this.#chunks = chunks
    this.#isPurged = isPurged
    this.#sweeper = new ObjectSweeper(rows, this.#turn, (id) => this.#descriptorIfGood(id))
  }

  put(flist: NewFlist, lease: Lease): Promise<FlistId> {
    return this.#turn.run(() => this.#put(flist, lease))
  }

  putPartial(flist: FetchedFlist, lease: Lease): Promise<void> {
    return this.#turn.run(async () => {
      const { list, parts, pages } = await checkFetched(flist)
      const { id, descriptor } = flist
      this.#refusePurged(id)
      this.#hold(lease, id, pages, parts)
      lease.holdChunks(list)
      if (this.rowOf(id) === undefined)
        await this.#keep({ id, descriptor, pages, parts, chunkIds: list }, 'partial')
    })
  }

  complete(id: FlistId): Promise<boolean> {
    return this.#turn.run(async () => {
      const row = this.rowOf(id)
      if (row?.state !== 'partial') return row !== undefined
      for await (const page of this.chunkPages(id)) {
        for (const [chunk, , sha256] of page) {
          const info = this.#chunks.info(chunk)
          if (info === undefined || info.isDamaged === true) return false
          if (!equalBytes(info.sha256, sha256)) throw otherChunk(id, chunk)
        }
      }
      if (this.rowOf(id) === undefined) return false // deleted meanwhile
      await this.#rows.write([flistChange(id, { ...row, state: 'fetched' })])
      return true
    })
  }

  isComplete(id: FlistId): boolean {
    const row = this.rowOf(id)
    return row !== undefined && row.state !== 'partial'
  }

  async *partials(): AsyncGenerator<FlistId> {
    for await (const [id, row] of this.#rows.rows(SPACES.flists)) {
      if (decodeFlistRow(row).state === 'partial') yield id
    }
  }

  names(id: FlistId, chunk: Uint8Array): boolean {
    const number = this.numberOf(id)
    return number !== undefined && new ReferenceLookup(this.#rows, number).names(chunk)
  }

  /** Before chunks of it leave: of those that peers sent, it is no longer said that they are complete. */
  setPartial(ids: readonly FlistId[]): Promise<void> {
    return this.#turn.run(async () => {
      const changes = ids.flatMap((id): RowChange[] => {
        const row = this.rowOf(id)
        return row?.state === 'fetched' ? [flistChange(id, { ...row, state: 'partial' })] : []
      })
      if (changes.length > 0) await this.#rows.write(changes)
    })
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

  /** Every flist with its row, and the last number given out; no flist is on its way meanwhile. */
  census(): Promise<{ readonly flists: ReadonlyArray<readonly [FlistId, FlistRow]>; readonly last: number }> {
    return this.#turn.run(async () => {
      const flists: Array<readonly [FlistId, FlistRow]> = []
      for await (const [id, row] of this.#rows.rows(SPACES.flists)) flists.push([id, decodeFlistRow(row)])
      return { flists, last: this.#nextNumber() - 1 }
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
    return this.rowOf(id)?.number
  }

  rowOf(id: FlistId): FlistRow | undefined {
    if (this.#leaving.size > 0 && this.#leaving.has(toHex(id))) return undefined
    const row = this.#rows.get(SPACES.flists, id)
    return row && decodeFlistRow(row)
  }

  /** Drops objects and part rows that no flist names any more, or none while a descriptor is damaged. Flists come and go meanwhile. */
  sweep(options?: AbortOptions): Promise<void> {
    return this.#sweeper.run(options)
  }

  async #put(flist: NewFlist, lease: Lease): Promise<FlistId> {
    const list = flist.list ?? (await listChunks(this.#chunks, flist.chunkIds, lease))
    const { pages } = list
    const digests = await digestFlist(flist.bytes)
    const { parts } = digests
    const descriptor = encodeDescriptor(describe(flist, list, digests))
    const id = descriptorId(descriptor)
    this.#refusePurged(id)
    this.#hold(lease, id, pages, parts)
    const row = this.rowOf(id)
    if (row === undefined) {
      await this.#keep({ id, descriptor, pages, parts, groups: list.groups }, 'own')
    } else if (row.state !== 'own') await this.#rows.write([flistChange(id, { ...row, state: 'own' })])
    return id
  }

  #refusePurged(id: FlistId): void {
    if (this.#isPurged(id))
      throw new ConflictError('this content was purged from the realm: it is not taken again')
  }

  #hold(lease: Lease, id: FlistId, pages: readonly Page[], parts: readonly Part[]): void {
    lease.holdFlist(id)
    lease.holdChunks(parts.map((part) => part.id))
    this.#sweeper.name([id, ...pages.map((page) => page.id), ...parts.map(({ sha256 }) => sha256)])
  }

  async #keep(
    { id, descriptor, pages, parts, chunkIds = [], groups = [] }: KeptFlist,
    state: FlistRow['state'],
  ): Promise<void> {
    const number = this.#nextNumber()
    const referenced = [...chunkIds, ...parts.map((part) => part.id)]
    await inFull([
      this.#chunks.write(parts),
      this.#writeReferences(referenceRows(number, referenced, groups), [
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
      flistChange(id, { number, state }),
    ])
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

/** Everything of a flist that goes to the disk; `list` are the ids of its chunks. */
interface KeptFlist {
  readonly id: FlistId
  readonly descriptor: Uint8Array
  readonly pages: readonly Page[]
  readonly parts: readonly Part[]
  /** One by one, or together. */
  readonly chunkIds?: readonly Uint8Array[]
  readonly groups?: readonly IdGroup[]
}

function otherChunk(id: FlistId, chunk: Uint8Array): CorruptError {
  return new CorruptError(toHex(chunk), `chunk ${toHex(chunk)} is not the one that flist ${toHex(id)} needs`)
}

function flistChange(id: FlistId, row: FlistRow): RowChange {
  return put(SPACES.flists, id, encodeFlistRow(row))
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
