/**
 * Chunk port: our server over a LevelDB store, without and with its memory for hot chunks, against a bare RESP server over a map, each in a process
 * of its own, one client connection, in turns within one run. Prints medians and ratios to the bare server.
 *   node dist/scripts/bench-resp.js [--rounds 5] [--seconds 1]
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { blake2b128 } from '../src/format/blake2b.ts'
import { encodeRequest } from '../src/format/resp.ts'
import { createRespServer } from '../src/resp/server.ts'
import { openDatabase } from '../src/store/database.ts'
import { SILENT } from '../src/util/logger.ts'
import { KIB, MIB } from '../src/util/units.ts'

/** `hot`: as `level`, with every value in the port's memory. */
type Kind = 'bare' | 'level' | 'hot'
const KINDS: readonly Kind[] = ['bare', 'level', 'hot']
const SIZES = [4 * KIB, 300 * KIB]
const DEPTHS = [1, 16]
/** Values of each size: 64 MiB, so that no cache of a processor holds them. */
const VALUES_BYTES = 64 * MIB

/** Holds the values of every size. */
const CACHE_BYTES = 160 * MIB

const self = fileURLToPath(import.meta.url)

/** The same values in every process. */
function value(size: number, index: number): Buffer {
  const bytes = Buffer.alloc(size, index % 251)
  bytes.writeUInt32LE(index, 0)
  for (let at = 64; at + 4 <= size; at += 64) bytes.writeUInt32LE(Math.imul(index + at, 2654435761) >>> 0, at)
  return bytes
}

function values(size: number): Array<{ id: Uint8Array; bytes: Uint8Array }> {
  return Array.from({ length: Math.floor(VALUES_BYTES / size) }, (_, index) => {
    const bytes = value(size, index)
    return { id: blake2b128(bytes), bytes }
  })
}

/** The least a server can do: no checks, no limits, requests of exactly one form. */
async function serveBare(): Promise<number> {
  const held = new Map<string, Uint8Array>()
  for (const size of SIZES)
    for (const { id, bytes } of values(size)) held.set(Buffer.from(id).toString('latin1'), bytes)
  const requestBytes = encodeRequest(['GET', Buffer.alloc(16)]).length
  const server = createServer({ noDelay: true }, (socket) => {
    let rest: Buffer = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', (piece: Buffer) => {
      rest = rest.length === 0 ? piece : Buffer.concat([rest, piece])
      socket.cork()
      let at = 0
      for (; at + requestBytes <= rest.length; at += requestBytes) {
        const bytes = held.get(rest.toString('latin1', at + requestBytes - 18, at + requestBytes - 2))
        if (bytes === undefined) socket.write('$-1\r\n')
        else {
          socket.write(`$${bytes.length}\r\n`)
          socket.write(bytes)
          socket.write('\r\n')
        }
      }
      socket.uncork()
      rest = rest.subarray(at)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function serveOurs(kind: 'level' | 'hot', folder: string): Promise<number> {
  const { chunks } = await openDatabase(folder, { minFreeBytes: 0, clock: Date.now })
  for (const size of SIZES) {
    const all = values(size)
    const step = Math.max(1, Math.floor((4 * MIB) / size))
    for (let at = 0; at < all.length; at += step) await chunks.write(all.slice(at, at + step))
  }
  const server = createRespServer(
    { chunks, log: SILENT },
    { listen: [{ host: '127.0.0.1', port: 0 }], cacheBytes: kind === 'hot' ? CACHE_BYTES : 0 },
  )
  await server.start()
  return server.addresses[0]?.port ?? 0
}

/** GETs of random held values for `seconds`, `depth` at a time. Returns replies a second. */
async function measure(socket: Socket, size: number, depth: number, seconds: number): Promise<number> {
  const requests = values(size).map(({ id }) => Buffer.from(encodeRequest(['GET', id])))
  const replyBytes = `$${size}\r\n`.length + size + 2
  let state = 12345
  const next = () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return requests[(state >> 8) % requests.length] ?? Buffer.alloc(0)
  }
  let replies = 0
  let pending = 0
  const started = performance.now()
  const until = started + seconds * 1000
  await new Promise<void>((resolve) => {
    const batch = () =>
      socket.write(depth === 1 ? next() : Buffer.concat(Array.from({ length: depth }, next)))
    const onData = (piece: Buffer) => {
      pending += piece.length
      if (pending < depth * replyBytes) return
      pending -= depth * replyBytes
      replies += depth
      if (performance.now() < until) return void batch()
      socket.off('data', onData)
      resolve()
    }
    socket.on('data', onData)
    batch()
  })
  return replies / ((performance.now() - started) / 1000)
}

interface Running {
  readonly kind: Kind
  readonly child: ChildProcess
  readonly socket: Socket
}

async function start(kind: Kind, folder: string): Promise<Running> {
  const child = fork(self, ['--serve', kind, '--folder', folder])
  const [port] = (await once(child, 'message')) as [number]
  const socket = connect({ port, host: '127.0.0.1', noDelay: true })
  await once(socket, 'connect')
  return { kind, child, socket }
}

function median(numbers: readonly number[]): number {
  const sorted = [...numbers].sort((a, b) => a - b)
  return sorted[sorted.length >> 1] ?? NaN
}

async function compare(rounds: number, seconds: number): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'zhub-bench-resp-'))
  const running: Running[] = []
  try {
    for (const kind of KINDS) running.push(await start(kind, join(folder, kind)))
    console.log(
      `| value | depth | ${KINDS.map((kind) => `${kind} GET/s | ${kind} MB/s`).join(' | ')} | level : bare | hot : bare |`,
    )
    console.log(`|${'---|'.repeat(4 + 2 * KINDS.length)}`)
    for (const size of SIZES) {
      for (const depth of DEPTHS) await row(running, size, depth, rounds, seconds)
    }
  } finally {
    for (const { child, socket } of running) {
      socket.destroy()
      child.kill()
    }
    await rm(folder, { recursive: true, force: true })
  }
}

async function row(
  running: readonly Running[],
  size: number,
  depth: number,
  rounds: number,
  seconds: number,
) {
  const rates = new Map<Kind, number[]>(KINDS.map((kind) => [kind, []]))
  for (let round = 0; round <= rounds; round++) {
    for (const { kind, socket } of running) {
      const rate = await measure(socket, size, depth, seconds)
      if (round > 0) rates.get(kind)?.push(rate) // the first round warms up
    }
  }
  const of = (kind: Kind) => median(rates.get(kind) ?? [])
  const cells = KINDS.map((kind) => `${Math.round(of(kind))} | ${Math.round((of(kind) * size) / 1e6)}`)
  const ratio = (kind: Kind) =>
    median((rates.get(kind) ?? []).map((rate, round) => rate / (rates.get('bare')?.[round] ?? NaN))).toFixed(
      2,
    )
  console.log(`| ${size / KIB} KiB | ${depth} | ${cells.join(' | ')} | ${ratio('level')} | ${ratio('hot')} |`)
}

const { values: options } = parseArgs({
  options: {
    rounds: { type: 'string', default: '5' },
    seconds: { type: 'string', default: '1' },
    serve: { type: 'string' },
    folder: { type: 'string', default: '' },
  },
})
if (options.serve === undefined) await compare(Number(options.rounds), Number(options.seconds))
else {
  const { serve, folder } = options
  process.on('disconnect', () => process.exit())
  process.send?.(
    serve === 'bare' ? await serveBare() : await serveOurs(serve === 'hot' ? 'hot' : 'level', folder),
  )
}
