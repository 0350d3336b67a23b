import type { Entry, Resolved } from './entry.ts'

/** Links on the way to a file at most. Replication.md 2.5. */
export const MAX_LINKS = 8

/** Where a name leads, through links of every kind; `undefined` when it dangles, loops or is a link to a tag. */
export function followLinks(
  start: Entry | undefined,
  find: (repository: string, name: string) => Entry | undefined,
): Resolved | undefined {
  const visited = new Set<Entry>()
  for (let entry = start; entry !== undefined;) {
    if (visited.has(entry) || visited.size > MAX_LINKS) return undefined
    visited.add(entry)
    const { target } = entry
    switch (target.kind) {
      case 'file':
        return { entry, target }
      case 'link':
        entry = find(entry.repository, target.name)
        break
      case 'xlink':
      case 'tagentry':
        entry = find(target.repository, target.name)
        break
      case 'taglink':
        return undefined
    }
  }
  return undefined
}
