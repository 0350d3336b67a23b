/**
 * The HTTP client of every command: over the control socket of a node on this machine, or over the network.
 * Answers of errors become the errors of errors.ts again, so that exit codes follow from them. What it is not for:
 * knowing routes; each command names its own.
 */
import type { IncomingMessage, RequestOptions } from 'node:http'
import type { Readable } from 'node:stream'
import { InvalidInputError, LimitError, MalformedError, UnavailableError } from '../errors.ts'
import { KIB, MIB } from '../util/units.ts'
import { exchange } from './exchange.ts'
import { errorOf, failedProgress, RemoteError } from './remote-error.ts'
import { formBody, type Form } from './multipart.ts'

/** Where a node answers. */
export type NodeAddress =
  { readonly socketPath: string } | { readonly url: string; readonly token?: string | undefined }

export interface CallOptions {
  /** Sent as JSON. */
  readonly json?: unknown
  readonly query?: Readonly<Record<string, string>>
  /** The repository in whose name a change is made. */
  readonly actingRepository?: string | undefined
}

export interface ProgressStep {
  readonly done: number
  readonly total: number | null
  readonly unit: string
}

export interface NodeClient {
  /** The JSON of an answer. @throws the error that the node answered; {UnavailableError} when nobody answers. */
  call(method: string, path: string, options?: CallOptions): Promise<unknown>
  /** The bytes of an answer as they come; length in bytes when the node said it. */
  stream(path: string, options?: CallOptions): Promise<ByteAnswer>
  /** A long operation that tells how far it is. */
  follow(
    path: string,
    json: unknown,
    onStep: (step: ProgressStep) => void,
    options?: Pick<CallOptions, 'actingRepository'>,
  ): Promise<unknown>
  /** A form with one file, sent as it is read. */
  upload(path: string, form: Form, options?: CallOptions): Promise<unknown>
}

export interface ByteAnswer {
  readonly lengthBytes: number | undefined
  /** @throws {RemoteError} when the node cuts it off. */
  readonly bytes: AsyncIterable<Uint8Array>
}

/** Largest JSON answer held in memory: a list of every flist of a large hub. Ours. */
const MAX_JSON_BYTES = 256 * MIB

/** Largest error body, and largest line of a followed operation before its result. Ours. */
const MAX_ERROR_BYTES = 64 * KIB

export class HttpNodeClient implements NodeClient {
  readonly #address: NodeAddress
  readonly #base: URL
  readonly #signal: AbortSignal

  /** @throws {InvalidInputError} for an address that is no http or https URL. */
  constructor(address: NodeAddress, signal: AbortSignal) {
    this.#address = address
    this.#base = baseUrl(address)
    this.#signal = signal
  }

