/** The home page, a repository, a tag, and the search. */
import { html, type Child, type Html } from './html.ts'
import { page, problemBox } from './page.ts'
import { pager, type Window } from './pager.ts'
import { counted, name, pathOf, sizeText, time } from './words.ts'

export interface RepositoryRow {
  readonly name: string
  readonly isOfficial: boolean
  /** Unix seconds. */
  readonly updatedS: number
}

export type EntryKind = 'flist' | 'link' | 'taglink' | 'tag'

/** Something in a repository or a tag. */
export interface EntryRow {
  readonly name: string
  readonly kind: EntryKind
  /** Of the flist, or of the one where a link ends; absent for a tag and where a link leads nowhere. */
  readonly sizeBytes?: number | undefined
  /** Unix seconds. */
  readonly updatedS: number
  /** Other versions that were written at the same time. */
  readonly conflicts?: number
  /** Where a link leads: the segments of a path of ours, and whether something is there. */
  readonly target?: { readonly segments: readonly string[]; readonly exists: boolean } | undefined
}

export interface List<T> extends Window {
  readonly rows: readonly T[]
  /** Of all pages. */
  readonly total: number
}

export function homePage(list: List<RepositoryRow>): string {
  const official = list.rows.filter(({ isOfficial }) => isOfficial)
  const others = list.rows.filter(({ isOfficial }) => !isOfficial)
  const empty = html`<p class="empty">
    Nothing is published here yet. <a href="/upload">Upload an archive</a> to begin.
  </p>`
  return page({
    title: 'Repositories',
    place: '/',
    body: html`<h1>Repositories</h1>
      <p class="lead">Root filesystems as flists, ready to be mounted by Zero-OS.</p>
      ${searchForm('')}
      ${list.total === 0 ? empty : [repositoryTable('Official', official), repositoryTable('Contributors', others)]}
      ${pager('/', {}, list)}`,
  })
}

function repositoryTable(title: string, rows: readonly RepositoryRow[]): Child {
  if (rows.length === 0) return undefined
  const lines = rows.map(
    (row) =>
      html`<tr>
        <th scope="row"><a href="${pathOf(row.name)}">${name(row.name)}</a></th>
        <td>${time(row.updatedS)}</td>
      </tr> `,
  )
  return html`<section>
    <h2>${title}</h2>
    <div class="wide">
      <table>
        <thead>
          <tr>
            <th scope="col">Name</th>
            <th scope="col">Updated (UTC)</th>
          </tr>
        </thead>
        <tbody>
          ${lines}
        </tbody>
      </table>
    </div>
  </section>`
}

export function repositoryPage(repository: string, list: List<EntryRow>, filter: string): string {
  const path = pathOf(repository)
  const action = html`<form class="find" role="search" method="get" action="${path}">
    <label for="filter">Names that contain</label>
    <input id="filter" name="q" type="search" value="${filter}" autocomplete="off" /> <button>Filter</button>
  </form>`
  const none = filter === '' ? 'This repository is empty.' : 'No name contains that.'
  return page({
    title: repository,
    body: html`<h1>${name(repository)}</h1>
      <p class="lead">
        ${counted(list.total, 'entry', 'entries')}${filter !== '' && html` with “${name(filter)}”`}
      </p>
      ${(filter !== '' || list.total > 10) && action}
      ${list.rows.length === 0 ? html`<p class="empty">${none}</p>` : entryTable(list.rows, (row) => hrefOf(repository, row))}
      ${pager(path, { q: filter === '' ? undefined : filter }, list)}`,
  })
}

export function tagPage(repository: string, tag: string, list: List<EntryRow>): string {
  const path = pathOf(repository, 'tags', tag)
  const download = (row: EntryRow) => pathOf(repository, 'tags', tag, row.name)
  return page({
    title: `${repository}/tags/${tag}`,
    body: html`<p class="trail"><a href="${pathOf(repository)}">${name(repository)}</a> / tags</p>
      <h1>${name(tag)}</h1>
      <p class="lead">
        A tag of ${counted(list.total, 'entry', 'entries')}. Each name downloads the flist it leads to.
      </p>
      ${entryTable(list.rows, download)} ${pager(path, {}, list)}`,
  })
}

/** Where the name of an entry leads: flists and links to their preview, tags to their page. */
function hrefOf(repository: string, { name: text, kind, target }: EntryRow): string | undefined {
  if (kind === 'tag') return pathOf(repository, 'tags', text)
  if (kind === 'taglink') return target?.exists === true ? pathOf(...target.segments) : undefined
  return target?.exists === false ? undefined : pathOf(repository, `${text}.md`)
}

/** Says at once what the page of the name says in full. */
function conflictBadge({ conflicts = 0 }: EntryRow): Child {
  if (conflicts === 0) return undefined
  return html` <span class="badge">${counted(conflicts, 'other version')}</span>`
}

function entryTable(rows: readonly EntryRow[], href: (row: EntryRow) => string | undefined): Html {
  const lines = rows.map((row) => {
    const at = href(row)
    const label = at === undefined ? name(row.name) : html`<a href="${at}">${name(row.name)}</a>`
    return html`<tr>
      <th scope="row">${label}${targetOf(row)}${conflictBadge(row)}</th>
      <td>${KINDS[row.kind]}</td>
      <td class="number">${row.sizeBytes !== undefined && sizeText(row.sizeBytes)}</td>
      <td>${time(row.updatedS)}</td>
    </tr> `
  })
  return html`<div class="wide">
    <table>
      <thead>
        <tr>
          <th scope="col">Name</th>
          <th scope="col">Type</th>
          <th scope="col" class="number">Size</th>
          <th scope="col">Updated (UTC)</th>
        </tr>
      </thead>
      <tbody>
        ${lines}
      </tbody>
    </table>
  </div>`
}

const KINDS: Readonly<Record<EntryKind, string>> = {
  flist: 'flist',
  link: 'link',
  taglink: 'link to a tag',
  tag: 'tag',
}

function targetOf({ target }: EntryRow): Child {
  if (target === undefined) return undefined
  const broken = !target.exists && html` <strong class="broken">leads nowhere</strong>`
  return html` <span class="target">→ ${name(target.segments.join('/'))}</span>${broken}`
}

export interface FoundRow extends EntryRow {
  readonly repository: string
}

/** `list` is absent while nothing is asked for. */
export function searchPage(query: string, list: List<FoundRow> | undefined, problem?: string): string {
  const rows = list?.rows.map((row) => {
    const at = hrefOf(row.repository, row)
    const label = html`${name(row.repository)}/${name(row.name)}`
    return html`<li>
      ${at === undefined ? label : html`<a href="${at}">${label}</a>`}
      <span class="target">${KINDS[row.kind]}</span>
    </li> `
  })
  const found =
    list !== undefined &&
    html`<h2>${counted(list.total, 'match', 'matches')}</h2>
      <ul class="found">
        ${rows}
      </ul>
      ${pager('/search', { q: query }, list)}`
  return page({
    title: 'Search',
    place: '/search',
    body: html`<h1>Search</h1>
      ${searchForm(query)} ${problemBox(problem)} ${found}`,
  })
}

function searchForm(query: string): Html {
  return html`<form class="find" role="search" method="get" action="/search">
    <label for="query">Find a flist, link or tag</label>
    <input
      id="query"
      name="q"
      type="search"
      minlength="3"
      required
      value="${query}"
      autocomplete="off"
      placeholder="at least 3 characters"
    />
    <button>Search</button>
  </form>`
}
