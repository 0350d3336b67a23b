/** What a flist needs, looked up and written down: the rows of its chunks, and the pages that they stand on. */
import { setImmediate as breathe } from 'node:timers/promises'
import { InvalidInputError } from '../errors.ts'
import type { ChunkListRow } from '../format/descriptor.ts'
import { toHex } from '../util/bytes.ts'
import type { ChunkStore } from './chunk-store.ts'
import { IDS_AT_ONCE, pagesOf, sortedOnce, type Page } from './flist-digests.ts'
import type { Lease } from './flist-store.ts'

export interface ChunkList {
  /** In order of their ids, each once. */
  readonly rows: readonly ChunkListRow[]
  readonly pages: readonly Page[]
}

/**
 * The list of chunks, which `lease` holds from then on: held and looked up in one turn of the event loop.
 * @throws {InvalidInputError} naming a chunk that is not here.
 */
export async function listChunks(
  chunks: Pick<ChunkStore, 'info'>,
  chunkIds: readonly Uint8Array[],
  lease: Lease,
): Promise<ChunkList> {
  const rows: ChunkListRow[] = []
  const ids = await sortedOnce(chunkIds)
  for (let from = 0; from < ids.length; from += IDS_AT_ONCE) {
    const slice = ids.slice(from, from + IDS_AT_ONCE)
    lease.holdChunks(slice)
    for (const id of slice) {
      const info = chunks.info(id)
      if (info === undefined) throw new InvalidInputError(`chunk ${toHex(id)} is not here`)
      rows.push([id, info.lengthBytes, info.sha256])
    }
    await breathe()
  }
  return { rows, pages: await pagesOf(rows) }
}
