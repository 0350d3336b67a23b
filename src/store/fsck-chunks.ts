/** Chunks: index rows, payloads and plain keys against each other. */
import { createHash } from 'node:crypto'
import { setImmediate as breathe } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { CorruptError, HubError } from '../errors.ts'
import { blake2b128 } from '../format/blake2b.ts'
import { equalBytes, toHex, u64be } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import type { IndexTotals } from './chunk-index.ts'
import { decodeChunkRow, isChunkRow, type ChunkRow } from './chunk-row.ts'
import type { FsckDeps, FsckOptions, Report, StoreProblem, StoreProblemKind } from './fsck.ts'
import { NumberSet } from './number-set.ts'
import { digestAs } from './receive.ts'
import type { Row } from './row-store.ts'
import { SPACES } from './spaces.ts'

/** Chunks read in one step: 10 ms when they are large. */
const CHUNKS_AT_ONCE = 8

/** What storing the chunk anew mends. */
const HEALED: ReadonlySet<StoreProblemKind> = new Set(['chunk-lost', 'chunk-damaged'])

type Found = Omit<StoreProblem, 'id'> | undefined

/** Resolves to the number of chunks. */
export async function checkChunks(deps: FsckDeps, report: Report, options: FsckOptions): Promise<number> {
  const { first, rows, totals, nextNumber } = await beginCount(deps, options)
  const expected = deps.chunks.totals().chunks
  const numbers = new NumberSet()
  const counted = { chunks: 0, bytes: 0 }
  for (let step = first; step.done !== true; step = await rows.next()) {
    const [id, value] = step.value
    if (isChunkRow(value)) {
      const row = decodeChunkRow(value)
      numbers.add(row.number)
      counted.bytes += row.lengthBytes
      checkChunk(deps, id, row, report)
    } else report({ kind: 'chunk-row', id: toHex(id), detail: 'its index row cannot be read' })
    counted.chunks++
    options.onProgress?.(counted.chunks, Math.max(counted.chunks, expected))
    if (counted.chunks % CHUNKS_AT_ONCE === 0) await breathe()
  }
  if (counted.chunks !== totals?.chunks || counted.bytes !== totals.bytes) {
    const told =
      totals === undefined ? 'but the totals cannot be read' : `not ${totals.chunks} of ${totals.bytes}`
    const detail = `there are ${counted.chunks} chunks of ${counted.bytes} bytes, ${told}`
    report({ kind: 'totals-wrong', id: 'totals', detail })
  }
  for (const gap of numbers.gaps(nextNumber)) await checkGap(deps, gap, report, options)
  return counted.chunks
}

function checkChunk(deps: FsckDeps, id: Uint8Array, row: ChunkRow, report: Report): void {
  const found = wrongWithChunk(deps, id, row, deps.payloads.get(row.number))
  if (found === undefined || !isHere(deps, id, row.number)) return
  if (HEALED.has(found.kind)) deps.chunks.markDamaged(id)
  report({ ...found, id: toHex(id) })
}

/** Rows and totals of one moment: nothing was written between asking for the one and for the other. */
async function beginCount(deps: FsckDeps, { signal }: AbortOptions) {
  for (;;) {
    const before = totalsOf(deps)
    const rows: AsyncIterator<Row> = deps.rows.rows(SPACES.chunks, {}, { signal })[Symbol.asyncIterator]()
    const firstStep = rows.next() // takes the snapshot
    const totals = totalsOf(deps)
    const first = await firstStep
    if (totals?.chunks === before?.chunks && totals?.nextNumber === before?.nextNumber) {
      return { rows, first, totals, nextNumber: totals?.nextNumber ?? 0 }
    }
    await rows.return?.()
  }
}

/** `undefined` when they are damaged. */
function totalsOf({ chunks }: FsckDeps): IndexTotals | undefined {
  try {
    return chunks.durableTotals()
  } catch (error) {
    if (error instanceof CorruptError) return undefined
    throw error
  }
}

/** Numbers without a row: their payloads are gone, or noted to be dropped. */
async function checkGap(
  { rows, payloads }: FsckDeps,
  gap: { readonly from: number; readonly to: number },
  report: Report,
  { signal }: AbortOptions,
): Promise<void> {
  signal?.throwIfAborted()
  for await (const number of payloads.numbers(gap)) {
    if (rows.get(SPACES.freed, u64be(number)) !== undefined || payloads.get(number) === undefined) continue
    report({ kind: 'payload-stray', id: String(number), detail: 'a payload that no chunk names' })
  }
}

function wrongWithChunk(
  { decode }: FsckDeps,
  id: Uint8Array,
  row: ChunkRow,
  bytes: Uint8Array | undefined,
): Found {
  if (bytes === undefined) return { kind: 'chunk-lost', detail: 'its payload is gone' }
  if (bytes.length !== row.lengthBytes) {
    return { kind: 'chunk-damaged', detail: `it has ${bytes.length} bytes, not ${row.lengthBytes}` }
  }
  const sha256 = createHash('sha256').update(bytes).digest()
  if (crc32(bytes) !== row.crc32 || !equalBytes(sha256, row.sha256)) {
    return { kind: 'chunk-damaged', detail: 'its bytes are not those that were stored' }
  }
  if (!isDigest(id, bytes)) return { kind: 'chunk-misfiled', detail: 'its bytes do not hash to its id' }
  if (row.plainKey === undefined || decode === undefined) return undefined
  return wrongContent(decode, bytes, row.plainKey)
}

function wrongContent(
  decode: NonNullable<FsckDeps['decode']>,
  bytes: Uint8Array,
  plainKey: Uint8Array,
): Found {
  try {
    if (equalBytes(blake2b128(decode(bytes, plainKey)), plainKey)) return undefined
    return { kind: 'plain-wrong', detail: 'it decodes to other content than it is known for' }
  } catch (error) {
    if (!(error instanceof HubError)) throw error
    return { kind: 'plain-wrong', detail: `it does not decode: ${error.message}` }
  }
}

function isDigest(id: Uint8Array, bytes: Uint8Array): boolean {
  return (id.length === 16 || id.length === 32) && equalBytes(digestAs(id, bytes), id)
}

/** False for one that was deleted, or stored anew, while we read. */
function isHere({ rows, chunks }: FsckDeps, id: Uint8Array, number: number): boolean {
  const row = rows.get(SPACES.chunks, id)
  if (row === undefined || chunks.isLeaving(id)) return false
  return !isChunkRow(row) || decodeChunkRow(row).number === number
}

/** Each plain key names a chunk that names it. */
export async function checkPlain({ rows }: FsckDeps, report: Report, options: AbortOptions): Promise<void> {
  for await (const [plainKey, id] of rows.rows(SPACES.plain, {}, options)) {
    const row = rows.get(SPACES.chunks, id)
    const known = row !== undefined && isChunkRow(row) ? decodeChunkRow(row).plainKey : undefined
    if (known !== undefined && equalBytes(known, plainKey)) continue
    if (rows.get(SPACES.plain, plainKey) === undefined) continue // deleted while we read
    const detail = `it names chunk ${toHex(id)}, which is not its`
    report({ kind: 'plain-dangling', id: toHex(plainKey), detail })
  }
}
