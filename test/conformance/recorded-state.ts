/** What the original's folders said, as what names mean: the state that a case left, and what changed to reach it. */

export type Thing =
  | { readonly kind: 'file'; readonly sizeBytes: number }
  | { readonly kind: 'link'; readonly name: string }
  | { readonly kind: 'xlink' | 'tagentry'; readonly repository: string; readonly name: string }
  | { readonly kind: 'taglink'; readonly repository: string; readonly tag: string }

export interface Place {
  readonly repository: string
  readonly tag?: string
  readonly name: string
}

/** `repository/name`, or `repository/.tag-t/name`: as the original's paths. */
export type PlaceKey = string

export interface RecordedState {
  readonly things: ReadonlyMap<PlaceKey, Thing>
  /** Every folder below `users/`, with entries or without. */
  readonly repositories: ReadonlySet<string>
  /** Files that are no entries of a repository (`.keep`), and plain folders: hub-departures 22. */
  readonly strays: ReadonlySet<string>
}

export const EMPTY_STATE: RecordedState = { things: new Map(), repositories: new Set(), strays: new Set() }

export function placeKey({ repository, tag, name }: Place): PlaceKey {
  return tag === undefined ? `${repository}/${name}` : `${repository}/.tag-${tag}/${name}`
}

export function placeOf(key: PlaceKey): Place {
  const [repository = '', second = '', third] = key.split('/')
  return third === undefined
    ? { repository, name: second }
    : { repository, tag: second.replace(/^\.tag-/, ''), name: third }
}

/** Lines like `users/a/x.flist [12]`, `users/a/l.flist -> x.flist`, `users/a/.tag-t/`. Others lie outside of `users/`. */
export function parseTree(lines: readonly string[]): RecordedState {
  const things = new Map<PlaceKey, Thing>()
  const repositories = new Set<string>()
  const strays = new Set<string>()
  for (const line of lines) {
    const path = /^users\/(.+)$/.exec(line)?.[1]
    if (path === undefined) continue
    const [, folder] = /^([^/]+)\/$/.exec(path) ?? []
    if (folder !== undefined) repositories.add(folder)
    else if (!path.endsWith('/')) parseEntry(path, things, strays)
    else if (!path.includes('/.tag-')) strays.add(path.slice(0, -1))
  }
  return { things, repositories, strays }
}

function parseEntry(path: string, things: Map<PlaceKey, Thing>, strays: Set<string>): void {
  const [, linkKey, target] = /^(.*) -> (.*)$/.exec(path) ?? []
  if (linkKey !== undefined && target !== undefined) {
    things.set(linkKey, linkThing(linkKey, target))
    return
  }
  const [, key = '', size = '0'] = /^(.*) \[(\d+)\]$/.exec(path) ?? []
  if (key.endsWith('.flist')) things.set(key, { kind: 'file', sizeBytes: Number(size) })
  else strays.add(key)
}

function linkThing(key: PlaceKey, target: string): Thing {
  const parts = target.split('/').filter((part) => part !== '..')
  const [repository = '', second = ''] = parts
  if (parts.length === 1) return { kind: 'link', name: repository }
  if (second.startsWith('.tag-')) return { kind: 'taglink', repository, tag: second.slice('.tag-'.length) }
  return { kind: placeOf(key).tag === undefined ? 'xlink' : 'tagentry', repository, name: second }
}

export interface StateChange {
  readonly key: PlaceKey
  readonly before: Thing | undefined
  readonly after: Thing | undefined
}

/** What is new, other or gone, in the order of keys. */
export function changesBetween(before: RecordedState, after: RecordedState): StateChange[] {
  const keys = new Set([...before.things.keys(), ...after.things.keys()])
  return [...keys]
    .sort()
    .map((key) => ({ key, before: before.things.get(key), after: after.things.get(key) }))
    .filter((change) => JSON.stringify(change.before) !== JSON.stringify(change.after))
}
