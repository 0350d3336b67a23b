/** A consistent copy of both databases of a running node, and the way back. */
import { cp, mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { ConflictError, InvalidInputError } from '../errors.ts'
import type { AbortOptions } from '../util/units.ts'
import { MIB } from '../util/units.ts'
import { openLevel, type Database } from './database.ts'
import { inStore } from './level-errors.ts'
import { LevelWriter, type ByteDatabase } from './level-writer.ts'
import type { Iterator } from 'classic-level'

const BATCH_BYTES = 8 * MIB
const BATCH_ROWS = 2000

export interface BackupOptions extends AbortOptions {
  readonly onProgress?: (bytes: number) => void
}

/**
 * Copies the databases into `folder`, which is made and must be empty. Both are read as of one moment: the two
 * iterators take their snapshots in one turn, and a payload is always there before the row that names it.
 */
export async function backupDatabase(
  { levels }: Database,
  folder: string,
  options: BackupOptions = {},
): Promise<{ readonly bytes: number }> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if ((await readdir(folder)).length > 0) throw new ConflictError(`${folder} is not empty`)
  const sources = [levels.index.iterator(), levels.payloads.iterator()] as const
  let bytes = 0
  try {
    for (const [at, name] of ['index', 'chunks'].entries()) {
      const source = sources[at]
      if (source === undefined) continue
      const target = await openLevel(join(folder, name))
      try {
        for await (const copied of copyRows(source, target, options)) {
          bytes += copied
          options.onProgress?.(bytes)
        }
      } finally {
        await target.close()
      }
    }
  } finally {
    await Promise.all(sources.map((source) => source.close()))
  }
  return { bytes }
}

type ByteIterator = Iterator<ByteDatabase, Uint8Array, Uint8Array>

/** Yields the bytes of each synced batch. */
async function* copyRows(
  source: ByteIterator,
  target: ByteDatabase,
  { signal }: AbortOptions,
): AsyncGenerator<number> {
  const writer = new LevelWriter(target)
  let gathered: Array<[key: Uint8Array, value: Uint8Array]> = []
  let bytes = 0
  for (;;) {
    signal?.throwIfAborted()
    const rows = await inStore(() => source.nextv(16))
    for (const [key, value] of rows) {
      gathered.push([key, value])
      bytes += key.length + value.length
    }
    if (rows.length > 0 && bytes < BATCH_BYTES && gathered.length < BATCH_ROWS) continue
    const rowsToPut = gathered
    await writer.write((batch) => {
      for (const [key, value] of rowsToPut) batch.put(key, value)
    })
    yield bytes
    if (rows.length === 0) return
    gathered = []
    bytes = 0
  }
}

/** Copies what `backupDatabase` made into a data folder. @throws {InvalidInputError} when it is no backup. */
export async function restoreDatabase(backup: string, folder: string): Promise<void> {
  const names = await readdir(backup).catch((cause: unknown) => {
    throw new InvalidInputError(`${backup} cannot be read`, { cause })
  })
  for (const name of ['index', 'chunks']) {
    if (!names.includes(name)) throw new InvalidInputError(`${backup} is no backup: it has no ${name}`)
    await cp(join(backup, name), join(folder, name), { recursive: true, errorOnExist: true, force: false })
  }
}
