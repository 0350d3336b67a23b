/** The number of the format that a data folder is written in, and the way from older ones to ours. */
import { CorruptError, UnsupportedVersionError } from '../errors.ts'
import { fromUtf8, readU64be, u64be } from '../util/bytes.ts'
import type { RowStore } from './row-store.ts'
import { packReferences } from './pack-references.ts'
import { SPACES } from './spaces.ts'

/** What this release writes. */
export const DISK_FORMAT = 3

/**
 * One step each, in order; what it leaves half-done it finds again when it is run again. A step stays for ever, with a
 * test on bytes of the old format.
 */
export interface Migration {
  /** The format it makes of the one before. */
  readonly format: number
  readonly migrate: (rows: RowStore) => Promise<void>
}

const MIGRATIONS: readonly Migration[] = [
  { format: 2, migrate: packReferences },
  // Rows of flists may say that one is partial, which older releases would not understand; theirs are read as they are.
  { format: 3, migrate: () => Promise.resolve() },
]

const FORMAT = fromUtf8('format')

/**
 * Brings the rows to this release's format; a fresh folder gets its number.
 * @throws {UnsupportedVersionError} for a newer format, or one that no step begins at; nothing is changed.
 */
export async function migrate(
  rows: RowStore,
  target = DISK_FORMAT,
  migrations: readonly Migration[] = MIGRATIONS,
): Promise<void> {
  const row = rows.get(SPACES.own, FORMAT)
  if (row === undefined) return writeFormat(rows, target)
  if (row.length !== 8) throw new CorruptError('format', 'the data folder names no format')
  const found = readU64be(row)
  if (found > target) {
    throw new UnsupportedVersionError(
      `the data folder has format ${found}; this release reads up to ${target}: run a newer zhub`,
    )
  }
  const steps = migrations.filter(({ format }) => format > found && format <= target)
  if (steps.length !== target - found) {
    throw new UnsupportedVersionError(
      `the data folder has format ${found}, which this release no longer reads`,
    )
  }
  for (const step of steps) {
    await step.migrate(rows)
    await writeFormat(rows, step.format)
  }
}

/** Written at the first start of a data folder. */
export function hasFormat(rows: RowStore): boolean {
  return rows.get(SPACES.own, FORMAT) !== undefined
}

function writeFormat(rows: RowStore, format: number): Promise<void> {
  return rows.write([{ type: 'put', space: SPACES.own, key: FORMAT, value: u64be(format) }])
}
