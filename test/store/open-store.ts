/** Stores over a fresh folder, closed and removed after the test that asked for them. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase, type Database } from '../../src/store/database.ts'
import { RowLeases } from '../../src/store/leases.ts'
import { RowFlistStore } from '../../src/store/row-flist-store.ts'
import { chunkOf } from '../suites/chunk-store.ts'

/** A test's context, or the runner for a whole file. */
export interface AfterTest {
  after(work: () => Promise<void>): void
}

export interface OpenStore extends Database {
  readonly folder: string
  readonly flists: RowFlistStore
  readonly leases: RowLeases
  /** Closes it and opens it again, as a new start would. */
  reopen(): Promise<OpenStore>
}

const deferred = new WeakMap<AfterTest, Array<() => Promise<void>>>()

/** Runs after the test, last first: the runner's own hooks go first to last. */
function defer(t: AfterTest, work: () => Promise<void>): void {
  const works = deferred.get(t) ?? []
  if (!deferred.has(t)) {
    deferred.set(t, works)
    t.after(async () => {
      for (const one of works.reverse()) await one()
    })
  }
  works.push(work)
}

export async function temporaryFolder(t: AfterTest): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'zhub-store-'))
  defer(t, () => rm(folder, { recursive: true, force: true }))
  return folder
}

export async function openStore(
  t: AfterTest,
  {
    folder,
    clock = Date.now,
    minFreeBytes = 0,
  }: { folder?: string; clock?: () => number; minFreeBytes?: number } = {},
): Promise<OpenStore> {
  const where = folder ?? (await temporaryFolder(t))
  const database = await openDatabase(where, { minFreeBytes, clock })
  let isOpen = true
  const close = async () => {
    if (isOpen) await database.close()
    isOpen = false
  }
  defer(t, close)
  return {
    ...database,
    folder: where,
    flists: new RowFlistStore(database.rows, database.chunks),
    leases: new RowLeases(database.rows, clock),
    close,
    reopen: async () => {
      await close()
      return openStore(t, { folder: where, clock, minFreeBytes })
    },
  }
}

/** Stores a flist of these chunks, holding it only while it is put. */
export async function putFlist(
  store: OpenStore,
  numbers: readonly number[],
  text = 'flist',
): Promise<Uint8Array> {
  const chunks = numbers.map((number) => chunkOf(number))
  await store.chunks.write(chunks)
  const lease = store.leases.open()
  const bytes = Buffer.from(`${text} ${numbers.join(' ')}`)
  try {
    return await store.flists.put(
      { format: 'zflist', bytes, chunkIds: chunks.map(({ id }) => id), files: 1 },
      lease,
    )
  } finally {
    lease.release()
  }
}
