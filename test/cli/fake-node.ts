/** A node that answers what a test tells it to, over a unix socket, and remembers what it was asked. */
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable, Writable } from 'node:stream'
import { runCommand, type Program } from '../../src/cli/run.ts'
import { SETTINGS } from '../../src/settings.ts'

export interface Asked {
  readonly method: string
  readonly path: string
  readonly headers: IncomingMessage['headers']
  readonly body: Buffer
}

export type Answerer = (asked: Asked, response: ServerResponse) => void | Promise<void>

export interface FakeNode {
  readonly socketPath: string
  readonly url: string
  readonly asked: Asked[]
  close(): Promise<void>
}

/** `routes`: `GET /path` without its query → what to answer; anything else is 404 in the envelope. */
export async function startFakeNode(routes: Readonly<Record<string, Answerer>>): Promise<FakeNode> {
  const folder = await mkdtemp(join(tmpdir(), 'zhub-fake-'))
  const asked: Asked[] = []
  const server = createServer((request, response) => {
    void (async () => {
      const parts: Buffer[] = []
      for await (const part of request) parts.push(part as Buffer)
      const one = {
        method: request.method ?? '',
        path: request.url ?? '',
        headers: request.headers,
        body: Buffer.concat(parts),
      }
      asked.push(one)
      const answer =
        routes[`${one.method} ${one.path.split('?')[0]}`] ?? failure(404, 'HUB_NOT_FOUND', 'nothing here')
      await answer(one, response)
    })()
  })
  const socketPath = join(folder, 'control.sock')
  await new Promise<void>((resolve) => server.listen(socketPath, resolve))
  const tcp = createServer((request, response) => server.emit('request', request, response))
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve))
  const address = tcp.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  return {
    socketPath,
    url: `http://127.0.0.1:${port}`,
    asked,
    close: async () => {
      for (const one of [server, tcp]) {
        one.closeAllConnections()
        await new Promise((resolve) => one.close(resolve))
      }
      await rm(folder, { recursive: true })
    },
  }
}

export function json(value: unknown, status = 200): Answerer {
  return (_asked, response) => {
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  }
}

export function lines(...values: unknown[]): Answerer {
  return (_asked, response) => {
    response.writeHead(200, { 'content-type': 'application/x-ndjson' })
    response.end(values.map((value) => JSON.stringify(value) + '\n').join(''))
  }
}

export function bytes(content: Uint8Array): Answerer {
  return (_asked, response) => void response.writeHead(200).end(content)
}

export function failure(status: number, code: string | undefined, message: string): Answerer {
  return (_asked, response) => {
    response.writeHead(status, code === undefined ? {} : { 'x-hub-error': code })
    response.end(JSON.stringify({ status: 'error', message }))
  }
}

/** Sends the beginning and cuts the connection. */
export function cutAfter(content: Uint8Array): Answerer {
  return (_asked, response) => {
    response.writeHead(200, { 'transfer-encoding': 'chunked' })
    response.write(content, () => response.destroy())
  }
}

export interface Ended {
  readonly code: number
  readonly stdout: Buffer
  readonly text: string
  readonly errors: string
}

export interface RunOptions {
  readonly node?: FakeNode
  readonly stdin?: Uint8Array
  readonly signal?: AbortSignal
  readonly isTerminal?: boolean
  readonly program?: Partial<Program>
}

/** Runs one command line to its end, in this process. */
export async function runZhub(words: readonly string[], options: RunOptions = {}): Promise<Ended> {
  const stdout = new Collected(options.isTerminal ?? false)
  const stderr = new Collected(false)
  const code = await runCommand(words, {
    version: '1.2.3',
    settings: SETTINGS,
    stdin: Readable.from([options.stdin ?? Buffer.alloc(0)]),
    stdout,
    stderr,
    signal: options.signal ?? new AbortController().signal,
    open: () => {
      if (options.node === undefined) throw new Error('this command opens a node')
      return Promise.resolve({ address: { socketPath: options.node.socketPath }, close: async () => {} })
    },
    offline: () => {
      throw new Error('this command works without a node')
    },
    ...options.program,
  })
  return { code, stdout: stdout.all(), text: stdout.all().toString(), errors: stderr.all().toString() }
}

/** Keeps what is written to it. */
export class Collected extends Writable {
  readonly isTTY: boolean
  readonly columns = 80
  readonly #parts: Buffer[] = []

  constructor(isTTY: boolean) {
    super()
    this.isTTY = isTTY
  }

  all(): Buffer {
    return Buffer.concat(this.#parts)
  }

  override _write(part: Buffer, _encoding: string, done: () => void): void {
    this.#parts.push(part)
    done()
  }
}
