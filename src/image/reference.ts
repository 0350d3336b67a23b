import { InvalidInputError } from '../errors.ts'

/** What `docker pull` takes: `[registry/]repository[:tag][@digest]`, spelled out. */
export interface ImageReference {
  /** Host, with a port where one is named; `docker.io` when none is. */
  readonly registry: string
  readonly repository: string
  readonly tag: string
  /** Pinned content: wins over the tag. */
  readonly digest: string | undefined
}

export const DOCKER_HUB = 'docker.io'

// github.com/distribution/reference, "grammar".
const COMPONENT = '[a-z0-9]+(?:(?:\\.|_|__|-+)[a-z0-9]+)*'
const REPOSITORY = new RegExp(`^${COMPONENT}(?:/${COMPONENT})*$`)
const REGISTRY =
  /^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:.]+\])(?::\d{1,5})?$/i
const TAG = /^\w[\w.-]{0,127}$/
const MAX_REPOSITORY = 255
const MAX_REFERENCE = 1024

/** The only one taken; lower-case hex. */
const DIGEST = /^sha256:[0-9a-f]{64}$/

export function isDigest(text: string): boolean {
  return DIGEST.test(text)
}

/** @throws {InvalidInputError} saying which part is none. */
export function parseImageReference(text: string): ImageReference {
  if (text.length > MAX_REFERENCE) throw malformed(text, 'it is too long')
  const at = text.indexOf('@')
  const digest = at < 0 ? undefined : text.slice(at + 1)
  if (digest !== undefined && !isDigest(digest)) throw malformed(text, 'only sha256 digests are taken')
  const named = at < 0 ? text : text.slice(0, at)
  const colon = named.indexOf(':', named.lastIndexOf('/') + 1)
  const tag = colon < 0 ? 'latest' : named.slice(colon + 1)
  if (!TAG.test(tag)) throw malformed(text, `${JSON.stringify(tag)} is no tag`)
  const { registry, path } = splitRegistry(colon < 0 ? named : named.slice(0, colon))
  if (!REGISTRY.test(registry)) throw malformed(text, `${JSON.stringify(registry)} is no registry`)
  const repository = registry === DOCKER_HUB && !path.includes('/') ? `library/${path}` : path
  if (!REPOSITORY.test(repository) || repository.length > MAX_REPOSITORY)
    throw malformed(text, `${JSON.stringify(path)} is no repository`)
  return { registry, repository, tag, digest }
}

/** The first part is a registry when it looks like a host: it has a dot or a port, or is `localhost`. */
function splitRegistry(name: string): { registry: string; path: string } {
  const slash = name.indexOf('/')
  const first = name.slice(0, Math.max(slash, 0))
  if (slash < 0 || !(/[.:]/.test(first) || first === 'localhost')) return { registry: DOCKER_HUB, path: name }
  const registry = first.toLowerCase()
  return { registry: registry === 'index.docker.io' ? DOCKER_HUB : registry, path: name.slice(slash + 1) }
}

/** The name that a converted image is published under (hub-api.md §7): `acme/web:1.0` is `acme-web-1.0`. */
export function publishedName(image: string): string {
  return (image.includes(':') ? image : `${image}:latest`).replace(/[:/]/g, '-')
}

function malformed(text: string, reason: string): InvalidInputError {
  return new InvalidInputError(`not an image: ${JSON.stringify(text.slice(0, 200))}: ${reason}`)
}
