/**
 * hub-departures.md as rules over answers: each looks at what was asked and at the two states, and says how this hub
 * answers instead. None knows a case by name. A rule's number is the one of the table there.
 */
import { isName } from '../../src/format/name-rule.ts'
import { isHtml, pythonJson, type Expected } from './comparison.ts'
import type { Model } from './model.ts'
import type { RecordedCase } from './recorded.ts'
import { SETTINGS_OF } from './profiles.ts'
import { placeKey, placeOf, type Place, type PlaceKey } from './recorded-state.ts'
import type { Asked } from './route-of.ts'
import type { Verdict } from './verdict.ts'

export interface Situation {
  readonly one: RecordedCase
  readonly asked: Asked
  readonly verdict: Verdict
  readonly model: Model
  /** Who acts, as far as this part signs people in. */
  readonly actor: string
  /** What is in one of this hub's flists, by path; asked only where a rule needs it. */
  readonly kindsIn: (repository: string, name: string) => Promise<ReadonlyMap<string, string>>
  readonly bytesIn: (repository: string, name: string) => Promise<number>
  /** A file in one of this hub's flists, as it was packed. */
  readonly textIn: (repository: string, name: string, path: string) => Promise<string>
}

interface Departed {
  readonly expected: Expected
  readonly numbers: readonly number[]
}

type Rule = (expected: Expected, situation: Situation) => Departed | undefined | Promise<Departed | undefined>

/** The recorded answer with every departure that applies, and their numbers. */
export async function depart(recorded: Expected, situation: Situation): Promise<Departed> {
  let expected = recorded
  const numbers: number[] = []
  for (const rule of RULES) {
    const departed = await rule(expected, situation)
    if (departed === undefined) continue
    expected = departed.expected
    numbers.push(...departed.numbers)
  }
  return { expected, numbers }
}

const JSON_HEADERS = new Map([
  ['content-type', 'application/json'],
  ['access-control-allow-origin', '*'],
])

function error(status: number, message?: string): Expected {
  const text = message === undefined ? undefined : pythonJson({ status: 'error', message }) + '\n'
  return { status, headers: JSON_HEADERS, text, isError: message === undefined }
}

function answer(value: unknown): Expected {
  return { status: 200, headers: JSON_HEADERS, text: pythonJson(value) + '\n', isError: false }
}

const by = (number: number, expected: Expected): Departed => ({ expected, numbers: [number] })

/** 1, 2, 3, 7, 24: an upload that is refused; 23: one that is taken. */
const uploads: Rule = (_expected, { verdict }) => {
  if (verdict.kind === 'refused') return by(verdict.departure, error(verdict.status))
  if (verdict.kind === 'taken') return by(verdict.departure, { ...answer({}), text: undefined })
  return undefined
}

/** 7: a name that cannot be is refused where it is read. */
const invalidNames: Rule = (_expected, { asked }) => {
  if (!('repository' in asked) || asked.repository === undefined) return undefined
  const names = [
    asked.repository,
    'tag' in asked ? asked.tag : undefined,
    'name' in asked ? asked.name : undefined,
  ]
  return names.every((name) => name === undefined || isName(name)) ? undefined : by(7, error(400))
}

/** 8: a guest token is compared as a whole, dot or not. */
const guests: Rule = (expected, { one, asked }) =>
  one.profile === 'nodot' && asked.kind === 'me' && expected.status === 401
    ? by(8, answer({ status: 'success', payload: { username: 'guest' } }))
    : undefined

/** 8: a login that this hub did not begin in this browser is refused, whatever came back. */
const webLogins: Rule = (expected, { one }) =>
  /^\/callback_\w+\?/.test(`${one.request.path}?`) && expected.status !== 400 ? by(8, page(400)) : undefined

/** 28: the service is gone. */
const itsyouLogins: Rule = (_expected, { one }) =>
  /^\/(?:login-iyo|_iyo_callback)\b/.test(one.request.path) ? by(28, page(302)) : undefined

