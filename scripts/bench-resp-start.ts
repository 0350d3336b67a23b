/**
 * How long a chunk port over a store of many chunks takes from `node` to its first right answer: after a clean stop,
 * and after kill -9 in the middle of writing.
 *   node dist/scripts/bench-resp-start.js [--chunks 1000000] [--bytes 64] [--runs 3]
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { blake2b128 } from '../src/format/blake2b.ts'
import { encodeRequest } from '../src/format/resp.ts'
import { createRespServer } from '../src/resp/server.ts'
import { openDatabase } from '../src/store/database.ts'
import { SILENT } from '../src/util/logger.ts'

const self = fileURLToPath(import.meta.url)
/** Chunks of one durable write. */
const BATCH = 5000

function chunk(index: number, sizeBytes: number): { id: Uint8Array; bytes: Uint8Array } {
  const bytes = Buffer.alloc(sizeBytes, index % 251)
  bytes.writeUInt32LE(index, 0)
  return { id: blake2b128(bytes), bytes }
}

/** Writes chunks `from` to `to`, says so, and with `more` goes on until it is killed. */
async function fill(
  folder: string,
  from: number,
  to: number,
  sizeBytes: number,
  more: boolean,
): Promise<void> {
  const database = await openDatabase(folder, { minFreeBytes: 0, clock: Date.now })
  for (let at = from; at < to || more; at += BATCH) {
    await database.chunks.write(Array.from({ length: BATCH }, (_, i) => chunk(at + i, sizeBytes)))
    if (at + BATCH >= to) process.send?.(at + BATCH)
  }
  await database.close()
}

async function serve(folder: string): Promise<void> {
  const database = await openDatabase(folder, { minFreeBytes: 0, clock: Date.now })
  const server = createRespServer(
    { chunks: database.chunks, log: SILENT },
    { listen: [{ host: '127.0.0.1', port: 0 }] },
  )
  await server.start()
  process.send?.(server.addresses[0]?.port ?? 0)
  process.once('message', () => {
    void server
      .stop()
      .then(() => database.close())
      .then(() => process.exit())
  })
}

function run(command: string, folder: string, ...rest: ReadonlyArray<string | number>): ChildProcess {
  return fork(self, ['--child', command, '--folder', folder, ...rest.map(String)])
}

/** Milliseconds from starting the process to the answer to GET of chunk `index`. */
async function timeToAnswer(folder: string, index: number, sizeBytes: number): Promise<number> {
  const { id, bytes } = chunk(index, sizeBytes)
  const started = performance.now()
  const child = run('serve', folder)
  const [port] = (await once(child, 'message')) as [number]
  const socket = connect(port, '127.0.0.1')
  socket.write(encodeRequest(['GET', id]))
  const expected = Buffer.concat([Buffer.from(`$${bytes.length}\r\n`), bytes, Buffer.from('\r\n')])
  let received = Buffer.alloc(0)
  while (received.length < expected.length) {
    const [piece] = (await once(socket, 'data')) as [Buffer]
    received = Buffer.concat([received, piece])
  }
  const tookMs = performance.now() - started
  if (!received.equals(expected)) throw new Error(`wrong answer for chunk ${index}`)
  socket.destroy()
  child.send('stop')
  await once(child, 'exit')
  return tookMs
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? NaN
}

async function measure(chunks: number, sizeBytes: number, runs: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'zhub-bench-start-'))
  try {
    const filling = performance.now()
    await once(run('fill', folder, '--from', 0, '--to', chunks, '--bytes', sizeBytes), 'exit')
    console.log(
      `${chunks} chunks of ${sizeBytes} B written in ${Math.round((performance.now() - filling) / 1000)} s`,
    )
    const clean: number[] = []
    const killed: number[] = []
    let held = chunks
    for (let i = 0; i < runs; i++) {
      clean.push(await timeToAnswer(folder, (i * 7919) % chunks, sizeBytes))
      const writer = run('fill', folder, '--from', held, '--to', held + BATCH, '--bytes', sizeBytes, '--more')
      const [acknowledged] = (await once(writer, 'message')) as [number]
      writer.kill('SIGKILL')
      await once(writer, 'exit')
      killed.push(await timeToAnswer(folder, acknowledged - 1, sizeBytes))
      held = acknowledged + 100 * BATCH
    }
    console.log(`first right answer after a clean stop: ${Math.round(median(clean))} ms (aim 2000)`)
    console.log(`first right answer after kill -9: ${Math.round(median(killed))} ms (aim 5000)`)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

const { values: options } = parseArgs({
  options: {
    chunks: { type: 'string', default: '1000000' },
    bytes: { type: 'string', default: '64' },
    runs: { type: 'string', default: '3' },
    child: { type: 'string' },
    folder: { type: 'string', default: '' },
    from: { type: 'string', default: '0' },
    to: { type: 'string', default: '0' },
    more: { type: 'boolean', default: false },
  },
})
const { child, folder, from, to, bytes, more } = options
if (child === 'fill') await fill(folder, Number(from), Number(to), Number(bytes), more)
else if (child === 'serve') await serve(folder)
else await measure(Number(options.chunks), Number(bytes), Number(options.runs))
