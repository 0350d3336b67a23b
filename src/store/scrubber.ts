/** Reads a share of all chunks and compares their SHA-256, going round and round: bit rot is found before it is needed. */
import { createHash } from 'node:crypto'
import { setImmediate as breathe } from 'node:timers/promises'
import { CorruptError } from '../errors.ts'
import { equalBytes, fromUtf8, toHex } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import type { ChunkStore } from './chunk-store.ts'
import type { Problem } from './fsck.ts'
import type { RowStore } from './row-store.ts'
import { SPACES } from './spaces.ts'

const CURSOR = fromUtf8('scrub-cursor')

export interface ScrubOptions extends AbortOptions {
  /** How many chunks to read. */
  readonly chunks: number
  readonly onProgress?: (done: number, total: number) => void
}

export interface Scrubbed {
  readonly chunks: number
  readonly problems: readonly Problem[]
}

/** Goes on where the last run ended; begins anew after the last chunk. */
export async function scrub(
  { rows, chunks }: { readonly rows: RowStore; readonly chunks: ChunkStore },
  options: ScrubOptions,
): Promise<Scrubbed> {
  const problems: Problem[] = []
  let done = 0
  let last = rows.get(SPACES.own, CURSOR)
  for await (const [id, info] of chunks.entries(last, options)) {
    if (done >= options.chunks) return finish(id)
    done++
    last = id
    const problem = check(chunks, id, info.sha256)
    if (problem !== undefined) problems.push(problem)
    options.onProgress?.(done, options.chunks)
    if (done % 8 === 0) await breathe()
  }
  last = undefined
  return finish(undefined)

  async function finish(next: Uint8Array | undefined): Promise<Scrubbed> {
    const change =
      next === undefined || last === undefined
        ? ({ type: 'delete', space: SPACES.own, key: CURSOR } as const)
        : ({ type: 'put', space: SPACES.own, key: CURSOR, value: last } as const)
    await rows.write([change])
    return { chunks: done, problems }
  }
}

function check(chunks: ChunkStore, id: Uint8Array, sha256: Uint8Array): Problem | undefined {
  try {
    const bytes = chunks.read(id)
    if (bytes === undefined || equalBytes(createHash('sha256').update(bytes).digest(), sha256))
      return undefined
    return { kind: 'chunk-damaged', id: toHex(id), detail: 'its bytes are not those that were stored' }
  } catch (error) {
    if (!(error instanceof CorruptError)) throw error
    return { kind: 'chunk-damaged', id: toHex(id), detail: error.message }
  }
}
