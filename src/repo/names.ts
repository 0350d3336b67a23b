import { InvalidInputError } from '../errors.ts'
import { hasFlistSuffix, isFlistName, isName, isRepositoryName, isTaglinkName } from '../format/name-rule.ts'

/**
 * The way in for names of clients; the rule itself is format/name-rule.ts. Each gives its text back.
 * @throws {InvalidInputError} `invalid name` (hub-departures 7).
 */
export function parseRepositoryName(text: string): string {
  return held(isRepositoryName(text), text)
}

/** The full stored name of a file, link or tag entry: ends in `.flist` or `.fl`. */
export function parseFlistName(text: string): string {
  return held(isFlistName(text), text)
}

export function parseTagName(text: string): string {
  return held(isName(text), text)
}

/** The name of a link to a tag: no flist suffix. */
export function parseTaglinkName(text: string): string {
  return held(isTaglinkName(text), text)
}

function held(isWithinRule: boolean, text: string): string {
  if (!isWithinRule) throw new InvalidInputError('invalid name')
  return text
}

/** The stored name of a flist whose suffix clients may leave out: `.flist`, unless it has one. */
export function withSuffix(name: string): string {
  return hasFlistSuffix(name) ? name : `${name}.flist`
}

/** The name under which a standard-API user can never sign in: the admin token's, and everybody's without sign-in. */
export const ADMINISTRATOR = 'Administrator'
