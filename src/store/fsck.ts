/**
 * Everything this node keeps against everything it says of it. Reads all of it, a few at a time; works on a running
 * node, whose collector waits meanwhile. What a crash may leave behind (unreferenced chunks, references of a flist that
 * never came) is no problem: the collector takes it.
 */
import { checkChunks, checkPlain } from './fsck-chunks.ts'
import { checkFlists, checkReferences } from './fsck-flists.ts'
import type { AbortOptions } from '../util/units.ts'
import type { LevelChunkStore } from './level-chunk-store.ts'
import type { PayloadLog } from './payload-log.ts'
import type { RowFlistStore } from './row-flist-store.ts'
import type { RowStore } from './row-store.ts'

export type StoreProblemKind =
  /** The index row of a chunk cannot be read. */
  | 'chunk-row'
  /** A chunk without a payload. */
  | 'chunk-lost'
  /** Other bytes than were stored. */
  | 'chunk-damaged'
  /** The bytes that were stored, under an id that is not theirs. */
  | 'chunk-misfiled'
  /** A payload that no chunk names. */
  | 'payload-stray'
  /** Counts of chunks and bytes that are not those of the rows. */
  | 'totals-wrong'
  /** A plain key whose chunk is not here, or is of other content. */
  | 'plain-dangling'
  /** A chunk that does not decode to the content it is known for. */
  | 'plain-wrong'
  /** A flist whose descriptor, list or bytes are lost or damaged. */
  | 'flist-damaged'
  /** A flist whose chunk is not here. */
  | 'flist-incomplete'
  /** A flist whose chunk is not the one that its list describes. */
  | 'flist-mismatch'
  /** A chunk of a flist that nothing keeps for it: the collector would take it. */
  | 'reference-missing'
  /** A reference to a chunk that is not here. */
  | 'reference-dangling'

/** Something that is not as it must be. */
export interface Problem {
  /** A `StoreProblemKind`, or one of the operations. */
  readonly kind: string
  /** Of the chunk, flist, operation or name. */
  readonly id: string
  readonly detail: string
}

export interface StoreProblem extends Problem {
  readonly kind: StoreProblemKind
}

export interface FsckDeps {
  readonly rows: RowStore
  readonly payloads: PayloadLog
  readonly chunks: LevelChunkStore
  readonly flists: RowFlistStore
  /** Plain bytes of a chunk that our encoder made, by the key of its content: then that is checked too. */
  readonly decode?: (stored: Uint8Array, plainKey: Uint8Array) => Uint8Array
}

export interface FsckOptions extends AbortOptions {
  readonly onProgress?: (done: number, total: number) => void
}

export type Report = (problem: StoreProblem) => void

export interface StoreCheck {
  readonly chunks: number
  readonly flists: number
}

/** Calls `report` for each problem as it is found. Resolves to what was looked at. */
export async function checkStore(
  deps: FsckDeps,
  report: Report,
  options: FsckOptions = {},
): Promise<StoreCheck> {
  const chunks = await checkChunks(deps, report, options)
  await checkPlain(deps, report, options)
  const flists = await checkFlists(deps, report, options)
  await checkReferences(deps, report, options)
  return { chunks, flists }
}
