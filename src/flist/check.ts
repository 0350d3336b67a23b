import { CHUNK_ID_BYTES } from '../format/chunk.ts'
import type { ChunkStore } from '../store/chunk-store.ts'
import type { Lease } from '../store/flist-store.ts'
import { asBuffer, toHex } from '../util/bytes.ts'
import { MIB } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'
import type { FlistCounts } from './entry.ts'
import type { FlistInspector } from './inspector.ts'
import type { ChunkToVerify } from './inspector-protocol.ts'
import type { FlistProblem, FlistProblemKind } from './problems.ts'
import { BLOCK_RECORD_BYTES } from './survey.ts'

export interface CheckDeps {
  readonly inspector: FlistInspector
  readonly chunks: Pick<ChunkStore, 'read'>
  /** Holds the chunks from before they are looked for: what was there when checked is there when the flist is put. */
  readonly lease?: Pick<Lease, 'holdChunks'>
}

export interface GoodFlist {
  readonly isComplete: true
  readonly counts: FlistCounts
  /** As of `FlistInspector.dump`. */
  readonly dump: Uint8Array
  readonly chunkIds: readonly Uint8Array[]
  readonly problems: readonly FlistProblem[]
}

export interface BadFlist {
  readonly isComplete: false
  /** Chunks that this node does not hold. */
  readonly missingChunks: number
  /** Sentences; after the first twenty, how many more. */
  readonly reasons: readonly string[]
}

/** Problems that lose content, or place it wrongly in a mount. */
const REFUSED: ReadonlySet<FlistProblemKind> = new Set(['block-count', 'block-size'])
const MAX_REASONS = 20
/** Given to the inspector at a time: at most 20 ms of reading here, and 40 ms of decoding there. */
const BATCH_BYTES = 8 * MIB
const BATCH_CHUNKS = 256

/**
 * Whether everything that a flist of others refers to is here and decodes to what it says: every chunk by its key, and
 * every file by its size. Chunks that our own encoder made are decoded as well, for nothing else tells their length.
 * @throws {MalformedError | LimitError} when the bytes are no flist that can be read.
 */
export async function checkFlist(
  bytes: Uint8Array,
  { inspector, chunks, lease }: CheckDeps,
  options: AbortOptions = {},
): Promise<GoodFlist | BadFlist> {
  const survey = await inspector.survey(bytes, { dump: true, blocks: true }, options)
  const { counts, problems, blocks = new Uint8Array(), dump = new Uint8Array() } = survey
  const chunkIds = slices(survey.chunkIds, CHUNK_ID_BYTES)
  lease?.holdChunks(chunkIds)

  const reasons = problems.filter(({ kind }) => REFUSED.has(kind)).map(({ text }) => text)
  const missing = new Set<string>()
  for (let at = 0; at < blocks.length;) {
    const { batch, absent, end } = readBatch(blocks, at, chunks)
    at = end
    for (const id of absent) missing.add(id)
    for (const { index, reason } of await inspector.verify(packed(batch), options)) {
      reasons.push(`the chunk ${batch[index]?.id} is wrong: ${reason}`)
    }
  }
  for (const id of missing) reasons.push(`the chunk ${id} is not here`)
  if (reasons.length > 0) return { isComplete: false, missingChunks: missing.size, reasons: cut(reasons) }
  return { isComplete: true, counts, dump, chunkIds, problems }
}

interface Batch {
  readonly batch: ReadonlyArray<ChunkToVerify & { readonly id: string }>
  readonly absent: readonly string[]
  /** Where the records go on. */
  readonly end: number
}

/** Reads what the records from `start` on name, as much as one batch takes. */
function readBatch(records: Uint8Array, start: number, chunks: Pick<ChunkStore, 'read'>): Batch {
  const batch: Array<ChunkToVerify & { id: string }> = []
  const absent: string[] = []
  const last = Math.min(records.length, start + BATCH_CHUNKS * BLOCK_RECORD_BYTES)
  let end = start
  for (let bytes = 0; end < last && bytes < BATCH_BYTES; end += BLOCK_RECORD_BYTES) {
    const record = records.subarray(end, end + BLOCK_RECORD_BYTES)
    const id = record.subarray(0, CHUNK_ID_BYTES)
    const stored = chunks.read(id)
    if (stored === undefined) {
      absent.push(toHex(id))
      continue
    }
    const key = record.subarray(CHUNK_ID_BYTES, 2 * CHUNK_ID_BYTES)
    const plainBytes = asBuffer(record).readUInt32BE(2 * CHUNK_ID_BYTES)
    batch.push({ id: toHex(id), stored, key, plainBytes })
    bytes += stored.length
  }
  return { batch, absent, end }
}

/** The chunks of a batch in one piece of memory, which can be given away. */
function packed(batch: readonly ChunkToVerify[]): ChunkToVerify[] {
  const bytes = new Uint8Array(batch.reduce((sum, { stored }) => sum + stored.length, 0))
  let at = 0
  return batch.map(({ stored, key, plainBytes }) => {
    const place = bytes.subarray(at, at + stored.length)
    place.set(stored)
    at += stored.length
    return { stored: place, key: new Uint8Array(key), plainBytes }
  })
}

function slices(bytes: Uint8Array, size: number): Uint8Array[] {
  return Array.from({ length: bytes.length / size }, (_, index) =>
    bytes.subarray(index * size, (index + 1) * size),
  )
}

function cut(reasons: readonly string[]): readonly string[] {
  if (reasons.length <= MAX_REASONS) return reasons
  return [...reasons.slice(0, MAX_REASONS), `and ${reasons.length - MAX_REASONS} more`]
}
