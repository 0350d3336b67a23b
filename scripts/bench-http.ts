/**
 * Requests a second of the API's hot answers, next to the original's recorded figures and to a bare node:http server
 * in the same run, round by round; medians. 45 flists, 16 connections, one request at a time on each; the load comes from a process of its own.
 *
 *   node dist/scripts/bench-http.js [--seconds 1] [--rounds 5]
 */
import { fork } from 'node:child_process'
import { createServer } from 'node:http'
import { connect, type AddressInfo, type Socket } from 'node:net'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { createHttpServer } from '../src/http/server.ts'
import { fakeNode, SITE } from '../test/http/doubles.ts'
import { publish } from '../test/http/harness.ts'

const CONNECTIONS = 16
const FLISTS = 45

/** What the original hub does on a machine of this kind (issue 2, Speed). */
const ORIGINAL: Readonly<Record<string, number>> = {
  '/api/flist': 960,
  '/api/flist/alice': 342,
  '/api/flist/alice/f0.flist/light': 840,
  '/alice/f0.flist.md5': 896,
  '/alice/f0.flist': 722,
  '/api/flist/alice/f0.flist': 55,
}

interface Load {
  readonly port: number
  readonly path: string
  readonly seconds: number
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: { seconds: { type: 'string', default: '1' }, rounds: { type: 'string', default: '5' } },
  })
  const seconds = Number(values.seconds)
  const bare = await startBare()
  const hub = await startHub()
  console.log('path                               requests/s   x the original   % of bare node:http')
  for (const [path, original] of Object.entries(ORIGINAL)) {
    const rates: number[] = []
    const shares: number[] = []
    for (let round = 0; round < Number(values.rounds); round++) {
      const bareRate = await measure({ port: bare.port, path: '/', seconds })
      const rate = await measure({ port: hub.port, path, seconds })
      rates.push(rate)
      shares.push((100 * rate) / bareRate)
    }
    const rate = median(rates)
    const cells = [format(rate), format(rate / original), format(median(shares))]
    console.log(path.padEnd(34), cells.map((cell) => cell.padStart(12)).join('   '))
  }
  bare.close()
  await hub.close()
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? 0
}

function format(rate: number): string {
  return Math.round(rate).toLocaleString('en')
}

async function startHub() {
  const node = fakeNode()
  const content = Array.from({ length: 20 }, (_, at) => ({ size: at, path: `/usr/lib/file-${at}` }))
  for (let at = 0; at < FLISTS; at++) {
    await publish(node, 'alice', `f${at}.flist`, { content, note: at })
  }
  const server = createHttpServer({ listen: [{ host: '127.0.0.1', port: 0 }] })
  const [address] = await server.start()
  await server.open(node, { ...SITE, cacheBytes: 64 << 20 })
  return { port: address?.port ?? 0, close: () => server.stop() }
}

async function startBare() {
  const body = Buffer.alloc(2048, 'x')
  const server = createServer((_request, response) => {
    response.writeHead(200, ['Content-Type', 'application/json', 'Content-Length', '2048'])
    response.end(body)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const close = () => {
    server.close()
    server.closeAllConnections()
  }
  return { port: (server.address() as AddressInfo).port, close }
}

/** Runs the load in a child and resolves to its answers a second. */
async function measure(load: Load): Promise<number> {
  const child = fork(fileURLToPath(import.meta.url), ['load', JSON.stringify(load)])
  const [rate] = (await once(child, 'message')) as [number]
  child.kill()
  return rate
}

/** The child: keeps every connection busy, counts whole answers by their Content-Length. */
async function generateLoad({ port, path, seconds }: Load): Promise<void> {
  const request = `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`
  let answers = 0
  const clients = await Promise.all(
    Array.from({ length: CONNECTIONS }, () => client(port, request, () => answers++)),
  )
  await pause(300) // warm: caches filled, code compiled
  const from = answers
  const start = performance.now()
  await pause(seconds * 1000)
  const rate = ((answers - from) * 1000) / (performance.now() - start)
  for (const socket of clients) socket.destroy()
  process.send?.(rate)
}

async function client(port: number, request: string, onAnswer: () => void): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  await once(socket, 'connect')
  let wanted = 0
  socket.on('error', () => {})
  socket.on('data', (piece: Buffer) => {
    if (wanted === 0) {
      const end = piece.indexOf('\r\n\r\n')
      const head = piece.toString('latin1', 0, end)
      if (!head.startsWith('HTTP/1.1 200')) throw new Error(`not a 200: ${head.slice(0, 40)}`)
      wanted = end + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1])
    }
    wanted -= piece.length
    if (wanted > 0) return
    wanted = 0
    onAnswer()
    socket.write(request)
  })
  socket.write(request)
  return socket
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

if (process.argv[2] === 'load') await generateLoad(JSON.parse(process.argv[3] ?? '') as Load)
else await main()
