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
  const [named = '', digest] = cut(text, text.indexOf('@'))
  if (digest !== undefined && !isDigest(digest)) throw malformed(text, 'only sha256 digests are taken')
  const [name = '', tag = 'latest'] = cut(named, named.indexOf(':', named.lastIndexOf('/') + 1))
  if (!TAG.test(tag)) throw malformed(text, `${JSON.stringify(tag)} is no tag`)
  const { registry, repository } = splitRegistry(name)
  if (!REGISTRY.test(registry) || !URL.canParse(`https://${registry}`))
    throw malformed(text, `${JSON.stringify(registry)} is no registry`)
  if (!REPOSITORY.test(repository) || repository.length > MAX_REPOSITORY)
    throw malformed(text, `${JSON.stringify(repository)} is no repository`)
  return { registry, repository, tag, digest }
}

/** Before and after one character; all of it before when there is none. */
function cut(text: string, at: number): [before: string, after: string | undefined] {
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}

/** The first part is a registry when it looks like a host: it has a dot or a port, or is `localhost`. */
function splitRegistry(name: string): { registry: string; repository: string } {
  const [first, rest] = cut(name, name.indexOf('/'))
  if (rest !== undefined && (/[.:]/.test(first) || first === 'localhost')) {
    const registry = first.toLowerCase()
    const isHub = registry === DOCKER_HUB || registry === 'index.docker.io'
    return isHub ? { registry: DOCKER_HUB, repository: ofHub(rest) } : { registry, repository: rest }
  }
  return { registry: DOCKER_HUB, repository: ofHub(name) }
}

function ofHub(repository: string): string {
  return repository.includes('/') ? repository : `library/${repository}`
}

/** The name that a converted image is published under (hub-api.md §7): `acme/web:1.0` is `acme-web-1.0`. */
export function publishedName(image: string): string {
  return (image.includes(':') ? image : `${image}:latest`).replace(/[:/]/g, '-')
}

function malformed(text: string, reason: string): InvalidInputError {
  return new InvalidInputError(`not an image: ${JSON.stringify(text.slice(0, 200))}: ${reason}`)
}
