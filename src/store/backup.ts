/** A consistent copy of both databases of a running node, and the way back. */
import { cp, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { ConflictError, InvalidInputError } from '../errors.ts'
import type { AbortOptions } from '../util/units.ts'
import { MIB } from '../util/units.ts'
import { openDatabase, openLevel, type Database } from './database.ts'
import { inStore } from './level-errors.ts'
import { LevelRowStore } from './level-row-store.ts'
import { LevelWriter, type ByteDatabase } from './level-writer.ts'
import { hasFormat } from './migrations.ts'
import type { Iterator } from 'classic-level'
import { makeFolder } from '../util/make-folder.ts'

const BATCH_BYTES = 8 * MIB
const BATCH_ROWS = 2000

const FOLDERS = ['index', 'chunks'] as const

export interface BackupOptions extends AbortOptions {
  readonly onProgress?: (bytes: number) => void
}

/**
 * Copies the databases into `folder`, which is made and must be empty. Both are read as of one moment: the two
 * iterators take their snapshots in one turn, and a payload is always there before the row that names it. The rows
 * go last, so that a copy that was cut off is no backup; of one that fails nothing is left.
 */
export async function backupDatabase(
  { levels }: Database,
  folder: string,
  options: BackupOptions = {},
): Promise<{ readonly bytes: number }> {
  await makeFolder(folder)
  if ((await readdir(folder)).length > 0) throw new ConflictError(`${folder} is not empty`)
  const rows = levels.index.iterator()
  const payloads = levels.payloads.iterator()
  let bytes = 0
  try {
    const copies = [
      ['chunks', payloads],
      ['index', rows],
    ] as const
    for (const [name, source] of copies) {
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
  } catch (error) {
    for (const name of FOLDERS) await rm(join(folder, name), { recursive: true, force: true })
    throw error
  } finally {
    await Promise.all([rows.close(), payloads.close()])
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
  for (;;) {
    const { rows, bytes } = await readBatch(source, signal)
    if (rows.length === 0) return
    await writer.write((batch) => {
      for (const [key, value] of rows) batch.put(key, value)
    })
    yield bytes
  }
}

/** Empty at the end. */
async function readBatch(source: ByteIterator, signal: AbortSignal | undefined) {
  const rows: Array<[key: Uint8Array, value: Uint8Array]> = []
  let bytes = 0
  while (bytes < BATCH_BYTES && rows.length < BATCH_ROWS) {
    signal?.throwIfAborted()
    const more = await inStore(() => source.nextv(64))
    if (more.length === 0) break
    for (const row of more) {
      rows.push(row)
      bytes += row[0].length + row[1].length
    }
  }
  return { rows, bytes }
}

/**
 * Copies what `backupDatabase` made into a data folder, synced, and opens the copy once: what this release cannot read
 * is no backup to it.
 * @throws {InvalidInputError} when it is no backup.
 */
export async function restoreDatabase(
  backup: string,
  folder: string,
  { signal }: AbortOptions = {},
): Promise<void> {
  const names = await readdir(backup).catch((cause: unknown) => {
    throw new InvalidInputError(`${backup} cannot be read`, { cause })
  })
  for (const name of FOLDERS) {
    if (!names.includes(name)) throw new InvalidInputError(`${backup} is no backup: it has no ${name}`)
  }
  for (const name of FOLDERS) {
    const filter = () => {
      signal?.throwIfAborted()
      return true
    }
    await cp(join(backup, name), join(folder, name), {
      recursive: true,
      errorOnExist: true,
      force: false,
      filter,
    })
    await syncFolder(join(folder, name))
  }
  if (!(await isWhole(join(folder, 'index')))) throw new InvalidInputError(`${backup} is no whole backup`)
  const copy = await openDatabase(folder, { minFreeBytes: 0, clock: Date.now })
  await copy.close()
}

/** The number of the format is among the last rows. */
async function isWhole(index: string): Promise<boolean> {
  const level = await openLevel(index)
  try {
    return hasFormat(new LevelRowStore(level))
  } finally {
    await level.close()
  }
}

async function syncFolder(folder: string): Promise<void> {
  for (const name of [...(await readdir(folder)), '.']) {
    const file = await open(join(folder, name))
    try {
      await file.sync()
    } finally {
      await file.close()
    }
  }
}