  async call(method: string, path: string, options: CallOptions = {}): Promise<unknown> {
    return readJson(await this.#send(method, path, options), this.#signal)
  }

  async stream(path: string, options: CallOptions = {}): Promise<ByteAnswer> {
    const response = await this.#send('GET', path, options)
    const length = response.headers['content-length']
    return {
      lengthBytes: length === undefined ? undefined : Number(length),
      bytes: bodyOf(response, this.#signal),
    }
  }

  async follow(
    path: string,
    json: unknown,
    onStep: (step: ProgressStep) => void,
    options: Pick<CallOptions, 'actingRepository'> = {},
  ): Promise<unknown> {
    const response = await this.#send('POST', path, { ...options, json }, { accept: 'application/x-ndjson' })
    if (!/^application\/x-ndjson\b/.test(response.headers['content-type'] ?? ''))
      return readJson(response, this.#signal)
    for await (const line of linesOf(bodyOf(response, this.#signal))) {
      const { progress, result, error } = parseLine(line)
      if (error !== undefined) throw failedProgress(error)
      if (result !== undefined) return result
      if (progress !== undefined) onStep(progress)
    }
    throw new RemoteError('the node stopped answering before the work was done')
  }

  async upload(path: string, form: Form, options: CallOptions = {}): Promise<unknown> {
    const { contentType, lengthBytes, body } = formBody(form)
    const headers: Record<string, string> = { 'content-type': contentType, ...form.headers }
    if (lengthBytes !== undefined) headers['content-length'] = String(lengthBytes)
    return readJson(await this.#send('POST', path, options, headers, body), this.#signal)
  }

  async #send(
    method: string,
    path: string,
    options: CallOptions,
    headers: Readonly<Record<string, string>> = {},
    body?: AsyncIterable<Uint8Array>,
  ): Promise<IncomingMessage> {
    const request = {
      ...this.#target(path, options.query),
      method,
      headers: { ...this.#headers(options), ...headers },
      signal: this.#signal,
    }
    const { response, close } = await exchange(request, body ?? jsonBody(options.json)).catch(
      (error: unknown) => {
        throw error instanceof UnavailableError ? unreachable(error, this.#address) : error
      },
    )
    if ((response.statusCode ?? 0) < 300) return response
    const message = await readUpTo(bodyOf(response, this.#signal), MAX_ERROR_BYTES)
    close()
    throw errorOf(response, message)
  }

  #target(path: string, query: Readonly<Record<string, string>> = {}): RequestOptions {
    const search = new URLSearchParams(query).toString()
    const full = this.#base.pathname.replace(/\/$/, '') + path + (search === '' ? '' : `?${search}`)
    if ('socketPath' in this.#address) return { socketPath: this.#address.socketPath, path: full }
    const host = this.#base.hostname.replace(/^\[(.*)\]$/, '$1')
    return { protocol: this.#base.protocol, host, port: this.#base.port, path: full }
  }

  #headers({ json, actingRepository }: CallOptions): Record<string, string> {
    const headers: Record<string, string> = { accept: '*/*' }
    if ('token' in this.#address && this.#address.token !== undefined) {
      headers['authorization'] = `bearer ${this.#address.token}`
    }
    if (json !== undefined) headers['content-type'] = 'application/json'
    if (actingRepository !== undefined) headers['active-user'] = encodeURIComponent(actingRepository)
    return headers
  }
}

function baseUrl(address: NodeAddress): URL {
  if ('socketPath' in address) return new URL('http://localhost/')
  const url = URL.canParse(address.url) ? new URL(address.url) : undefined
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new InvalidInputError(`not the URL of a node: ${address.url}`)
  }
  if (address.token !== undefined && !/^[\x21-\x7e]+$/.test(address.token)) {
    throw new InvalidInputError('the token holds characters that no token has')
  }
  return url
}

async function* jsonBody(value: unknown): AsyncGenerator<Uint8Array> {
  if (value !== undefined) yield Buffer.from(JSON.stringify(value))
}

function unreachable(error: UnavailableError, address: NodeAddress): UnavailableError {
  const where = 'socketPath' in address ? 'the node of this data folder' : address.url
  return new UnavailableError(`cannot reach ${where}: ${error.message}`, { cause: error })
}

/** The body, as long as the node sends it whole. */
async function* bodyOf(response: Readable, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    yield* response as AsyncIterable<Buffer>
  } catch (cause) {
    signal.throwIfAborted()
    throw new RemoteError('the node cut its answer off', { cause })
  }
}

async function readJson(response: IncomingMessage, signal: AbortSignal): Promise<unknown> {
  const bytes = await readUpTo(bodyOf(response, signal), MAX_JSON_BYTES)
  if (bytes === undefined) throw new LimitError('answer of the node', MAX_JSON_BYTES, 'bytes')
  try {
    return JSON.parse(bytes.toString('utf8')) as unknown
  } catch (cause) {
    throw new MalformedError('json', 'the node answered something that is no JSON: is this a hub?', { cause })
  }
}

/** `undefined` when there is more. */
async function readUpTo(body: AsyncIterable<Uint8Array>, maxBytes: number): Promise<Buffer | undefined> {
  const parts: Uint8Array[] = []
  let length = 0
  for await (const part of body) {
    length += part.length
    if (length > maxBytes) return undefined
    parts.push(part)
  }
  return Buffer.concat(parts)
}

async function* linesOf(body: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder()
  let rest = ''
  for await (const part of body) {
    rest += decoder.decode(part, { stream: true })
    if (rest.length > MAX_JSON_BYTES) throw new LimitError('line of the node', MAX_JSON_BYTES, 'bytes')
    const lines = rest.split('\n')
    rest = lines.pop() ?? ''
    yield* lines
  }
  if (rest !== '') yield rest
}

function parseLine(line: string): { progress?: ProgressStep; result?: unknown; error?: unknown } {
  try {
    const value = JSON.parse(line) as unknown
    if (typeof value === 'object' && value !== null) return value
  } catch {
    // told below
  }
  throw new MalformedError('json', 'the node answered a line that is no JSON')
}
