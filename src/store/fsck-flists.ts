/** Flists: descriptors, chunk lists, bytes and references against the chunks. */
import { setImmediate as breathe } from 'node:timers/promises'
import { CorruptError, HubError } from '../errors.ts'
import type { ChunkListRow } from '../format/descriptor.ts'
import { equalBytes, toHex } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import type { ChunkInfo } from './chunk-store.ts'
import type { FlistId } from './flist-store.ts'
import type { FsckDeps, Report, StoreProblem } from './fsck.ts'
import { parseReferences, ReferenceLookup } from './references.ts'
import { SPACES } from './spaces.ts'

/** Rows of a chunk list looked at in one step. */
const ROWS_AT_ONCE = 256

type Found = Omit<StoreProblem, 'id'>

/** Resolves to the number of flists. */
export async function checkFlists(deps: FsckDeps, report: Report, { signal }: AbortOptions): Promise<number> {
  let done = 0
  for await (const id of deps.flists.ids()) {
    signal?.throwIfAborted()
    done++
    try {
      for await (const found of wrongWithFlist(deps, id)) {
        if (deps.flists.numberOf(id) !== undefined) report({ ...found, id: toHex(id) })
      }
    } catch (error) {
      if (!(error instanceof HubError)) throw error
      report({ kind: 'flist-damaged', id: toHex(id), detail: error.message })
    }
    await breathe()
  }
  return done
}

async function* wrongWithFlist(deps: FsckDeps, id: FlistId): AsyncGenerator<Found> {
  const { flists } = deps
  const descriptor = flists.descriptor(id)
  const number = flists.numberOf(id)
  if (descriptor === undefined || number === undefined) return
  const bytes = await flists.read(id)
  if (bytes !== undefined && bytes.length !== descriptor.size) {
    yield { kind: 'flist-damaged', detail: 'its bytes are not as long as its descriptor says' }
  }
  const references = new ReferenceLookup(deps.rows, number)
  for (const part of flists.partIds(descriptor)) {
    if (part !== undefined && !references.names(part)) yield unreferenced(part)
  }
  let looked = 0
  for await (const page of flists.chunkPages(id)) {
    for (const row of page) {
      yield* wrongWithChunk(deps, id, row, references)
      if (++looked % ROWS_AT_ONCE === 0) await breathe()
    }
  }
}

function* wrongWithChunk(
  deps: FsckDeps,
  flist: FlistId,
  [chunk, length, sha256]: ChunkListRow,
  references: ReferenceLookup,
): Generator<Found> {
  const info = infoOf(deps, chunk)
  if (info === undefined) {
    // Chunks of one that is partial are still to come, or have made room in the cache.
    if (deps.flists.isComplete(flist))
      yield { kind: 'flist-incomplete', detail: `chunk ${toHex(chunk)} is not here` }
  } else if (info.lengthBytes !== length || !equalBytes(info.sha256, sha256)) {
    yield { kind: 'flist-mismatch', detail: `chunk ${toHex(chunk)} is not the one of its list` }
  }
  if (!references.names(chunk)) yield unreferenced(chunk)
}

function unreferenced(chunk: Uint8Array): Found {
  return { kind: 'reference-missing', detail: `nothing keeps chunk ${toHex(chunk)} for it` }
}

/** A chunk whose row is damaged is not here; that has been reported. */
function infoOf({ chunks }: FsckDeps, id: Uint8Array): ChunkInfo | undefined {
  try {
    return chunks.info(id)
  } catch (error) {
    if (error instanceof CorruptError) return undefined
    throw error
  }
}

/** A reference of a flist that is complete must name a chunk that is here. */
export async function checkReferences(deps: FsckDeps, report: Report, options: AbortOptions): Promise<void> {
  const { rows, flists } = deps
  const census = await flists.census()
  const present = new Map(census.flists.map(([id, { number }]) => [number, id]))
  for await (const [key, value] of rows.rows(SPACES.references, {}, options)) {
    const { chunks, number } = parseReferences(key, value)
    const id = present.get(number)
    if (id === undefined) continue
    for (const chunk of chunks) {
      if (infoOf(deps, chunk) !== undefined || !flists.isComplete(id)) continue
      const detail = `flist ${toHex(id)} references it, and it is not here`
      report({ kind: 'reference-dangling', id: toHex(chunk), detail })
    }
    await breathe()
  }
}
