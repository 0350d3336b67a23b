/** The pages of hub-api.md §6 that only show something, and what they load. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { isRepositoryName } from '../format/name-rule.ts'
import { ADMINISTRATOR } from '../repo/names.ts'
import { dockerPage, mergePage, uploadFlistPage, uploadPage } from '../web/forms.ts'
import { homePage, repositoryPage, searchPage, tagPage } from '../web/repositories.ts'
import { readonlyPage } from '../web/sign-in.ts'
import { bytesAnswer, emptyAnswer, envelope, redirect } from './answer.ts'
import { queryOf, type Call, type Route } from './call.ts'
import { checkName } from './names.ts'
import { errorAnswer, NOT_KEPT, pageAnswer } from './page-answer.ts'
import { entryRows, foundRows, pageStart, repositoryRows, tagRows } from './page-rows.ts'
import type { Site } from './site.ts'

const PAGE = { method: 'GET', access: 'public', answers: 'text/html' } as const
const FROM = { from: 'entries before the page' }
const MIN_QUERY = 3

export function pageRoutes(site: Site): Route[] {
  return [...browsingRoutes(site), ...formRoutes(), readonlyRoute(site), ...staticRoutes()]
}

function browsingRoutes({ repositories, options }: Site): Route[] {
  const official = new Set(options.auth ? options.official : [ADMINISTRATOR])

  const home = (call: Call) =>
    pageAnswer(homePage(repositoryRows(repositories, (name) => official.has(name), pageStart(call))))

  const ofRepository = (call: Call) => {
    const { repository = '' } = call.params
    checkName(repository)
    if (!isRepositoryName(repository)) return envelope(404) // `/api`, `/static`: no pages
    if (!repositories.has(repository))
      return errorAnswer(404, 'There is no repository of that name. One begins with its first upload.')
    const filter = queryOf(call, 'q') ?? ''
    const list = entryRows(repositories, repository, { from: pageStart(call), filter })
    return pageAnswer(repositoryPage(repository, list, filter))
  }

  const ofTag = (call: Call) => {
    const { repository = '', tag = '' } = call.params
    const entries = repositories.tagEntries(checkName(repository), checkName(tag))
    if (entries === undefined) return errorAnswer(404, 'There is no tag of that name.')
    return pageAnswer(tagPage(repository, tag, tagRows(repositories, entries, pageStart(call))))
  }

  const search = (call: Call) => {
    const query = queryOf(call, 'q')?.trim() ?? ''
    if (query === '') return pageAnswer(searchPage('', undefined))
    if (query.length < MIN_QUERY) {
      return pageAnswer(searchPage(query, undefined, `Search for at least ${MIN_QUERY} characters.`))
    }
    return pageAnswer(searchPage(query, foundRows(repositories, query, pageStart(call))))
  }

  const browse = { ...PAGE, isCached: true } as const
  const filter = { q: 'what a name contains', ...FROM }
  return [
    { ...browse, path: '/', query: FROM, summary: 'All repositories, as a page', handle: home },
    {
      ...browse,
      path: '/:repository',
      query: filter,
      summary: 'A repository, as a page',
      handle: ofRepository,
    },
    { ...browse, path: '/:repository/tags/:tag', query: FROM, summary: 'A tag, as a page', handle: ofTag },
    { ...PAGE, path: '/search', query: filter, summary: 'Entries by a part of their name', handle: search },
  ]
}

/** The forms of those who may publish. */
function formRoutes(): Route[] {
  const form = { ...PAGE, access: 'session' } as const
  const show = (page: string) => () => pageAnswer(page, 200, NOT_KEPT)
  const merge = (call: Call) => {
    const source = queryOf(call, 'source')
    return pageAnswer(mergePage({ sources: source === undefined ? [] : [source] }), 200, NOT_KEPT)
  }
  return [
    { ...form, path: '/upload', summary: 'The form for an archive', handle: show(uploadPage()) },
    { ...form, path: '/upload-flist', summary: 'The form for a flist', handle: show(uploadFlistPage()) },
    {
      ...form,
      path: '/merge',
      query: { source: 'the first of those to be merged' },
      summary: 'The form for a merge',
      handle: merge,
    },
    { ...form, path: '/docker-convert', summary: 'The form for an image', handle: show(dockerPage()) },
  ]
}

function readonlyRoute({ options }: Site): Route {
  const handle = () => (options.readonly ? pageAnswer(readonlyPage()) : redirect('/'))
  return { ...PAGE, path: '/readonly', summary: 'Says that the node is read-only', handle }
}

const STATIC = [
  ['/static/css/hub.css', 'hub.css', 'text/css; charset=utf-8', 'The style of the pages'],
  ['/static/js/hub.js', 'hub.js', 'text/javascript; charset=utf-8', 'The script of the pages'],
] as const

/** Read once: what a page loads is part of the program. */
function staticRoutes(): Route[] {
  return STATIC.map(([path, file, type, summary]) => {
    const bytes = readFileSync(new URL(`../web/static/${file}`, import.meta.url))
    const etag = `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"`
    const headers = [
      'Cache-Control',
      'no-cache',
      'ETag',
      etag,
      'Content-Disposition',
      `inline; filename=${file}`,
    ]
    const handle = ({ request }: Call) =>
      request.headers['if-none-match'] === etag
        ? emptyAnswer(304, headers)
        : bytesAnswer(200, type, bytes, headers)
    return { ...PAGE, path, answers: type, summary, handle }
  })
}
