/**
 * The store on this disk: synced writes, reads, what is known, and how long it takes to open one of many chunks, after
 * an orderly end and after a kill. Reads and opens are from a warm page cache. Beside the writes stands what the disk
 * itself does with as many synced bytes at a time.
 *
 *   node dist/scripts/bench-store.js [--mib 512] [--rows 1000000]
 */
import { fork } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, open, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { encodeChunkRow } from '../src/store/chunk-row.ts'
import type { Chunk } from '../src/store/chunk-store.ts'
import { openDatabase, type Database } from '../src/store/database.ts'
import type { RowChange } from '../src/store/row-store.ts'
import { SPACES } from '../src/store/spaces.ts'
import { fromUtf8, u64be } from '../src/util/bytes.ts'
import { KIB, MIB } from '../src/util/units.ts'

const BATCH_BYTES = 8 * MIB
const LARGE_BYTES = 300 * KIB
const SMALL_BYTES = 4 * KIB
const READS = 20_000
const KNOWN_KEYS = 512
const KNOWN_ROUNDS = 200

/** Rows written by one batch while the synthetic index is made. */
const ROWS_AT_ONCE = 10_000

const self = fileURLToPath(import.meta.url)

async function main(mib: number, rows: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'zhub-bench-'))
  try {
    const disk = mib / (await seconds(() => writeFile(join(folder, 'disk'), mib)))
    print('disk: a file, synced every 8 MiB', disk, 'MiB/s')
    await benchChunks(join(folder, 'store'), mib)
    await benchOpen(join(folder, 'many'), rows)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

async function benchChunks(folder: string, mib: number): Promise<void> {
  const database = await openHere(folder)
  const large = await benchWrites(database, LARGE_BYTES, mib)
  print('write 300 KiB chunks, 8 MiB at a time', large.bytes / MIB / large.seconds, 'MiB/s')
  const small = await benchWrites(database, SMALL_BYTES, mib / 4)
  print('write 4 KiB chunks, 8 MiB at a time', small.ids.length / small.seconds, 'chunks/s')
  print('read 300 KiB chunks, any order', await benchReads(database, large.ids), 'chunks/s')
  print('read 4 KiB chunks, any order', await benchReads(database, small.ids), 'chunks/s')

  const keys = Array.from({ length: KNOWN_KEYS }, () => random(small.ids))
  const spent = await seconds(() => {
    for (let round = 0; round < KNOWN_ROUNDS; round++) database.chunks.known(keys)
  })
  print(`known, ${KNOWN_KEYS} keys`, (spent / KNOWN_ROUNDS) * 1000, 'ms')
  await database.close()
}

async function benchWrites({ chunks }: Database, chunkBytes: number, mib: number) {
  const ids: Uint8Array[] = []
  let bytes = 0
  let spent = 0
  while (bytes < mib * MIB) {
    const batch = Array.from({ length: Math.floor(BATCH_BYTES / chunkBytes) }, () => randomChunk(chunkBytes))
    spent += await seconds(() => chunks.write(batch))
    for (const { id } of batch) ids.push(id)
    bytes += batch.length * chunkBytes
  }
  return { ids, bytes, seconds: spent }
}

/** Of as many bytes as a hash has: the store takes ids and keys as they come, and their making is not measured. */
function randomChunk(length: number): Chunk {
  const id = randomFillSync(new Uint8Array(16))
  return {
    id,
    bytes: randomFillSync(new Uint8Array(length)),
    sha256: randomFillSync(new Uint8Array(32)),
    plainKey: id,
  }
}

async function benchReads({ chunks }: Database, ids: readonly Uint8Array[]): Promise<number> {
  const count = Math.min(READS, ids.length * 4)
  const spent = await seconds(() => {
    for (let read = 0; read < count; read++) chunks.read(random(ids))
  })
  return count / spent
}

async function benchOpen(folder: string, rows: number): Promise<void> {
  await fillIndex(folder, rows)
  const open = async () => {
    const database = await openHere(folder)
    if (database.chunks.info(syntheticId(rows - 1)) === undefined) throw new Error('a wrong answer')
    return database
  }
  let database: Database | undefined
  const orderly = await seconds(async () => (database = await open()))
  print(`open ${rows} chunks to the first answer`, orderly * 1000, 'ms')
  await database?.close()

  const child = fork(self, ['--fill', folder])
  await once(child, 'message')
  child.kill('SIGKILL')
  await once(child, 'exit')
  const killed = await seconds(async () => (database = await open()))
  print('the same after kill -9 in the middle of writes', killed * 1000, 'ms')
  await database?.close()
}

/** Index rows as a store of so many chunks has them, without payloads: opening does not look at those. */
async function fillIndex(folder: string, rows: number): Promise<void> {
  const database = await openHere(folder)
  for (let from = 0; from < rows; from += ROWS_AT_ONCE) {
    const changes = Array.from({ length: Math.min(ROWS_AT_ONCE, rows - from) }, (_, at): RowChange => {
      const number = from + at
      const sha256 = Buffer.alloc(32, syntheticId(number))
      const row = { number, lengthBytes: LARGE_BYTES, crc32: 0, sha256, usedAtS: 0, plainKey: undefined }
      return { type: 'put', space: SPACES.chunks, key: syntheticId(number), value: encodeChunkRow(row) }
    })
    await database.rows.write(changes)
  }
  const totals = Buffer.concat([u64be(rows), u64be(rows), u64be(rows * LARGE_BYTES)])
  await database.rows.write([{ type: 'put', space: SPACES.own, key: fromUtf8('totals'), value: totals }])
  await database.close()
}

/** Spread over the whole range, as hashes are. */
function syntheticId(number: number): Uint8Array {
  const id = Buffer.alloc(16)
  id.writeUInt32BE(Math.imul(number, 0x9e3779b1) >>> 0, 0)
  id.writeUInt32BE(number, 4)
  return id
}

/** Writes until it is killed; tells its parent when the logs are well filled. */
async function fillUntilKilled(folder: string): Promise<void> {
  const { chunks } = await openHere(folder)
  for (let batches = 1; ; batches++) {
    await chunks.write(
      Array.from({ length: Math.floor(BATCH_BYTES / LARGE_BYTES) }, () => randomChunk(LARGE_BYTES)),
    )
    if (batches === 20) process.send?.('filled')
  }
}

async function writeFile(path: string, mib: number): Promise<void> {
  const bytes = randomFillSync(new Uint8Array(BATCH_BYTES))
  const file = await open(path, 'w')
  for (let written = 0; written < mib * MIB; written += bytes.length) {
    await file.write(bytes)
    await file.datasync()
  }
  await file.close()
  await rm(path)
}

function openHere(folder: string): Promise<Database> {
  return openDatabase(folder, { minFreeBytes: 0, clock: Date.now })
}

function random<T>(of: readonly T[]): T {
  const one = of[Math.floor(Math.random() * of.length)]
  if (one === undefined) throw new Error('nothing to choose from')
  return one
}

async function seconds(work: () => unknown): Promise<number> {
  const began = performance.now()
  await work()
  return (performance.now() - began) / 1000
}

function print(what: string, figure: number, unit: string): void {
  const shown = figure >= 100 ? Math.round(figure).toString() : figure.toFixed(1)
  console.log(`${what.padEnd(50)} ${shown.padStart(9)} ${unit}`)
}

const { values } = parseArgs({
  options: {
    mib: { type: 'string', default: '512' },
    rows: { type: 'string', default: '1000000' },
    fill: { type: 'string' },
  },
})
if (values.fill === undefined) await main(Number(values.mib), Number(values.rows))
else await fillUntilKilled(values.fill)
