/**
 * GET over HTTP for strangers' URLs: every hop is checked before and while it connects. The address a name leads to
 * is looked up once, checked, and connected to as it is: what a name leads to a moment later does not matter.
 */
import { lookup as systemLookup } from 'node:dns/promises'
import { request as httpRequest, type IncomingMessage, type RequestOptions } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { isIP, type LookupFunction } from 'node:net'
import { ForbiddenError, HubError, LimitError } from '../errors.ts'
import { KIB, SECOND_MS } from '../util/units.ts'
import { RegistryError } from './errors.ts'
import { kindOfAddress } from './address.ts'
import type { RegistryList } from './registries.ts'

/** Security.md row 7. */
const MAX_REDIRECTS = 3
const MAX_HEADER_BYTES = 32 * KIB
/** Slowest server we go on waiting for; a conversion holds a turn of ingest. */
const FLOOR_BYTES_PER_S = 16 * KIB
const CONNECT_WITHIN_MS = 20 * SECOND_MS

export interface FetchOptions {
  readonly headers?: Readonly<Record<string, string>>
  readonly signal: AbortSignal
}

export interface Fetched {
  /** Who answered, after redirects. */
  readonly origin: string
  readonly status: number
  readonly headers: IncomingMessage['headers']
  /** Cut off when nothing comes for a while. @throws {RegistryError} when it breaks off. */
  readonly body: AsyncIterable<Uint8Array>
  /** Gives up what is not read. */
  close(): void
}

export type Resolve = (
  host: string,
) => Promise<ReadonlyArray<{ readonly address: string; readonly family: number }>>

export interface FetcherOptions {
  /** Longest silence of a server. */
  readonly idleMs?: number
  /** How names become addresses; the system's way unless told. */
  readonly resolve?: Resolve
}

export class Fetcher {
  readonly #registries: RegistryList
  readonly #idleMs: number
  readonly #resolve: Resolve

  constructor(
    registries: RegistryList,
    { idleMs = 30 * SECOND_MS, resolve = (host) => systemLookup(host, { all: true }) }: FetcherOptions = {},
  ) {
    this.#registries = registries
    this.#idleMs = idleMs
    this.#resolve = resolve
  }

  /**
   * The answer, after at most three redirects; on another host or scheme without the credentials.
   * @throws {ForbiddenError} for a hop that is not allowed; {RegistryError} when nobody answers; the signal's reason.
   */
  async get(url: URL, { headers = {}, signal }: FetchOptions): Promise<Fetched> {
    let at = url
    let sent = headers
    for (let redirects = 0; ; redirects++) {
      const answer = await this.#hop(at, sent, signal)
      const location = isRedirect(answer.status) ? answer.headers.location : undefined
      if (location === undefined) return answer
      answer.close()
      if (redirects === MAX_REDIRECTS) throw new LimitError('redirects of a registry', MAX_REDIRECTS, 'hops')
      const next = parseUrl(location, at)
      if (at.protocol === 'https:' && next.protocol !== 'https:')
        throw new ForbiddenError(`${at.host} leads from https to ${next.protocol.slice(0, -1)}: refused`)
      if (next.origin !== at.origin) sent = withoutCredentials(sent)
      at = next
    }
  }

