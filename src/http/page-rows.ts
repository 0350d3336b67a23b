/** From repositories to the rows of pages; only the rows of the page that is shown are made. */
import type { Entry, Repositories } from '../repo/entry.ts'
import { PAGE_ENTRIES } from '../web/pager.ts'
import type { EntryRow, FoundRow, List, RepositoryRow } from '../web/repositories.ts'
import { queryOf, type Call } from './call.ts'

/** How many entries are before the page that a query asks for. */
export function pageStart(call: Call): number {
  const text = queryOf(call, 'from') ?? ''
  return /^\d{1,9}$/.test(text) ? Number(text) : 0
}

/** One page of all these. */
export function listOf<T, R>(all: readonly T[], from: number, rowOf: (one: T) => R): List<R> {
  const rows = all.slice(from, from + PAGE_ENTRIES).map(rowOf)
  return { rows, total: all.length, from, hasMore: from + PAGE_ENTRIES < all.length }
}

export function repositoryRows(
  repositories: Repositories,
  isOfficial: (name: string) => boolean,
  from: number,
): List<RepositoryRow> {
  const names = [...repositories.list()].sort((a, b) => Number(isOfficial(b)) - Number(isOfficial(a)))
  return listOf(names, from, (name) => {
    return { name, isOfficial: isOfficial(name), updatedS: repositories.updatedS(name) }
  })
}

/** Something with a name in a repository: a tag, or an entry. */
type Named = { readonly tag: string } | { readonly entry: Entry }

/** Tags first. `filter`: what a name must contain, whatever its case. */
export function entryRows(
  repositories: Repositories,
  repository: string,
  { from, filter }: { from: number; filter: string },
): List<EntryRow> {
  return listOf(named(repositories, repository, filter.toLowerCase()), from, (one) =>
    rowOf(repositories, repository, one),
  )
}

export function tagRows(repositories: Repositories, entries: readonly Entry[], from: number): List<EntryRow> {
  return listOf(entries, from, (entry) => entryRow(repositories, entry))
}

/** Names that contain the text, or repositories that do with all that is in them. */
export function foundRows(repositories: Repositories, text: string, from: number): List<FoundRow> {
  const wanted = text.toLowerCase()
  const all = repositories.list().flatMap((repository) => {
    const filter = repository.toLowerCase().includes(wanted) ? '' : wanted
    return named(repositories, repository, filter).map((one) => ({ repository, one }))
  })
  return listOf(all, from, ({ repository, one }) => {
    return { repository, ...rowOf(repositories, repository, one) }
  })
}

function named(repositories: Repositories, repository: string, wanted: string): Named[] {
  const fits = (name: string) => wanted === '' || name.toLowerCase().includes(wanted)
  const tags = repositories.tags(repository).filter(fits)
  const entries = repositories.entries(repository).filter(({ name }) => fits(name))
  return [...tags.map((tag) => ({ tag })), ...entries.map((entry) => ({ entry }))]
}

function rowOf(repositories: Repositories, repository: string, one: Named): EntryRow {
  if ('entry' in one) return entryRow(repositories, one.entry)
  const entries = repositories.tagEntries(repository, one.tag) ?? []
  const updatedS = entries.reduce((latest, entry) => Math.max(latest, entry.updatedS), 0)
  return { name: one.tag, kind: 'tag', updatedS }
}

function entryRow(repositories: Repositories, entry: Entry): EntryRow {
  const { conflicts } = entry
  return { ...plainRow(repositories, entry), ...(conflicts > 0 && { conflicts }) }
}

function plainRow(repositories: Repositories, entry: Entry): EntryRow {
  const { name, target, updatedS } = entry
  if (target.kind === 'file') return { name, kind: 'flist', sizeBytes: target.sizeBytes, updatedS }
  if (target.kind === 'taglink') {
    const exists = repositories.tagEntries(target.repository, target.tag) !== undefined
    return { name, kind: 'taglink', updatedS, target: { segments: linkPath(entry), exists } }
  }
  const end = repositories.resolve(entry.repository, name, entry.tag)
  return {
    name,
    kind: 'link',
    sizeBytes: end?.target.sizeBytes,
    updatedS: end?.entry.updatedS ?? updatedS,
    target: { segments: linkPath(entry), exists: end !== undefined },
  }
}

/** Where a link leads, as a path of ours; of a file nowhere. */
export function linkPath({ repository, target }: Entry): string[] {
  switch (target.kind) {
    case 'file':
      return []
    case 'link':
      return [repository, target.name]
    case 'taglink':
      return [target.repository, 'tags', target.tag]
    case 'xlink':
    case 'tagentry':
      return [target.repository, target.name]
  }
}
