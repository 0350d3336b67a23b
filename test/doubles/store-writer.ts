/**
 * A process that fills a store and says on its standard output what it was promised, line by line, until it is killed:
 * `w n…` chunks are durable, `D n` a deletion is asked for, `d n` it is durable, `f id n…` a flist is, `x` a write
 * failed. Pipes are written synchronously, so a line that is out was true.
 *
 *   node store-writer.js <folder> <first number>
 */
import { openDatabase } from '../../src/store/database.ts'
import { RowLeases } from '../../src/store/leases.ts'
import { RowFlistStore } from '../../src/store/row-flist-store.ts'
import { toHex } from '../../src/util/bytes.ts'
import { chunkOf } from '../suites/chunk-store.ts'

/** Writers side by side, so that batches and deletions meet. */
const WRITERS = 3

/** The length that a chunk of this number has: 1 byte to 100 KiB, mostly small. */
export function lengthOf(number: number): number {
  return 1 + ((number * 7919) % (number % 5 === 0 ? 102_400 : 4000))
}

export function writtenChunk(number: number) {
  return chunkOf(number, lengthOf(number), number % 3 === 0 ? 32 : 16)
}

async function main(folder: string, first: number): Promise<void> {
  const { rows, chunks } = await openDatabase(folder, { minFreeBytes: 0, clock: Date.now })
  const flists = new RowFlistStore(rows, chunks)
  const leases = new RowLeases(rows, Date.now)
  let next = first

  const write = async (): Promise<void> => {
    const numbers = Array.from({ length: 1 + (next % 7) }, () => next++)
    const made = numbers.map(writtenChunk)
    await chunks.write(made)
    say('w', ...numbers)
    const [doomed, ...kept] = numbers
    if (doomed !== undefined && doomed % 4 === 0) {
      say('D', doomed)
      await chunks.delete([writtenChunk(doomed).id])
      say('d', doomed)
    }
    if (kept.length < 4) return
    const lease = leases.open()
    const chunkIds = kept.map((number) => writtenChunk(number).id)
    const bytes = Buffer.from(`flist of ${kept.join(' ')}`)
    const id = await flists.put({ format: 'zflist', bytes, chunkIds, files: kept.length }, lease)
    say('f', toHex(id), ...kept)
    lease.release()
  }

  await Promise.all(
    Array.from({ length: WRITERS }, async () => {
      for (;;) await write().catch((error: unknown) => say('x', String(error)))
    }),
  )
}

function say(...words: ReadonlyArray<string | number>): void {
  process.stdout.write(`${words.join(' ')}\n`)
}

const [, script, folder, first] = process.argv
if (script?.endsWith('store-writer.js') === true && folder !== undefined) await main(folder, Number(first))