  async #hop(url: URL, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<Fetched> {
    this.#checkUrl(url)
    signal.throwIfAborted()
    const host = url.hostname.replace(/^\[(.*)\]$/, '$1')
    const options: RequestOptions = {
      host,
      port: url.port,
      path: url.pathname + url.search,
      headers: { 'user-agent': 'zhub', ...headers, host: url.host },
      agent: false,
      lookup: this.#lookup(url),
      maxHeaderSize: MAX_HEADER_BYTES,
      signal,
    }
    try {
      if (isIP(host) !== 0) this.#checkAddress(url, host)
      const response = await this.#send(url.protocol, options)
      const body = this.#body(url, response, signal)
      return {
        origin: url.origin,
        status: response.statusCode ?? 0,
        headers: response.headers,
        body,
        close: () => response.destroy(),
      }
    } catch (error) {
      throw this.#explain(url, error, signal)
    }
  }

  #checkUrl(url: URL): void {
    const isPlain = url.protocol === 'http:'
    if (url.protocol !== 'https:' && !(isPlain && this.#registries.mayBePlain(url)))
      throw new ForbiddenError(
        `${url.protocol}//${url.host} is not fetched from: only https is, and what ZHUB_REGISTRIES says`,
      )
    if (url.username !== '' || url.password !== '')
      throw new ForbiddenError(`a URL of ${url.host} carries a password: refused`)
  }

  /** @throws {ForbiddenError} */
  #checkAddress(url: URL, address: string): void {
    const kind = kindOfAddress(address)
    if (kind === 'public' || (kind === 'private' && this.#registries.mayBePrivate(url))) return
    // Which one it is stays with us: names of an inner network are not for everybody to look up.
    throw new ForbiddenError(`${url.host} is at no public address: refused`)
  }

  /** One address that is not allowed refuses the name. */
  #lookup(url: URL): LookupFunction {
    return (hostname, options, callback) => {
      this.#resolve(hostname).then(
        (found) => {
          try {
            for (const { address } of found) this.#checkAddress(url, address)
          } catch (error) {
            return callback(error as Error, '', 0)
          }
          const [first] = found
          if (first === undefined) return callback(new Error(`${hostname} has no address`), '', 0)
          if (options.all === true)
            callback(
              null,
              found.map(({ address, family }) => ({ address, family })),
            )
          else callback(null, first.address, first.family)
        },
        (error: Error) => callback(error, '', 0),
      )
    }
  }

  #send(protocol: string, options: RequestOptions): Promise<IncomingMessage> {
    return new Promise((resolve, reject) => {
      const request = (protocol === 'https:' ? httpsRequest : httpRequest)(options)
      const late = (what: string) => () => request.destroy(new Error(what))
      let timer = setTimeout(late('no connection in time'), CONNECT_WITHIN_MS)
      request.on('socket', (socket) => {
        socket.once(protocol === 'https:' ? 'secureConnect' : 'connect', () => {
          clearTimeout(timer)
          timer = setTimeout(late('no answer in time'), this.#idleMs)
        })
      })
      request.on('response', (response) => {
        clearTimeout(timer)
        resolve(response)
      })
      request.on('error', (error) => {
        clearTimeout(timer)
        reject(error)
      })
      request.end()
    })
  }

  /** The clock runs while bytes are waited for, and not while the reader is at work. */
  async *#body(url: URL, response: IncomingMessage, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const pieces = response[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>
    let patienceMs = this.#idleMs
    try {
      for (;;) {
        const startedMs = performance.now()
        const timer = setTimeout(() => response.destroy(new Error('it comes too slowly')), patienceMs)
        const next = await pieces.next().finally(() => clearTimeout(timer))
        if (next.done === true) return
        const earnedMs = (next.value.length / FLOOR_BYTES_PER_S) * SECOND_MS
        patienceMs = Math.min(this.#idleMs, patienceMs - (performance.now() - startedMs) + earnedMs)
        yield next.value
      }
    } catch (error) {
      throw this.#explain(url, error, signal)
    } finally {
      response.destroy()
    }
  }

  #explain(url: URL, error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason
    if (error instanceof HubError) return error
    return new RegistryError(`${url.host}: ${(error as Error).message}`, { cause: error })
  }
}

function isRedirect(status: number): boolean {
  return [301, 302, 303, 307, 308].includes(status)
}

function withoutCredentials(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).filter(([name]) => name.toLowerCase() !== 'authorization'),
  )
}

function parseUrl(text: string, base: URL): URL {
  if (URL.canParse(text, base.href)) return new URL(text, base)
  throw new ForbiddenError(`${base.host} leads to something that is no URL`)
}

/** A small body as a whole. @throws {LimitError} */
export async function readAll({ body }: Fetched, what: string, maxBytes: number): Promise<Buffer> {
  const pieces: Uint8Array[] = []
  let length = 0
  for await (const piece of body) {
    length += piece.length
    if (length > maxBytes) throw new LimitError(what, maxBytes, 'bytes')
    pieces.push(piece)
  }
  return Buffer.concat(pieces)
}
