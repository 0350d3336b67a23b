import { InvalidInputError } from '../errors.ts'
import { DOCKER_HUB } from './reference.ts'

export interface Credentials {
  readonly user: string
  readonly password: string
}

/** Registry → what signs in there. */
export type CredentialBook = ReadonlyMap<string, Credentials>

/** Of `registry=user:password` entries. @throws {InvalidInputError} without showing what it holds. */
export function parseCredentials(entries: readonly string[]): CredentialBook {
  return new Map(
    entries.map((entry, at) => {
      const match = /^([^=]+)=([^:]+):(.+)$/s.exec(entry)
      const [, registry, user, password] = match ?? []
      if (registry === undefined || user === undefined || password === undefined)
        throw new InvalidInputError(`registry-auth: entry ${at + 1} is not registry=user:password`)
      return [nameOf(registry), { user, password }] as const
    }),
  )
}

/**
 * Of a docker `config.json`: its `auths`. Passwords that a helper program keeps are not asked for.
 * @throws {InvalidInputError} when it is no such file.
 */
export function parseDockerConfig(text: string): CredentialBook {
  let auths: unknown
  try {
    auths = (JSON.parse(text) as { auths?: unknown } | null)?.auths
  } catch {
    throw new InvalidInputError('registry-config: not a docker config.json: no JSON')
  }
  if (auths === undefined) return new Map()
  if (typeof auths !== 'object' || auths === null || Array.isArray(auths))
    throw new InvalidInputError('registry-config: not a docker config.json: auths is no object')
  const book = new Map<string, Credentials>()
  for (const [registry, entry] of Object.entries(auths)) {
    const credentials = credentialsOf(entry)
    if (credentials !== undefined) book.set(nameOf(registry), credentials)
  }
  return book
}

function credentialsOf(entry: unknown): Credentials | undefined {
  if (typeof entry !== 'object' || entry === null) return undefined
  const { auth, username, password } = entry as Record<string, unknown>
  if (typeof username === 'string' && typeof password === 'string') return { user: username, password }
  if (typeof auth !== 'string') return undefined
  const text = Buffer.from(auth, 'base64').toString('utf8')
  const colon = text.indexOf(':')
  return colon <= 0 ? undefined : { user: text.slice(0, colon), password: text.slice(colon + 1) }
}

/** Docker keeps its own hub as `https://index.docker.io/v1/`. */
function nameOf(key: string): string {
  const host = key
    .trim()
    .replace(/^https?:\/\//, '')
    .replace(/\/.*$/s, '')
    .toLowerCase()
  return ['index.docker.io', 'registry-1.docker.io'].includes(host) ? DOCKER_HUB : host
}
