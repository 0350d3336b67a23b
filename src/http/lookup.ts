/** From the names in a URL to an entry, with the contract's refusals in the contract's order. */
import type { Entry, HistoryItem, NamePlace, Repositories, Resolved } from '../repo/entry.ts'
import { toHex } from '../util/bytes.ts'
import type { Call } from './call.ts'
import { refuse } from './errors.ts'
import { checkName } from './names.ts'
import { withSuffix } from '../repo/names.ts'

/** A version by the first 8 digits of its operation: `<name>~<hash8>.flist`; a stored name of that form wins. */
const VERSION = /^(.+)~([0-9a-f]{8})(\.flist|\.fl)$/

/** The name that fetches one version of a flist. */
export function versionName(name: string, operation: Uint8Array): string {
  return name.replace(/(\.flist|\.fl)$/, `~${toHex(operation).slice(0, 8)}$1`)
}

export interface Found {
  /** The name itself, links not followed. */
  readonly entry: Entry
  /** Where it ends. */
  readonly resolved: Resolved
}

/** @throws {Refusal} 400 `invalid name`, 404 `user not found` or `source not found`. */
export async function findFlist(
  repositories: Repositories,
  repository: string,
  name: string,
): Promise<Found> {
  checkName(repository)
  const stored = checkName(withSuffix(name))
  if (!repositories.has(repository)) refuse(404, 'user not found')
  const found =
    lookUp(repositories, repository, stored) ?? (await findVersion(repositories, repository, stored))
  return found ?? refuse(404, 'source not found')
}

/** The entry of a name and where it ends; `undefined` for nothing, a dangling link or a loop. */
export function lookUp(
  repositories: Repositories,
  repository: string,
  name: string,
  tag?: string,
): Found | undefined {
  const entry = repositories.find(repository, name, tag) ?? repositories.pending(repository, name, tag)
  const resolved = entry && repositories.resolve(repository, name, tag)
  return resolved && { entry, resolved }
}

async function findVersion(
  repositories: Repositories,
  repository: string,
  name: string,
): Promise<Found | undefined> {
  const [, base = '', hash8 = '', suffix = ''] = VERSION.exec(name) ?? []
  if (base === '') return undefined
  const history = await repositories.history(repository, base + suffix)
  // What counts nowhere is shown to operators, in the history, and served to nobody.
  const version = history.find(
    ({ operation, state }) => state !== 'quarantined' && toHex(operation).startsWith(hash8),
  )
  if (version?.target?.kind !== 'file') return undefined
  const { target, timeS: updatedS, operation } = version
  const entry: Entry = { repository, name, target, updatedS, operation, conflicts: 0 }
  return { entry, resolved: { entry, target } }
}

export interface Versions {
  /** Full, as it is stored. */
  readonly place: NamePlace
  /** Newest first; never empty. */
  readonly items: readonly HistoryItem[]
}

/** The versions of a flist, of a taglink of that bare name, or of an entry of a tag. @throws {Refusal} as `findFlist`. */
export async function findVersions(
  repositories: Repositories,
  repository: string,
  { name, tag }: NamePlace,
): Promise<Versions> {
  if (tag !== undefined) checkName(tag)
  for (const stored of storedNames(repositories, repository, name)) {
    const items = await repositories.history(repository, stored, tag)
    if (items.length > 0) return { place: { name: stored, ...(tag !== undefined && { tag }) }, items }
  }
  return refuse(404, 'source not found')
}

/** As a path below its repository. */
export function placePath({ name, tag }: NamePlace): string {
  return tag === undefined ? name : `tags/${tag}/${name}`
}

/** The place that the parameters of a route name. */
export function placeOf({ params: { name = '', tag } }: Pick<Call, 'params'>): NamePlace {
  return tag === undefined ? { name } : { name, tag }
}

/** What a name is, links not followed; without a suffix also a taglink. @throws {Refusal} as `findFlist`. */
export function findEntry(repositories: Repositories, repository: string, name: string): Entry {
  for (const stored of storedNames(repositories, repository, name)) {
    const entry = repositories.find(repository, stored) ?? repositories.pending(repository, stored)
    if (entry !== undefined) return entry
  }
  return refuse(404, 'source not found')
}

/** What a name may be stored as; the flist of that name comes first. */
function storedNames(repositories: Repositories, repository: string, name: string): string[] {
  checkName(repository)
  checkName(name)
  if (!repositories.has(repository)) refuse(404, 'user not found')
  return [withSuffix(name), name]
}