/** 8: a session of the original is none here: the token beside it is verified, and nobody is signed in without one. */
const originalSessions: Rule = (expected, { one: { request } }) => {
  const isSession = /session=/.test(request.headers['Cookie'] ?? '')
  if (!isSession || expected.status !== 200) return undefined
  if (/^\/(?:upload|upload-flist|merge|docker-convert)$/.test(request.path)) return by(8, page(302))
  if (!request.path.startsWith('/api/flist/me')) return undefined
  const text = '{"message":"invalid token","status":"error"}\n'
  return by(8, { status: 403, headers: JSON_HEADERS, text, isError: false })
}

/** A page, or where it leads: ours looks otherwise. */
function page(status: number): Expected {
  return { status, headers: new Map(), text: undefined, isError: false }
}

/** 11: what was always broken works. */
const repairs: Rule = (expected, { one, asked }) => {
  if (expected.status !== 500) return undefined
  if (asked.kind === 'json') {
    const { name, repository: uploader = '' } = asked
    const source = `${SETTINGS_OF.noauth['ZHUB_PUBLIC_URL']}/${uploader}/${name}`
    const storage = SETTINGS_OF.noauth['ZHUB_PUBLIC_CHUNKS']
    const steadied = { md5: '0'.repeat(32), size: 0, updated: 0 }
    return by(11, answer({ name, uploader, source, storage, ...steadied }))
  }
  if (asked.kind === 'dump' && one.request.method === 'HEAD') return by(11, { ...answer({}), text: '' })
  return undefined
}

/** 10: a conversion answers the flist's name, and its counts beside it. */
const conversions: Rule = async (expected, { one, actor, kindsIn, bytesIn }) => {
  if (!one.request.path.endsWith('/docker') || expected.status !== 200 || !expected.text) return undefined
  const said = JSON.parse(expected.text) as { payload?: { name: { directory: number } } }
  if (said.payload === undefined) return undefined
  const image = /(?:image=|name="image"\r\n\r\n)([^&\r]+)/.exec(one.request.body?.text ?? '')?.[1] ?? ''
  const tagged = decodeURIComponent(image)
  const name = `${(tagged.includes(':') ? tagged : `${tagged}:latest`).replace(/[:/]/g, '-')}.flist`
  const kinds = await kindsIn(actor, name)
  const directory = [...kinds].filter(([path, kind]) => path !== '' && kind === 'directory').length
  // The start-up file is longer by a Cmd that the original drops.
  const files = { ...said.payload.name, directory, fullsize: await bytesIn(actor, name) }
  return { expected: answer({ status: 'success', payload: { name, files } }), numbers: [10, 13] }
}

/** 16: where a file clashes with a folder the name stands there once. */
const clashes: Rule = (expected, { asked }) => {
  if (asked.kind !== 'dump' || expected.status !== 200 || !expected.text) return undefined
  const { content = [] } = JSON.parse(expected.text) as { content?: Array<{ path: string }> }
  const paths = new Set(content.map(({ path }) => path))
  return paths.size === content.length ? undefined : by(16, { ...expected, text: undefined })
}

/** 13: folders are counted once. */
const directoryCounts: Rule = async (expected, { asked, actor, kindsIn }) => {
  if (asked.kind !== 'upload' || expected.status !== 200 || expected.text === undefined) return undefined
  const said = JSON.parse(expected.text) as {
    payload: { name: string; files: { response: { directory: number } } }
  }
  const kinds = await kindsIn(actor, said.payload.name)
  const { response } = said.payload.files
  const count = [...kinds].filter(([path, kind]) => path !== '' && kind === 'directory').length
  if (count === response.directory) return undefined
  response.directory = count
  return by(13, answer(said))
}

