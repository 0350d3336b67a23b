/** One request over a socket of its own, bytes as they were recorded: methods and headers no client library would send. */
import { connect } from 'node:net'

export interface RawRequest {
  readonly method: string
  readonly path: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

export interface RawResponse {
  readonly status: number
  /** Names in lower case; the first of several. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: Buffer
}

const ANSWER_WITHIN_MS = 60_000

/** The request says `Connection: close`: the answer is whole when the connection ends. */
export function send(host: string, port: number, request: RawRequest): Promise<RawResponse> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = []
    const socket = connect(port, host)
    socket.setTimeout(ANSWER_WITHIN_MS, () => socket.destroy(new Error('no answer')))
    socket.on('data', (part) => parts.push(part))
    socket.on('error', reject)
    socket.on('end', () => {
      socket.destroy()
      try {
        resolve(parseResponse(Buffer.concat(parts), request.method))
      } catch (error) {
        reject(error as Error)
      }
    })
    const headers = Object.entries(request.headers).map(([name, value]) => `${name}: ${value}\r\n`)
    socket.write(
      Buffer.from(`${request.method} ${request.path} HTTP/1.1\r\n${headers.join('')}\r\n`, 'latin1'),
    )
    socket.write(request.body)
  })
}

function parseResponse(bytes: Buffer, method: string): RawResponse {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) throw new Error(`no HTTP answer in ${bytes.length} bytes`)
  const [first = '', ...lines] = bytes.subarray(0, end).toString('latin1').split('\r\n')
  const headers = new Map<string, string>()
  for (const line of lines) {
    const at = line.indexOf(':')
    const name = line.slice(0, at).toLowerCase()
    if (!headers.has(name)) headers.set(name, line.slice(at + 1).trim())
  }
  const rest = bytes.subarray(end + 4)
  const body = headers.get('transfer-encoding') === 'chunked' ? unchunk(rest) : rest
  const length = headers.get('content-length')
  if (method !== 'HEAD' && length !== undefined && Number(length) !== body.length) {
    throw new Error(`the answer says ${length} bytes and has ${body.length}`)
  }
  return { status: Number(first.split(' ')[1]), headers, body }
}

function unchunk(bytes: Buffer): Buffer {
  const parts: Buffer[] = []
  for (let at = 0; ;) {
    const end = bytes.indexOf('\r\n', at)
    const length = Number.parseInt(bytes.subarray(at, end).toString('latin1'), 16)
    if (end < 0 || Number.isNaN(length)) throw new Error('a chunked answer was cut off')
    if (length === 0) return Buffer.concat(parts)
    parts.push(bytes.subarray(end + 2, end + 2 + length))
    at = end + 2 + length + 2
  }
}
