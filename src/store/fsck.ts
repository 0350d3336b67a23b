/**
 * Everything this node keeps against everything it says of it. Reads all of it, a few at a time; works on a running
 * node. What a crash may leave behind (unreferenced chunks, references of a flist that never came) is no problem: the
 * collector takes it.
 */
import { createHash } from 'node:crypto'
import { setImmediate as breathe } from 'node:timers/promises'
import { crc32 } from 'node:zlib'
import { HubError } from '../errors.ts'
import { descriptorId, encodeDescriptor } from '../format/descriptor.ts'
import { equalBytes, toHex, u64be } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import { decodeChunkRow, type ChunkRow } from './chunk-row.ts'
import type { LevelChunkStore } from './level-chunk-store.ts'
import type { PayloadLog } from './payload-log.ts'
import { digestAs } from './receive.ts'
import { parseReference, referenceChange, type RowFlistStore } from './row-flist-store.ts'
import type { RowStore } from './row-store.ts'
import type { FlistId } from './flist-store.ts'
import { SPACES } from './spaces.ts'

/** Something that is not as it must be. */
export interface Problem {
  readonly kind: string
  /** Of the chunk, flist, operation or name. */
  readonly id: string
  readonly detail: string
}

export interface FsckDeps {
  readonly rows: RowStore
  readonly payloads: PayloadLog
  readonly chunks: LevelChunkStore
  readonly flists: RowFlistStore
}

export interface FsckOptions extends AbortOptions {
  readonly onProgress?: (done: number, total: number) => void
}

export interface StoreCheck {
  readonly chunks: number
  readonly flists: number
}

/** Calls `report` for each problem. Resolves to what was looked at. */
export async function checkStore(
  deps: FsckDeps,
  report: (problem: Problem) => void,
  options: FsckOptions = {},
): Promise<StoreCheck> {
  const chunks = await checkChunks(deps, report, options)
  await checkPlain(deps, report, options)
  const flists = await checkFlists(deps, report, options)
  await checkReferences(deps, report, options)
  return { chunks, flists }
}

async function checkChunks(
  { rows, payloads, chunks }: FsckDeps,
  report: (problem: Problem) => void,
  { signal, onProgress }: FsckOptions,
): Promise<number> {
  const total = chunks.totals().chunks
  const unwritten = chunks.nextNumber
  const numbers = new Set<number>()
  let done = 0
  for await (const [id, value] of rows.rows(SPACES.chunks, {}, { signal })) {
    try {
      const row = decodeChunkRow(value)
      numbers.add(row.number)
      const found = wrongWithChunk(id, row, payloads.get(row.number))
      if (found !== undefined && chunks.info(id) !== undefined) report({ ...found, id: toHex(id) })
    } catch (error) {
      report({ kind: 'chunk-row', id: toHex(id), detail: messageOf(error) })
    }
    done++
    onProgress?.(done, total)
    if (done % 16 === 0) await breathe()
  }
  for await (const number of payloads.numbers()) {
    if (number >= unwritten || numbers.has(number)) continue
    if (rows.get(SPACES.freed, u64be(number)) !== undefined || payloads.get(number) === undefined) continue
    report({ kind: 'payload-stray', id: String(number), detail: 'a payload that no chunk names' })
  }
  return done
}

function wrongWithChunk(
  id: Uint8Array,
  row: ChunkRow,
  bytes: Uint8Array | undefined,
): Omit<Problem, 'id'> | undefined {
  if (bytes === undefined) return { kind: 'chunk-lost', detail: 'its payload is gone' }
  if (bytes.length !== row.lengthBytes) {
    return { kind: 'chunk-damaged', detail: `it has ${bytes.length} bytes, not ${row.lengthBytes}` }
  }
  const sha256 = createHash('sha256').update(bytes).digest()
  const isWhole = crc32(bytes) === row.crc32 && equalBytes(sha256, row.sha256)
  if (!isWhole) return { kind: 'chunk-damaged', detail: 'its bytes are not those that were stored' }
  if (!equalBytes(digestAs(id, bytes), id)) {
    return { kind: 'chunk-misfiled', detail: 'its bytes do not hash to its id' }
  }
  return undefined
}