/** A name that one of the two states lacks, or that leads nowhere here (15), where somebody reads it. */
const missingNames: Rule = (expected, { one, asked, model, actor }) => {
  if (!('name' in asked) || asked.kind === 'taglink' || asked.kind === 'delete') return undefined
  const key = placeKey({ ...asked, repository: asked.repository ?? actor })
  const isRead = expected.status === 200 || expected.status === 206
  if (!isRead || model.follow(model.expected, key) !== undefined) return undefined
  const number = departureOn(model, key) ?? danglingDeparture(model, key)
  if (number === undefined) return undefined
  if (!['dump', 'light', 'metadata'].includes(asked.kind)) {
    return by(number, { status: 404, headers: new Map(), text: undefined, isError: false })
  }
  const gone = error(404, 'source not found')
  return by(number, one.request.method === 'HEAD' ? { ...gone, text: '' } : gone)
}

/** A name that has another content here than in the recorded state: as found, whatever it says. */
const otherContents: Rule = (expected, { asked, model, actor }) => {
  if (!('name' in asked) || asked.kind === 'taglink' || asked.kind === 'delete') return undefined
  const key = placeKey({ ...asked, repository: asked.repository ?? actor })
  const final = model.follow(model.expected, key)
  if (final === undefined) return undefined
  const departure = model.departures.get(final) ?? model.departures.get(key)
  if (departure === undefined) return undefined
  if (expected.status === 200) return by(departure, { ...expected, text: undefined })
  // A loop of the original leads somewhere here.
  return expected.status === 404 ? by(departure, page(200)) : undefined
}

/** A name that is only in the recorded state cannot be deleted here. */
const missingDeletes: Rule = (expected, { asked, model, actor }) => {
  if (asked.kind !== 'delete' || expected.status !== 200) return undefined
  return goneHere(model, `${actor}/${asked.name}`)
}

/** The same of a link to a tag. */
const missingTaglinks: Rule = (expected, { asked, model, actor }) =>
  asked.kind === 'taglink' && expected.status === 200
    ? goneHere(model, `${asked.repository ?? actor}/${asked.name}`)
    : undefined

/** What the recorded state alone has under a name, or, as a link to a tag, without its suffix. */
function goneHere(model: Model, key: PlaceKey): Departed | undefined {
  const keys = [key, key.replace(/\.flist$/, '')]
  if (keys.some((one) => model.expected.has(one))) return undefined
  const departure = keys.map((one) => departureOn(model, one)).find((number) => number !== undefined)
  return departure === undefined ? undefined : by(departure, error(404, 'source not found'))
}

/** 15: what leads nowhere in the recorded state either is not found here. */
function danglingDeparture(model: Model, key: PlaceKey): number | undefined {
  return model.follow(model.recorded.things, key) === undefined ? 15 : undefined
}

/** The departure that a name, or what it leads to, differs by. */
export function departureOn(model: Model, key: PlaceKey): number | undefined {
  const final = model.follow(model.recorded.things, key)
  return model.departures.get(key) ?? (final === undefined ? undefined : model.departures.get(final))
}

interface ListEntry {
  readonly name: string
  readonly type: string
  readonly [key: string]: unknown
}

/** Lists show what is here: without departed names, and without strays (22). */
const lists: Rule = (expected, { asked, model }) => {
  if (!LIST_KINDS.has(asked.kind) || expected.status !== 200 || expected.text === undefined) return undefined
  const numbers = new Set<number>()
  const ofRepository = (repository: string, entries: readonly ListEntry[]) =>
    entriesHere(model, repository, entries, numbers)
  const said = JSON.parse(expected.text) as unknown
  let here: unknown
  if (asked.kind === 'list') here = ofRepository(asked.repository, said as ListEntry[])
  else if (asked.kind === 'every-path') here = pathsHere(model, said as string[], numbers)
  else if (asked.kind === 'every-entry') {
    const all = Object.entries(said as Record<string, ListEntry[]>)
    here = Object.fromEntries(
      all
        .filter(([repository]) => isHere(model, repository, numbers))
        .map(([repository, entries]) => [repository, ofRepository(repository, entries)]),
    )
  } else if (asked.kind === 'repositories') {
    here = (said as Array<{ name: string }>).filter(({ name }) => isHere(model, name, numbers))
  } else return undefined
  return numbers.size === 0 ? undefined : { expected: answer(here), numbers: [...numbers] }
}

