/** The two LevelDBs of a data folder, and the stores over them. */
import { join } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { MIB } from '../util/units.ts'
import { FreeSpace } from './free-space.ts'
import { LevelChunkStore } from './level-chunk-store.ts'
import { inStore } from './level-errors.ts'
import { LevelRowStore } from './level-row-store.ts'
import type { ByteDatabase } from './level-writer.ts'
import { migrate } from './migrations.ts'
import { PayloadLog } from './payload-log.ts'
import type { RowStore } from './row-store.ts'
import { makeFolder } from '../util/make-folder.ts'

/** 16 MiB write buffers flush in 26–63 ms instead of 240 (64 MiB) and cost no throughput. */
const OPTIONS = {
  keyEncoding: 'view',
  valueEncoding: 'view',
  compression: false,
  writeBufferSize: 16 * MIB,
  maxFileSize: 64 * MIB,
} as const

/** Rows are read again and again; a payload that is, stands in the cache of the chunk port. */
const INDEX_CACHE_BYTES = 32 * MIB
const PAYLOAD_CACHE_BYTES = 4 * MIB

export interface Database {
  readonly rows: RowStore
  readonly chunks: LevelChunkStore
  readonly payloads: PayloadLog
  readonly space: FreeSpace
  /** For a consistent copy (backup.ts). */
  readonly levels: { readonly index: ByteDatabase; readonly payloads: ByteDatabase }
  close(): Promise<void>
}

export interface DatabaseOptions {
  /** Below this nothing is stored. */
  readonly minFreeBytes: number
  readonly clock: () => number
}

/**
 * Opens `index` and `chunks` below a data folder, makes them if they are not there, and drops what a crash left.
 * @throws {UnavailableError} while another process has them. @throws {UnsupportedVersionError} for a newer format.
 */
export async function openDatabase(
  folder: string,
  { minFreeBytes, clock }: DatabaseOptions,
): Promise<Database> {
  await makeFolder(folder)
  const index = await openLevel(join(folder, 'index'), INDEX_CACHE_BYTES)
  let log: ByteDatabase | undefined
  try {
    const rows = new LevelRowStore(index)
    await migrate(rows)
    log = await openLevel(join(folder, 'chunks'), PAYLOAD_CACHE_BYTES)
    const payloads = new PayloadLog(log)
    const space = new FreeSpace(folder, minFreeBytes)
    const chunks = await LevelChunkStore.open({ payloads, rows, space, clock })
    const levels = { index, payloads: log }
    return { rows, chunks, payloads, space, levels, close: () => closeAll(chunks, levels) }
  } catch (error) {
    await log?.close()
    await index.close()
    throw error
  }
}

async function closeAll(chunks: LevelChunkStore, levels: Database['levels']): Promise<void> {
  await chunks.close()
  await levels.payloads.close()
  await levels.index.close()
}

export async function openLevel(location: string, cacheSize = PAYLOAD_CACHE_BYTES): Promise<ByteDatabase> {
  await makeFolder(location)
  const level: ByteDatabase = new ClassicLevel<Uint8Array, Uint8Array>(location, { ...OPTIONS, cacheSize })
  await inStore(() => level.open())
  return level
}
