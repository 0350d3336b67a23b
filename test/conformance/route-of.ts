/** What a recorded request asks for. */
import type { NameRequest } from './name-changes.ts'
import type { RecordedCase } from './recorded.ts'

export type Asked =
  | {
      readonly kind:
        'every-path' | 'every-entry' | 'repositories' | 'me' | 'upload' | 'upload-flist' | 'other'
    }
  | { readonly kind: 'list'; readonly repository: string }
  | { readonly kind: 'tag-list'; readonly repository: string; readonly tag: string }
  | {
      readonly kind:
        'dump' | 'light' | 'taglink' | 'metadata' | 'delete' | 'download' | 'md5' | 'txt' | 'json'
      /** `undefined`: the acting user's own. */
      readonly repository: string | undefined
      /** With its suffix. */
      readonly name: string
      readonly tag?: string
    }
  | { readonly kind: 'change'; readonly request: NameRequest }
  /** Something is made of what is sent: a merge, an image, what a form uploads. */
  | { readonly kind: 'post' }
  /** What a job tells, whose id is another in every run. */
  | { readonly kind: 'events' }
/** In the debug mode of the original's web framework, which this hub has none of. */

type Words = readonly [first: string, second: string, third: string]
type Row = readonly [methods: RegExp, path: RegExp, asked: (words: Words) => Asked]

const ANY = /./
const OTHER: Asked = { kind: 'other' }
const POST: Asked = { kind: 'post' }
type View = 'light' | 'taglink' | 'metadata'

/** The first row that fits; paths without the slash at their end, `{}` = one segment, in order. */
const ROWS: readonly Row[] = [
  row(ANY, '/api/flist', () => ({ kind: 'every-path' })),
  row(ANY, '/api/fileslist', () => ({ kind: 'every-entry' })),
  row(ANY, '/api/repositories', () => ({ kind: 'repositories' })),
  row(ANY, '/api/flist/me', () => ({ kind: 'me' })),
  row(/^POST$/, '/api/flist/me/upload', () => ({ kind: 'upload' })),
  row(/^POST$/, '/api/flist/me/upload-flist', () => ({ kind: 'upload-flist' })),
  row(/^POST$/, '/api/flist/me/(?:docker|merge/{})', () => POST),
  row(/^POST$/, '/(?:upload|upload-flist|merge|docker-convert)', () => POST),
  row(/^INFO$/, '/api/flist/me/{}', ([name]) => ({
    kind: 'light',
    repository: 'me',
    name: withSuffix(name),
  })),
  row(/^DELETE$/, '/api/flist/me/{}', ([name]) => ({
    kind: 'delete',
    repository: undefined,
    name: withSuffix(name),
  })),
  row(ANY, '/api/flist/me/{}', ([name]) => ({ kind: 'dump', repository: undefined, name: withSuffix(name) })),
  row(ANY, '/api/flist/me/{}/(light|taglink|metadata)', ([name, view]) => viewOf('me', name, view)),
  row(ANY, '/api/flist/me/.*', () => OTHER),
  row(ANY, '/api/flist/{}', ([repository]) => ({ kind: 'list', repository })),
  row(ANY, '/api/flist/{}/tags/{}', ([repository, tag]) => ({ kind: 'tag-list', repository, tag })),
  row(/^INFO$/, '/api/flist/{}/{}', ([repository, name]) => viewOf(repository, name, 'light')),
  row(ANY, '/api/flist/{}/{}', ([repository, name]) => ({
    kind: 'dump',
    repository,
    name: withSuffix(name),
  })),
  row(ANY, '/api/flist/{}/{}/(light|taglink|metadata)', ([repository, name, view]) =>
    viewOf(repository, name, view),
  ),
  row(ANY, '/api/flist/.*', () => OTHER),
  row(ANY, '/{}/([^/]*\\.flist)', ([repository, name]) => ({ kind: 'download', repository, name })),
  row(ANY, '/{}/tags/{}/([^/]*\\.flist)', ([repository, tag, name]) => ({
    kind: 'download',
    repository,
    tag,
    name,
  })),
  row(ANY, '/{}/([^/]*\\.flist)\\.md5', ([repository, name]) => ({ kind: 'md5', repository, name })),
  row(ANY, '/{}/[^/]*\\.md5', () => OTHER),
  row(ANY, '/{}/{}\\.txt', ([repository, name]) => ({ kind: 'txt', repository, name: withSuffix(name) })),
  row(ANY, '/{}/{}\\.json', ([repository, name]) => ({ kind: 'json', repository, name: withSuffix(name) })),
]

type ChangeRow = readonly [method: RegExp, path: RegExp, op: NameRequest['op']]

/** Events of jobs, whose ids differ with each run. */
const EVENTS = /^\/listen\/[0-9a-f]{8}-/

const CHANGES: readonly ChangeRow[] = [
  changeRow(/^GET$/, 'promote/{}/{}/{}', 'promote'),
  changeRow(/^GET$/, '{}/link/{}', 'link'),
  changeRow(/^GET$/, '{}/crosslink/{}/{}', 'crosslink'),
  changeRow(/^GET$/, '{}/crosstag/{}/{}', 'crosstag'),
  changeRow(/^DELETE$/, '{}/crosstag/{}/{}', 'uncrosstag'),
  changeRow(/^GET$/, '{}/{}/tag/{}/{}', 'tag'),
  changeRow(/^DELETE$/, '{}/{}/tag/{}/{}', 'untag'),
  changeRow(/^GET$/, '{}/rename/{}', 'rename'),
]

function changeRow(method: RegExp, path: string, op: NameRequest['op']): ChangeRow {
  return [method, new RegExp(`^/api/flist/me/${path.replaceAll('{}', '([^/]+)')}$`), op]
}

function changeOf(asked: string, path: string): NameRequest | undefined {
  for (const [method, pattern, op] of CHANGES) {
    const match = method.test(asked) ? pattern.exec(path) : null
    if (match !== null) return { op, words: match.slice(1) }
  }
  return undefined
}

export function askedOf({ request }: RecordedCase): Asked {
  const [encoded = ''] = request.path.split('?')
  const path = decodeURIComponent(encoded).replace(/\/$/, '') // %2F is a slash before routing (hub-api.md 2)
  if (EVENTS.test(path)) return { kind: 'events' }
  const change = changeOf(request.method, path)
  if (change !== undefined) return { kind: 'change', request: change }
  for (const [methods, pattern, asked] of ROWS) {
    const match = methods.test(request.method) ? pattern.exec(path) : null
    if (match !== null) return asked([match[1] ?? '', match[2] ?? '', match[3] ?? ''])
  }
  return OTHER
}

function row(methods: RegExp, path: string, asked: (words: Words) => Asked): Row {
  return [methods, new RegExp(`^${path.replaceAll('{}', '([^/]+)')}$`), asked]
}

function viewOf(repository: string, name: string, view: string): Asked {
  return { kind: view as View, repository, name: withSuffix(name) }
}

function withSuffix(name: string): string {
  return name.endsWith('.flist') ? name : `${name}.flist`
}
