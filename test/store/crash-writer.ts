/**
 * A program that stores, publishes, collects and deletes without end, for a test to kill. Says what is durable, a line
 * each: `chunk <hex>`, `flist <hex>`, and, before it may be taken away, `gone <hex>`.
 */
import { createHash } from 'node:crypto'
import { writeSync } from 'node:fs'
import { blake2b128 } from '../../src/format/blake2b.ts'
import { collect } from '../../src/store/collector.ts'
import { openDatabase } from '../../src/store/database.ts'
import { RowLeases } from '../../src/store/leases.ts'
import { RowFlistStore } from '../../src/store/row-flist-store.ts'
import { toHex } from '../../src/util/bytes.ts'

const [folder = '', round = '0'] = process.argv.slice(2)
const database = await openDatabase(folder, { minFreeBytes: 0, clock: Date.now })
const { rows, chunks } = database
const flists = new RowFlistStore(rows, chunks)
const leases = new RowLeases(rows, Date.now)
const live: Uint8Array[] = []

function chunkOf(text: string) {
  const seed = createHash('sha512').update(text).digest()
  const bytes = Buffer.alloc(1000 + ((seed[0] ?? 0) << 10), seed)
  return { id: blake2b128(bytes), bytes, plainKey: blake2b128(Buffer.from(text)) }
}

function say(what: string, id: Uint8Array): void {
  writeSync(1, `${what} ${toHex(id)}\n`)
}

async function publish(writer: number): Promise<void> {
  for (let turn = 0; ; turn++) {
    const lease = leases.open()
    const made = Array.from({ length: 12 }, (_, at) =>
      chunkOf(`${round} ${writer} ${Math.floor((turn + at) / 3)}`),
    )
    lease.holdChunks(made.map(({ id }) => id))
    await chunks.write(made)
    const bytes = Buffer.from(`flist ${round} ${writer} ${turn}`)
    const id = await flists.put(
      { format: 'zflist', bytes, chunkIds: made.map((chunk) => chunk.id), files: 1 },
      lease,
    )
    live.push(id)
    for (const chunk of made) say('chunk', chunk.id)
    say('flist', id)
    lease.release()
  }
}

/** Keeps the last ten flists, and what they need. */
async function collectAll(): Promise<void> {
  for (;;) {
    for (const id of live.splice(0, Math.max(0, live.length - 10))) {
      say('gone', id)
      for (const chunk of (await flists.chunkIds(id)) ?? []) say('gone', chunk)
    }
    const liveFlists = async function* () {
      yield* live
    }
    await collect({ rows, chunks, flists, leases, liveFlists, clock: Date.now }, { graceS: 0 })
  }
}

await Promise.all([publish(0), publish(1), publish(2), collectAll()])
