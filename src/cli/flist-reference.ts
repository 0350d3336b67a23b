import { UsageError } from './command.ts'

/** A published name as a command line spells it. */
export interface FlistReference {
  readonly repository: string
  readonly name: string
}

/** @throws {UsageError} for anything but `repo/name`; which names exist is the node's to say. */
export function parseReference(text: string): FlistReference {
  const reference = parseTarget(text)
  if (reference.repository === undefined)
    throw new UsageError(`expected repo/name, got ${JSON.stringify(text)}`)
  return { repository: reference.repository, name: reference.name }
}

/** `[repo/]name`. */
export function parseTarget(text: string): { repository: string | undefined; name: string } {
  const parts = text.split('/')
  if (parts.length > 2 || parts.some((part) => part === '')) {
    throw new UsageError(`expected repo/name, got ${JSON.stringify(text)}`)
  }
  const name = parts.at(-1) ?? ''
  return { repository: parts.length === 2 ? parts[0] : undefined, name }
}

/** A name of a repository, or an entry of one of its tags. */
export interface Place extends FlistReference {
  readonly tag?: string
}

/** `repo/name` or `repo/tags/tag/name`. @throws {UsageError} for anything else. */
export function parsePlace(text: string): Place {
  const [repository = '', word, tag = '', name = '', ...more] = text.split('/')
  if (word !== 'tags' || name === '') return parseReference(text)
  if (repository === '' || tag === '' || more.length > 0) throw notAPlace(text)
  return { repository, tag, name }
}

/** As path segments of a URL. */
export function placePath({ repository, tag, name }: Place): string {
  const segments = tag === undefined ? [repository, name] : [repository, 'tags', tag, name]
  return segments.map(encodeURIComponent).join('/')
}

function notAPlace(text: string): UsageError {
  return new UsageError(`expected repo/name or repo/tags/tag/name, got ${JSON.stringify(text)}`)
}

/** The two as path segments of a URL. */
export function referencePath({ repository, name }: FlistReference): string {
  return `${encodeURIComponent(repository)}/${encodeURIComponent(name)}`
}
