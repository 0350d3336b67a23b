import { ForbiddenError, InvalidInputError } from '../errors.ts'
import { DOCKER_HUB } from './reference.ts'

/** A registry that images may be fetched from. */
export interface Registry {
  /** As references name it. */
  readonly name: string
  /** Where it answers: an origin, without a path. */
  readonly endpoint: URL
  /** Whose credentials it is asked with: those of a registry are not for a mirror that stands in for it. */
  readonly account: string
}

interface Entry extends Registry {
  /** May be on this machine, or in a network of the site. */
  readonly isPrivate: boolean
}

const HUB_ENDPOINT = 'https://registry-1.docker.io'

/**
 * The operator's list of registries: `NAME[=URL][+private]`. Without a URL it is asked at `https://NAME`; `+private`
 * lets that host, and no other, be at a private address; `*` is every registry of the internet.
 */
export class RegistryList {
  readonly #entries: readonly Entry[]
  readonly #takesAny: boolean

  /** @throws {InvalidInputError} for an entry that is none. */
  constructor(entries: readonly string[]) {
    this.#takesAny = entries.includes('*')
    this.#entries = entries.filter((entry) => entry !== '*').map(parseEntry)
  }

  /** @throws {ForbiddenError} for a registry that is not on the list. */
  find(name: string): Registry {
    const entry = this.#entries.find((one) => one.name === name)
    if (entry !== undefined) return entry
    if (!this.#takesAny)
      throw new ForbiddenError(`the registry ${name} is not one that this hub fetches from (ZHUB_REGISTRIES)`)
    return { name, endpoint: endpointOf(name, undefined), account: name }
  }

  /** Whether this may be fetched without TLS: only from where the operator said so. */
  mayBePlain({ origin }: URL): boolean {
    return this.#entries.some(({ endpoint }) => endpoint.origin === origin)
  }

  /** Whether the host may be at a private address. */
  mayBePrivate({ host }: URL): boolean {
    return this.#entries.some(({ endpoint, isPrivate }) => isPrivate && endpoint.host === host)
  }
}

function parseEntry(text: string): Entry {
  const match = /^([^=+\s]+)(?:=([^+\s]+))?(\+private)?$/.exec(text)
  const name = match?.[1]
  if (name === undefined) throw malformed(text)
  try {
    const endpoint = endpointOf(name, match?.[2])
    const account = match?.[2] === undefined ? name.toLowerCase() : endpoint.host
    return { name: name.toLowerCase(), endpoint, account, isPrivate: match?.[3] !== undefined }
  } catch (cause) {
    if (cause instanceof InvalidInputError) throw cause
    throw malformed(text)
  }
}

function endpointOf(name: string, url: string | undefined): URL {
  const endpoint = new URL(url ?? (name === DOCKER_HUB ? HUB_ENDPOINT : `https://${name}`))
  const isOrigin = endpoint.pathname === '/' && endpoint.search === '' && endpoint.username === ''
  if (!/^https?:$/.test(endpoint.protocol) || !isOrigin) throw malformed(url ?? name)
  return endpoint
}

function malformed(text: string): InvalidInputError {
  return new InvalidInputError(
    `registries: expected NAME[=URL][+private], like ghcr.io or docker.io=http://mirror.lan:5000+private, got ${JSON.stringify(text)}`,
  )
}
