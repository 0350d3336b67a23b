/** A listening server over a fake node, and a client of plain sockets: what goes over the wire is what is tested. */
import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import type { TestContext } from 'node:test'
import { createHttpServer, type ListenOptions } from '../../src/http/server.ts'
import type { SiteOptions } from '../../src/http/deps.ts'
import { fakeNode, SITE, type FakeNode } from './doubles.ts'

export interface Harness {
  readonly node: FakeNode
  readonly port: number
  /** One request on a connection of its own. */
  ask(method: string, path: string, options?: AskOptions): Promise<Reply>
  /** The head is written as given; the connection is the caller's. */
  socket(): Promise<Socket>
}

export interface AskOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: Uint8Array | string
}

export interface Reply {
  readonly status: number
  /** Lower-case names. */
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer
  readonly text: string
}

export const ALICE = { Authorization: 'bearer sig-alice' }
export const ADMIN = { Authorization: 'bearer sig-Administrator' }

export async function startServer(
  context: TestContext,
  site: Partial<SiteOptions> = {},
  { controlSocket, ...listen }: Partial<ListenOptions> & { readonly controlSocket?: string } = {},
  node: FakeNode = fakeNode(),
): Promise<Harness> {
  const server = createHttpServer({ listen: [{ host: '127.0.0.1', port: 0 }], ...listen })
  context.after(() => server.stop())
  const [address] = await server.start()
  if (controlSocket !== undefined) await server.startControl(controlSocket)
  await server.open(node, { ...SITE, ...site })
  const port = address?.port ?? 0
  return {
    node,
    port,
    ask: (method, path, options) => ask({ port, host: '127.0.0.1' }, method, path, options),
    socket: async () => {
      const socket = connect(port, '127.0.0.1')
      context.after(() => socket.destroy())
      await once(socket, 'connect')
      return socket
    },
  }
}

export async function ask(
  where: { port: number; host: string } | { path: string },
  method: string,
  path: string,
  { headers = {}, body = '' }: AskOptions = {},
): Promise<Reply> {
  const socket = connect(where)
  const bytes = Buffer.from(body as string)
  const head = Object.entries({
    Host: 'hub.example.test',
    Connection: 'close',
    ...(bytes.length > 0 || method === 'POST' ? { 'Content-Length': String(bytes.length) } : {}),
    ...headers,
  })
  socket.write(`${method} ${path} HTTP/1.1\r\n${head.map((pair) => pair.join(': ')).join('\r\n')}\r\n\r\n`)
  socket.write(bytes)
  return parseReply(await readToEnd(socket))
}

export async function readToEnd(socket: Socket): Promise<Buffer> {
  const pieces: Buffer[] = []
  for await (const piece of socket) pieces.push(piece as Buffer)
  return Buffer.concat(pieces)
}

export function parseReply(bytes: Buffer): Reply {
  const end = bytes.indexOf('\r\n\r\n')
  const [first = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const headers = Object.fromEntries(
    lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)]),
  )
  const rest = bytes.subarray(end + 4)
  const body = headers['transfer-encoding'] === 'chunked' ? unchunk(rest) : rest
  return { status: Number(first.split(' ')[1]), headers, body, text: body.toString() }
}

function unchunk(bytes: Buffer): Buffer {
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const line = bytes.indexOf('\r\n', at)
    const length = parseInt(bytes.subarray(at, line).toString('latin1'), 16)
    if (!(length > 0)) break
    pieces.push(bytes.subarray(line + 2, line + 2 + length))
    at = line + 2 + length + 2
  }
  return Buffer.concat(pieces)
}

export interface Part {
  readonly name: string
  readonly filename?: string
  readonly body: Uint8Array | string
}

export const BOUNDARY = '----boundary'
export const MULTIPART = { 'Content-Type': `multipart/form-data; boundary=${BOUNDARY}` }

export function multipart(parts: readonly Part[]): Buffer {
  const pieces = parts.flatMap(({ name, filename, body }) => [
    Buffer.from(
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"` +
        (filename === undefined ? '' : `; filename="${filename}"`) +
        '\r\n\r\n',
    ),
    Buffer.from(body as string),
    Buffer.from('\r\n'),
  ])
  return Buffer.concat([...pieces, Buffer.from(`--${BOUNDARY}--\r\n`)])
}

/** A published flist of no content but a name. */
export async function publish(
  node: FakeNode,
  repository: string,
  name: string,
  flist: object = {},
): Promise<void> {
  const bytes = Buffer.from(JSON.stringify({ fake: true, content: [{ size: 4, path: '/é' }], ...flist }))
  const target = {
    kind: 'file',
    flist: await node.flists.put({ bytes }),
    sizeBytes: bytes.length,
    md5: '',
  } as const
  await node.repositories.apply(repository, [{ type: 'put', name, target }], {
    sub: repository,
    idp: 'token',
  })
}
