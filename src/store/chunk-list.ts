/** What a flist needs, looked up and written down: its chunks by first byte, and the pages that they stand on. */
import { setImmediate as breathe } from 'node:timers/promises'
import { InvalidInputError } from '../errors.ts'
import { CHUNK_ID_BYTES } from '../format/chunk.ts'
import { CHUNK_LIST_PAGE_ROWS, type ChunkListRow } from '../format/descriptor.ts'
import { concat, toHex } from '../util/bytes.ts'
import { ChunkIdSet } from './chunk-id-set.ts'
import type { ChunkInfo, ChunkStore } from './chunk-store.ts'
import { IDS_AT_ONCE, pageOf, type Page } from './flist-digests.ts'
import type { Lease, NewFlist } from './flist-store.ts'
import type { IdGroup } from './references.ts'

/** Without an object for each chunk: it is held in memory until the flist is kept. */
export interface ChunkList {
  readonly count: number
  /** Of all chunks together, encoded. */
  readonly bytes: number
  /** Their ids, each once. */
  readonly groups: readonly IdGroup[]
  /** Rows in order of their ids. */
  readonly pages: readonly Page[]
}

/** The ids of the chunks that a flist references, whichever way it tells of them. */
export function chunkIdsOf(flist: NewFlist): Uint8Array[] {
  if (flist.list === undefined) return [...flist.chunkIds]
  return flist.list.groups.flatMap(({ ids, idBytes }) =>
    Array.from({ length: ids.length / idBytes }, (_, at) => ids.subarray(at * idBytes, (at + 1) * idBytes)),
  )
}

export interface ListOptions {
  /** Brings chunks that are not here; those that do not come are refused. */
  readonly bring?: (missing: readonly Uint8Array[]) => Promise<void>
}

/**
 * The list of these chunks (ids of 16 bytes may stand one behind the other), which `lease` holds from then on: held and looked up in one turn of the event loop.
 * @throws {InvalidInputError} naming a chunk that is not here.
 */
export async function listChunks(
  chunks: Pick<ChunkStore, 'info'>,
  chunkIds: readonly Uint8Array[] | Uint8Array,
  lease: Lease,
  { bring }: ListOptions = {},
): Promise<ChunkList> {
  const set = new ChunkIdSet()
  if (chunkIds instanceof Uint8Array) await set.addPacked(chunkIds, CHUNK_ID_BYTES)
  else await set.addAll(chunkIds)
  const listing = new Listing()
  let waiting = 0
  for (const group of set.inOrder()) {
    for (let from = 0; from < group.length; from += IDS_AT_ONCE) {
      const ids = group.slice(from, from + IDS_AT_ONCE)
      lease.holdChunks(ids)
      const found = ids.map((id) => chunks.info(id))
      const missing = ids.filter((_, at) => found[at] === undefined)
      if (missing.length > 0) await bring?.(missing)
      for (const [at, id] of ids.entries()) listing.add(rowOf(id, found[at] ?? chunks.info(id)))
      waiting += ids.length
      if (waiting < IDS_AT_ONCE) continue
      waiting = 0
      await breathe()
    }
    listing.addGroup(group)
  }
  return listing.end()
}

function rowOf(id: Uint8Array, info: ChunkInfo | undefined): ChunkListRow {
  if (info === undefined) throw new InvalidInputError(`chunk ${toHex(id)} is not here`)
  return [id, info.lengthBytes, info.sha256]
}

class Listing {
  readonly #groups: IdGroup[] = []
  readonly #pages: Page[] = []
  #rows: ChunkListRow[] = []
  #count = 0
  #bytes = 0

  add(row: ChunkListRow): void {
    this.#count++
    this.#bytes += row[1]
    if (this.#rows.push(row) === CHUNK_LIST_PAGE_ROWS) this.#endPage()
  }

  /** Ids with the same first byte, in order. */
  addGroup(ids: readonly Uint8Array[]): void {
    const firstByte = ids[0]?.[0] ?? 0
    for (const [idBytes, same] of byLength(ids)) {
      this.#groups.push({ firstByte, idBytes, ids: concat(same) })
    }
  }

  end(): ChunkList {
    if (this.#rows.length > 0) this.#endPage()
    return { count: this.#count, bytes: this.#bytes, groups: this.#groups, pages: this.#pages }
  }

  #endPage(): void {
    this.#pages.push(pageOf(this.#rows))
    this.#rows = []
  }
}

/**
 * A loop, not `filter` with a comparison of lengths: V8 gives the optimized code of that up each time it runs, and
 * compiles it again (Node 20), which was a third of the CPU time of a large merge.
 */
function byLength(ids: readonly Uint8Array[]): Map<number, Uint8Array[]> {
  const groups = new Map<number, Uint8Array[]>()
  for (const id of ids) {
    const same = groups.get(id.length)
    if (same === undefined) groups.set(id.length, [id])
    else same.push(id)
  }
  return groups
}