const LIST_KINDS: ReadonlySet<string> = new Set(['list', 'every-path', 'every-entry', 'repositories'])

/** A folder of the original of which nothing can be here is no repository. */
function isHere(model: Model, repository: string, numbers: Set<number>): boolean {
  if (model.hasRepository(repository)) return true
  const things = [...model.recorded.things.keys()].filter((key) => placeOf(key).repository === repository)
  const departed = things.flatMap((key) => model.departures.get(key) ?? [])
  if (departed.length < things.length) return true
  for (const number of departed.length === 0 ? [22] : departed) numbers.add(number)
  return false
}

function entriesHere(
  model: Model,
  repository: string,
  entries: readonly ListEntry[],
  numbers: Set<number>,
): ListEntry[] {
  const kept = entries.filter(({ name, type }) => {
    if (type === 'tag')
      return [...model.expected.keys()].some((key) => key.startsWith(`${repository}/.tag-${name}/`))
    return isShown(model, `${repository}/${name}`, numbers)
  })
  const shown = kept.map((entry) => asHere(model, `${repository}/${entry.name}`, entry, numbers))
  const named = new Set(kept.map(({ name }) => name))
  const more = additions(model, numbers, (place) => place.repository === repository)
    .filter((place) => !named.has(place.name))
    .map(({ name }) => ({ name, size: '0.00 KB', updated: 0, type: 'regular' }))
  return [...shown, ...more].sort((a, b) => compare(diskName(a), diskName(b)))
}

/** A link that leads elsewhere here. */
function asHere(model: Model, key: PlaceKey, entry: ListEntry, numbers: Set<number>): ListEntry {
  const thing = model.expected.get(key)
  const number = model.departures.get(key)
  if (number === undefined || thing?.kind !== 'link' || entry['target'] === thing.name) return entry
  numbers.add(number)
  return { ...entry, target: thing.name }
}

function pathsHere(model: Model, paths: readonly string[], numbers: Set<number>): string[] {
  const kept = paths.filter((path) => {
    const isTag =
      path.includes('/.tag-') && [...model.expected.keys()].some((key) => key.startsWith(`${path}/`))
    return isTag || isShown(model, path, numbers)
  })
  const more = additions(model, numbers, () => true).map(({ repository, name }) => `${repository}/${name}`)
  return [...new Set([...kept, ...more])].sort(compare)
}

/** False for what a departure, or being a stray (22), keeps out of the lists of this hub. */
function isShown(model: Model, key: PlaceKey, numbers: Set<number>): boolean {
  if (model.expected.has(key)) return true
  const number = model.departures.get(key) ?? (model.recorded.strays.has(key) ? 22 : undefined)
  if (number !== undefined) numbers.add(number)
  return number === undefined
}

/** Files that a departure made here, and that the recorded state lacks. */
function additions(model: Model, numbers: Set<number>, isAsked: (place: Place) => boolean): Place[] {
  const keys = [...model.expected.keys()].filter(
    (key) => !model.recorded.things.has(key) && isAsked(placeOf(key)),
  )
  return keys.flatMap((key) => {
    const number = model.departures.get(key)
    if (number === undefined) return []
    numbers.add(number)
    return [placeOf(key)]
  })
}

function diskName({ name, type }: ListEntry): string {
  return type === 'tag' ? `.tag-${name}` : name
}

function compare(a: string, b: string): number {
  return Buffer.compare(Buffer.from(a), Buffer.from(b))
}