async function checkPlain(
  { rows }: FsckDeps,
  report: (problem: Problem) => void,
  options: AbortOptions,
): Promise<void> {
  for await (const [plainKey, id] of rows.rows(SPACES.plain, {}, options)) {
    const row = rows.get(SPACES.chunks, id)
    const known = row === undefined ? undefined : decodeChunkRow(row).plainKey
    if (known !== undefined && equalBytes(known, plainKey)) continue
    if (rows.get(SPACES.plain, plainKey) === undefined) continue // deleted while we read
    report({
      kind: 'plain-dangling',
      id: toHex(plainKey),
      detail: `it names chunk ${toHex(id)}, which is not its`,
    })
  }
}

async function checkFlists(
  deps: FsckDeps,
  report: (problem: Problem) => void,
  { signal }: FsckOptions,
): Promise<number> {
  let done = 0
  for await (const id of deps.flists.ids()) {
    signal?.throwIfAborted()
    done++
    try {
      for (const problem of await wrongWithFlist(deps, id)) {
        if (deps.flists.numberOf(id) !== undefined) report({ ...problem, id: toHex(id) })
      }
    } catch (error) {
      report({ kind: 'flist-damaged', id: toHex(id), detail: messageOf(error) })
    }
    await breathe()
  }
  return done
}

async function wrongWithFlist(
  { flists, chunks, rows }: FsckDeps,
  id: FlistId,
): Promise<Array<Omit<Problem, 'id'>>> {
  const descriptor = flists.descriptor(id)
  const number = flists.numberOf(id)
  if (descriptor === undefined || number === undefined) return []
  const found: Array<Omit<Problem, 'id'>> = []
  if (!equalBytes(descriptorId(encodeDescriptor(descriptor)), id)) {
    found.push({ kind: 'flist-descriptor', detail: 'its descriptor is another flist’s' })
  }
  const bytes = await flists.read(id)
  if (bytes === undefined || bytes.length !== descriptor.size) {
    found.push({ kind: 'flist-damaged', detail: 'its bytes are not as long as its descriptor says' })
  }
  for (const [chunk, length, sha256] of (await flists.chunkList(id)) ?? []) {
    const info = chunks.info(chunk)
    if (info === undefined)
      found.push({ kind: 'flist-incomplete', detail: `chunk ${toHex(chunk)} is not here` })
    else if (info.lengthBytes !== length || !equalBytes(info.sha256, sha256)) {
      found.push({ kind: 'flist-mismatch', detail: `chunk ${toHex(chunk)} is not the one of its list` })
    }
    if (rows.get(SPACES.references, referenceChange('put', chunk, number).key) === undefined) {
      found.push({ kind: 'reference-missing', detail: `nothing keeps chunk ${toHex(chunk)} for it` })
    }
  }
  return found
}

/** A reference of a flist that is here must name a chunk that is here. */
async function checkReferences(
  { rows, flists, chunks }: FsckDeps,
  report: (problem: Problem) => void,
  options: AbortOptions,
): Promise<void> {
  const { numbers } = await flists.census()
  const present = new Map(numbers.map(([id, number]) => [number, id]))
  for await (const [key] of rows.rows(SPACES.references, {}, options)) {
    const { chunk, number } = parseReference(key)
    const id = present.get(number)
    if (id === undefined || chunks.info(chunk) !== undefined || flists.numberOf(id) === undefined) continue
    report({
      kind: 'reference-dangling',
      id: toHex(chunk),
      detail: `flist ${toHex(id)} references it, and it is not here`,
    })
  }
}

function messageOf(error: unknown): string {
  if (error instanceof HubError || error instanceof Error) return error.message
  return String(error)
}
