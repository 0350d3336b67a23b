/** Entries as the standard API shows them (hub-api.md §4.2, §4.3, §4.5). Pure: repositories in, plain objects out. */
import type { Entry, Repositories, Resolved, Target } from '../repo/entry.ts'
import { compareBytes, fromUtf8 } from '../util/bytes.ts'
import { kilobytes } from './python.ts'

/** What a taglink weighs: the directory that stands for a tag on the original's disk. */
const TAG_DIRECTORY_SIZE = '4.00 KB'

type LinkTarget = Exclude<Target, { kind: 'file' }>

/** The link as the original stores it on disk: its text, relative. */
export function linkText(target: LinkTarget): string {
  switch (target.kind) {
    case 'link':
      return target.name
    case 'xlink':
      return `../${target.repository}/${target.name}`
    case 'tagentry':
      return `../../${target.repository}/${target.name}`
    case 'taglink':
      return `../${target.repository}/.tag-${target.tag}`
  }
}

/** What lists show for it: no way up, tags by their public path. */
export function cleanTarget(target: LinkTarget): string {
  return linkText(target).replaceAll('../', '').replaceAll('.tag-', 'tags/')
}

/** Everything in a repository in the order of the original's directory, where a tag is called `.tag-…`. */
export function repositoryList(repositories: Repositories, repository: string): object[] {
  return onDisk(repositories, repository).map(({ show }) => show())
}

/** `<repo>/<entry>` of everything in a repository, tags as `.tag-…`. */
export function pathsOf(repositories: Repositories, repository: string): string[] {
  return onDisk(repositories, repository).map(({ name }) => `${repository}/${name}`)
}

export function tagList(
  repositories: Repositories,
  repository: string,
  tag: string,
): readonly object[] | undefined {
  return repositories.tagEntries(repository, tag)?.map((entry) => listItem(repositories, entry))
}

interface OnDisk {
  readonly name: string
  readonly show: () => object
}

function onDisk(repositories: Repositories, repository: string): OnDisk[] {
  const entries = repositories
    .entries(repository)
    .map((entry) => ({ name: entry.name, show: () => listItem(repositories, entry) }))
  const tags = repositories
    .tags(repository)
    .map((tag) => ({ name: `.tag-${tag}`, show: () => tagItem(repositories, repository, tag) }))
  return tags.length === 0 ? entries : [...tags, ...entries].sort(byName)
}

function byName(a: OnDisk, b: OnDisk): number {
  return compareBytes(fromUtf8(a.name), fromUtf8(b.name))
}

function tagItem(repositories: Repositories, repository: string, tag: string): object {
  const updated = tagUpdatedS(repositories.tagEntries(repository, tag) ?? [])
  return { name: tag, size: '0 KB', updated, type: 'tag' }
}

function listItem(repositories: Repositories, entry: Entry): object {
  const { name, target, updatedS } = entry
  if (target.kind === 'file') {
    return { name, size: kilobytes(target.sizeBytes), updated: updatedS, type: 'regular' }
  }
  const end = endOf(repositories, entry, target)
  return {
    name,
    size: end?.size ?? kilobytes(Buffer.byteLength(linkText(target))),
    updated: end?.updatedS ?? updatedS,
    linktime: updatedS,
    type: target.kind === 'taglink' ? 'taglink' : 'symlink',
    target: cleanTarget(target),
  }
}

/** Where a link ends, or `undefined` when it leads nowhere. */
function endOf(
  repositories: Repositories,
  entry: Entry,
  target: LinkTarget,
): { size: string; updatedS: number } | undefined {
  if (target.kind === 'taglink') {
    const entries = repositories.tagEntries(target.repository, target.tag)
    return entries && { size: TAG_DIRECTORY_SIZE, updatedS: tagUpdatedS(entries) }
  }
  const resolved = repositories.resolve(entry.repository, entry.name, entry.tag)
  return resolved && { size: kilobytes(resolved.target.sizeBytes), updatedS: resolved.entry.updatedS }
}

function tagUpdatedS(entries: readonly Entry[]): number {
  return entries.reduce((latest, { updatedS }) => Math.max(latest, updatedS), 0)
}

/** The light view: size and md5 are of the served bytes; the link's text is as stored. */
export function lightItem(
  entry: Entry,
  resolved: Resolved,
  served: { readonly sizeBytes: number; readonly md5: string },
): object {
  const { name, target } = entry
  const { updatedS } = resolved.entry
  const base = { name, size: served.sizeBytes, updated: updatedS }
  return target.kind === 'file'
    ? { ...base, type: 'regular', md5: served.md5 }
    : { ...base, type: 'symlink', md5: served.md5, linktime: entry.updatedS, target: linkText(target) }
}
