import { MalformedError } from '../errors.ts'
import { KIB } from '../util/units.ts'
import { RegistryError } from './errors.ts'
import type { Credentials } from './credentials.ts'
import { readAll, type FetchOptions, type Fetched, type Fetcher } from './fetch.ts'

const MAX_TOKEN_ANSWER_BYTES = 64 * KIB

interface Challenge {
  readonly scheme: 'basic' | 'bearer'
  readonly parameters: ReadonlyMap<string, string>
}

/**
 * Signing in at one registry: basic, or a bearer token from where the registry says (distribution specification,
 * "token authentication"). A token is kept until it is refused.
 */
export class RegistryAuth {
  readonly #fetcher: Fetcher
  readonly #credentials: Credentials | undefined
  #header: string | undefined

  constructor(fetcher: Fetcher, credentials: Credentials | undefined) {
    this.#fetcher = fetcher
    this.#credentials = credentials
  }

  /** The answer; asked again, once, with what a refusal asks for. */
  async get(url: URL, options: FetchOptions): Promise<Fetched> {
    const first = await this.#fetcher.get(url, this.#signed(options))
    // What another host asks for, where a redirect led, is not ours to tell.
    if (first.status !== 401 || first.origin !== url.origin) return first
    const challenge = parseChallenge(first.headers['www-authenticate'])
    first.close()
    if (challenge === undefined) return first
    const header = await this.#answer(challenge, options.signal)
    if (header === undefined) return first
    this.#header = header
    return await this.#fetcher.get(url, this.#signed(options))
  }

  #signed(options: FetchOptions): FetchOptions {
    if (this.#header === undefined) return options
    return { ...options, headers: { ...options.headers, authorization: this.#header } }
  }

  async #answer({ scheme, parameters }: Challenge, signal: AbortSignal): Promise<string | undefined> {
    if (scheme === 'bearer') return `Bearer ${await this.#token(parameters, signal)}`
    return this.#credentials === undefined ? undefined : basic(this.#credentials)
  }

  async #token(parameters: ReadonlyMap<string, string>, signal: AbortSignal): Promise<string> {
    const realm = parameters.get('realm') ?? ''
    if (!URL.canParse(realm))
      throw new MalformedError('registry', 'the registry names no place to get a token')
    const url = new URL(realm)
    for (const key of ['service', 'scope']) {
      const value = parameters.get(key)
      if (value !== undefined) url.searchParams.set(key, value)
    }
    const headers = this.#credentials === undefined ? {} : { authorization: basic(this.#credentials) }
    const answer = await this.#fetcher.get(url, { headers, signal })
    const bytes = await readAll(answer, 'answer of a token service', MAX_TOKEN_ANSWER_BYTES)
    if (answer.status !== 200)
      throw new RegistryError(`${url.host} gives no token: it answered ${answer.status}`)
    return tokenOf(bytes)
  }
}

function basic({ user, password }: Credentials): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`
}

function tokenOf(bytes: Buffer): string {
  try {
    const { token, access_token: other } = JSON.parse(bytes.toString('utf8')) as Record<string, unknown>
    const found = token ?? other
    if (typeof found === 'string' && /^[\x21-\x7e]+$/.test(found)) return found
  } catch {
    // told below
  }
  throw new MalformedError('registry', 'the token service of the registry gives no token')
}

/** The first challenge of a kind we know. RFC 9110, 11.6.1. */
export function parseChallenge(header: string | undefined): Challenge | undefined {
  const match = /(?:^|,)\s*(basic|bearer)(?:\s+(.*))?$/is.exec(header ?? '')
  if (match === null) return undefined
  const parameters = new Map<string, string>()
  for (const [, key = '', quoted, bare] of (match[2] ?? '').matchAll(
    /(?<![a-z_])([a-z_]+)\s*=\s*(?:"([^"]*)"|([^\s,"]+))/gi, // from the start of a word: in linear time
  ))
    parameters.set(key.toLowerCase(), quoted ?? bare ?? '')
  return { scheme: match[1]?.toLowerCase() === 'basic' ? 'basic' : 'bearer', parameters }
}
