/** What the routes that change names do here (hub-api.md §5 with hub-departures 6, 7, 11 and 14), worked out on the model. */
import { isName, isRepositoryName } from '../../src/format/name-rule.ts'
import type { Model } from './model.ts'
import { placeOf, type PlaceKey, type Thing } from './recorded-state.ts'

export interface NameRequest {
  readonly op: 'link' | 'crosslink' | 'crosstag' | 'uncrosstag' | 'tag' | 'untag' | 'rename' | 'promote'
  /** As the path has them, in order. */
  readonly words: readonly string[]
}

export interface NameOutcome {
  readonly status: number
  /** Of an error; `undefined`: any. */
  readonly message?: string
  readonly payload?: object
  readonly changes: ReadonlyArray<readonly [key: PlaceKey, after: Thing | undefined]>
  /** Why this may be other than recorded. */
  readonly departure?: number
}

const refused = (status: number, message?: string, departure?: number): NameOutcome => ({
  status,
  changes: [],
  ...(message === undefined ? {} : { message }),
  ...(departure === undefined ? {} : { departure }),
})

const full = (name = '') => (/\.(?:flist|fl)$/.test(name) ? name : `${name}.flist`)

/** The flist that a request is about. */
export function sourceOf({ op, words }: NameRequest, actor: string): PlaceKey {
  const [first, second, third, fourth] = words.concat('', '', '', '') as [string, string, string, string]
  switch (op) {
    case 'crosslink':
      return `${second}/${full(third)}`
    case 'tag':
    case 'untag':
      return `${third}/${full(fourth)}`
    case 'promote':
      return `${first}/${full(second)}`
    case 'link':
    case 'rename':
    case 'crosstag':
    case 'uncrosstag':
      return `${actor}/${full(first)}`
  }
}

/** `actor` is who signed in. */
export function outcomeOf({ op, words }: NameRequest, model: Model, actor: string): NameOutcome {
  if (!words.every(isName) || !isRepositoryName(actor)) return refused(400, undefined, 7)
  switch (op) {
    case 'link':
      return link(model, actor, words)
    case 'crosslink':
      return crosslink(model, actor, words)
    case 'crosstag':
      return crosstag(model, actor, words)
    case 'uncrosstag':
      return uncrosstag(model, actor, words)
    case 'tag':
      return tag(model, actor, words)
    case 'untag':
      return untag(model, actor, words)
    case 'rename':
      return rename(model, actor, words)
    case 'promote':
      return promote(model, actor, words)
  }
}

function link(model: Model, actor: string, [source = '', name = '']: readonly string[]): NameOutcome {
  const key = `${actor}/${full(name)}`
  if (!model.hasRepository(actor)) return refused(404, 'user not found')
  const from = `${actor}/${full(source)}`
  if (model.follow(model.expected, from) === undefined) return refused(404, 'source not found')
  return putLink(model, key, from, { kind: 'link', name: full(source) })
}

function crosslink(
  model: Model,
  actor: string,
  [name = '', repository = '', source = '']: readonly string[],
) {
  const missing = missingSource(model, repository, source, 'source repository not found')
  if (missing !== undefined) return missing
  const thing = { kind: 'xlink', repository, name: full(source) } as const
  const made = putLink(model, `${actor}/${full(name)}`, `${repository}/${full(source)}`, thing)
  return model.hasRepository(actor) ? made : { ...made, departure: 14 }
}

function putLink(model: Model, key: PlaceKey, from: PlaceKey, thing: Thing): NameOutcome {
  if (model.expected.get(key)?.kind === 'file') return refused(401, 'link destination is already a file')
  return leadsTo(model, from, key) ? refused(401, undefined, 6) : done([[key, thing]])
}

function leadsTo(model: Model, from: PlaceKey, key: PlaceKey): boolean {
  const seen = new Set<PlaceKey>()
  for (let at: PlaceKey | undefined = from; at !== undefined && !seen.has(at); at = model.linkTarget(at)) {
    if (at === key) return true
    seen.add(at)
  }
  return false
}

function crosstag(model: Model, actor: string, [name = '', repository = '', tagged = '']: readonly string[]) {
  if (!hasTag(model, repository, tagged)) return refused(404, 'source tag not found')
  if (name === full(name)) return refused(401, 'tag symlink cannot ends with .flist')
  if (model.expected.has(`${actor}/${full(name)}`))
    return refused(401, 'there is a .flist file with the same name existing already')
  return done([[`${actor}/${name}`, { kind: 'taglink', repository, tag: tagged }]])
}

function uncrosstag(
  model: Model,
  actor: string,
  [name = '', repository = '', tagged = '']: readonly string[],
) {
  const thing = model.expected.get(`${actor}/${name}`)
  const isIt = thing?.kind === 'taglink' && thing.repository === repository && thing.tag === tagged
  if (!isIt) return refused(404, 'source tag not found', 11)
  return { ...done([[`${actor}/${name}`, undefined]]), departure: 11 }
}

function tag(
  model: Model,
  actor: string,
  [tagged = '', name = '', repository = '', source = '']: readonly string[],
) {
  const missing = missingSource(model, repository, source, 'source repository not found')
  if (missing !== undefined) return missing
  const thing: Thing = { kind: 'tagentry', repository, name: full(source) }
  const made = done([[`${actor}/.tag-${tagged}/${full(name)}`, thing]])
  return model.hasRepository(actor) ? made : { ...made, departure: 14 }
}

function untag(model: Model, actor: string, [tagged = '', name = '']: readonly string[]): NameOutcome {
  const key = `${actor}/.tag-${tagged}/${full(name)}`
  if (!model.expected.has(key)) return { ...refused(404, 'target not found on this tag'), departure: 14 }
  return { ...done([[key, undefined]]), departure: 14 }
}

function rename(model: Model, actor: string, [source = '', name = '']: readonly string[]): NameOutcome {
  const [from, to] = [`${actor}/${full(source)}`, `${actor}/${full(name)}`]
  if (!model.hasRepository(actor)) return refused(404, 'user not found')
  const thing = model.expected.get(from)
  if (thing === undefined) return refused(404, 'source not found')
  if (from === to) return done([])
  return done([
    [to, thing],
    [from, undefined],
  ])
}

function promote(model: Model, actor: string, [repository = '', source = '', name = '']: readonly string[]) {
  const missing = missingSource(model, repository, source, 'user not found')
  if (missing !== undefined) return missing
  const [from, to] = [`${repository}/${full(source)}`, `${actor}/${full(name)}`]
  const payload = {
    source: { username: repository, filename: full(source) },
    destination: { username: actor, filename: full(name) },
  }
  if (from === to) return { ...done([]), payload, departure: 6 }
  const file = model.expected.get(model.follow(model.expected, from) ?? '')
  return { ...done(file === undefined ? [] : [[to, file]]), payload }
}

function missingSource(model: Model, repository: string, source: string, unknown: string) {
  if (!model.hasRepository(repository)) return refused(404, unknown)
  const key = `${repository}/${full(source)}`
  return model.follow(model.expected, key) === undefined ? refused(404, 'source not found') : undefined
}

function hasTag(model: Model, repository: string, tagged: string): boolean {
  return [...model.expected.keys()].some((key) => {
    const place = placeOf(key)
    return place.repository === repository && place.tag === tagged
  })
}

function done(changes: NameOutcome['changes']): NameOutcome {
  return { status: 200, changes }
}
