/** What a link may lead to, and what may not be replaced by one (hub-api.md §5, hub-departures 6). */
import type { Repositories, Target } from '../repo/entry.ts'
import { withSuffix } from '../repo/names.ts'
import { refuse } from './errors.ts'
import { lookUp, type Found } from './lookup.ts'
import { checkName } from './names.ts'

export interface Place {
  readonly repository: string
  readonly name: string
}

type LinkTarget = Exclude<Target, { kind: 'file' }>

/** A name in any repository, and where it ends. @throws {Refusal} 400 `invalid name`, 404 `source not found`. */
export function findSource(
  repositories: Repositories,
  { repository, name }: Place,
  unknownRepository: string,
): Found {
  checkName(repository)
  const stored = checkName(withSuffix(name))
  if (!repositories.has(repository)) refuse(404, unknownRepository)
  return lookUp(repositories, repository, stored) ?? refuse(404, 'source not found')
}

/** A link may take the place of nothing, or of a link. @throws {Refusal} 401. */
export function refuseFile(repositories: Repositories, { repository, name }: Place): void {
  if (repositories.find(repository, name)?.target.kind === 'file')
    refuse(401, 'link destination is already a file')
}

/** @throws {Refusal} 401 when a link of that place to `target` would lead back to itself. */
export function refuseLoop(repositories: Repositories, place: Place, target: LinkTarget): void {
  let next = placeOf(place.repository, target)
  for (const seen = new Set<string>(); next !== undefined;) {
    const id = `${next.repository}/${next.name}`
    if (id === `${place.repository}/${place.name}` || seen.has(id))
      refuse(401, 'link destination leads back to the link itself')
    seen.add(id)
    const following = repositories.find(next.repository, next.name)
    if (following === undefined || following.target.kind === 'file') return
    next = placeOf(next.repository, following.target)
  }
}

/** `undefined` for a tag, which is no name. */
function placeOf(repository: string, target: LinkTarget): Place | undefined {
  switch (target.kind) {
    case 'link':
      return { repository, name: target.name }
    case 'xlink':
    case 'tagentry':
      return { repository: target.repository, name: target.name }
    case 'taglink':
      return undefined
  }
}
