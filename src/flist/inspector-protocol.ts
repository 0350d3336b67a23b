import type { FlistLimits } from './limits.ts'
import type { MergedFlist } from './merge.ts'
import type { FlistProblem } from './problems.ts'
import type { Survey, SurveyOptions } from './survey.ts'
import type { PackedError } from './worker-errors.ts'

/** What the main thread and an inspector's thread say to each other: one question at a time. */
export interface ThreadData {
  readonly temporaryDirectory: string
  readonly limits: FlistLimits
}

export type Question =
  | { readonly kind: 'survey'; readonly bytes: Uint8Array; readonly options: SurveyOptions }
  | { readonly kind: 'metadata'; readonly bytes: Uint8Array }
  | { readonly kind: 'find'; readonly bytes: Uint8Array; readonly path: Uint8Array }
  /** Entries from this place on, the root being 0. */
  | { readonly kind: 'entries'; readonly bytes: Uint8Array; readonly from: number }
  | { readonly kind: 'render'; readonly bytes: Uint8Array; readonly backend: string | null }
  /** Kept, with its name for errors, until `merge`, which sends the ids of the chunks ahead as a batch. */
  | { readonly kind: 'merge-source'; readonly bytes: Uint8Array; readonly name: string }
  | { readonly kind: 'merge' }
  | { readonly kind: 'verify'; readonly chunks: readonly ChunkToVerify[] }

export interface ChunkToVerify {
  readonly stored: Uint8Array
  readonly key: Uint8Array
  readonly plainBytes: number
}

export type MetadataRows = Array<[key: string, text: string]>

export interface SurveyAnswer extends Survey {
  readonly metadata: MetadataRows
  readonly problems: readonly FlistProblem[]
  /** Files with more or fewer blocks than their size takes: `problems` may be cut. */
  readonly brokenFiles: number
}

/**
 * For each question its answer. `find`: the entry, encoded. `entries`: where to go on, when a window of them was full.
 * `verify`: a reason for each bad chunk.
 */
export interface Answers {
  readonly survey: SurveyAnswer
  readonly metadata: MetadataRows
  readonly find: Uint8Array | undefined
  readonly entries: number | undefined
  readonly render: Uint8Array
  readonly 'merge-source': undefined
  readonly merge: MergedFlist
  readonly verify: ReadonlyArray<{ readonly index: number; readonly reason: string }>
}

/** From the thread: batches while it answers `entries` or `merge`, then one answer or failure. */
export type FromThread =
  | { readonly batch: Uint8Array<ArrayBuffer> }
  | { readonly answer: Answers[Question['kind']] }
  /** `isBroken`: something failed that should not; whatever it left in memory is not to be trusted. */
  | { readonly failure: PackedError; readonly isBroken: boolean }

/**
 * Bytes of entries that one question answers at most: about 200,000 entries. A thread never waits for a reader, who
 * may be slow on purpose; the next window costs a walk to its start.
 */
export const WINDOW_BYTES = 32 * 1024 * 1024