/** 25: special files stand behind the others. */
const specialOrder: Rule = async (expected, { asked, actor, kindsIn }) => {
  if (asked.kind !== 'dump' || expected.status !== 200 || !expected.text) return undefined
  const said = JSON.parse(expected.text) as { content?: Array<{ path: string }> }
  if (said.content === undefined || said.content.length < 2) return undefined
  const kinds = await kindsIn(asked.repository ?? actor, asked.name)
  const isSpecial = ({ path }: { path: string }) => {
    const kind = kinds.get(path.slice(1))
    return kind !== undefined && !['file', 'directory', 'link'].includes(kind)
  }
  const sorted = withSpecialsLast(said.content, isSpecial)
  if (sorted.every((entry, at) => entry === said.content?.[at])) return undefined
  return by(25, answer({ ...said, content: sorted }))
}

/** Within each folder, files and links in their order, then special files. Folders come first with what is in them. */
function withSpecialsLast<T extends { path: string }>(
  content: readonly T[],
  isSpecial: (entry: T) => boolean,
): T[] {
  const result: T[] = []
  let held: T[] = []
  const folderOf = ({ path }: T) => path.slice(0, path.lastIndexOf('/'))
  for (const entry of content) {
    if (held[0] !== undefined && folderOf(held[0]) !== folderOf(entry)) {
      result.push(...held)
      held = []
    }
    if (isSpecial(entry)) held.push(entry)
    else result.push(entry)
  }
  return [...result, ...held]
}

type Metadata = Record<string, { readonly [key: string]: unknown }>

/** 12: a readme is what was packed, and nothing behind it. */
const readmes: Rule = async (expected, { asked, textIn }) => {
  if (asked.kind !== 'metadata' || expected.status !== 200 || expected.text === undefined) return undefined
  const said = JSON.parse(expected.text) as Metadata
  const text = said['readme']?.['readme']
  if (typeof text !== 'string') return undefined
  const packed = await textIn(asked.repository ?? '', asked.name, '.README.md')
  const isPadded = packed !== '' && text.startsWith(packed) && text.length > packed.length
  return isPadded ? by(12, answer({ ...said, readme: { ...said['readme'], readme: packed } })) : undefined
}

/** 17: the address that was forced on a flist is its backend. */
const forcedBackends: Rule = (expected, { asked }) => {
  if (asked.kind !== 'metadata' || expected.status !== 200 || expected.text === undefined) return undefined
  const { 'backend-forced': forced, ...rest } = JSON.parse(expected.text) as Metadata
  if (forced === undefined) return undefined
  const { namespace, host, port } = forced
  return by(17, answer({ backend: { namespace, host, port }, ...rest }))
}

/** 21: the original's HTML pages of failure, on routes of the API. */
const pages: Rule = (expected, { one }) => {
  const isApi = one.request.path.startsWith('/api')
  const headers = new Map(one.response?.headers.map(([name, value]) => [name.toLowerCase(), value]) ?? [])
  const reason = REASONS[expected.status]
  if (!isApi || reason === undefined || !isHtml(headers)) return undefined
  if (expected.status !== one.response?.status || expected.headers.size > 0) return undefined // ours already
  const allow = headers.get('allow')
  const page = error(expected.status, reason)
  return by(21, {
    ...page,
    text: one.request.method === 'HEAD' ? '' : page.text,
    headers: new Map([...page.headers, ...(allow === undefined ? [] : [['allow', allow] as const])]),
  })
}
const REASONS: Readonly<Record<number, string>> = {
  404: 'not found',
  405: 'method not allowed',
  500: 'internal server error',
}

const RULES: readonly Rule[] = [
  uploads,
  invalidNames,
  guests,
  repairs,
  conversions,
  clashes,
  directoryCounts,
  missingNames,
  missingDeletes,
  missingTaglinks,
  webLogins,
  itsyouLogins,
  originalSessions,
  lists,
  specialOrder,
  readmes,
  forcedBackends,
  otherContents,
  pages,
]
