import type { NodeClient } from './client.ts'

interface Page {
  readonly items: readonly unknown[]
  readonly next: string | null
}

/** Ours: a list of more pages than that has no end. */
const MAX_PAGES = 100_000

/** A list of the API with all of its pages. What the items are is the caller's to know. */
export async function allItems<T>(
  node: NodeClient,
  path: string,
  query: Readonly<Record<string, string>> = {},
): Promise<T[]> {
  const items: T[] = []
  let after: string | undefined
  for (let pages = 0; pages < MAX_PAGES; pages++) {
    const page = (await node.call('GET', path, {
      query: { ...query, ...(after !== undefined && { after }) },
    })) as Page
    items.push(...(page.items as T[]))
    if (page.next === null || page.next === undefined) break
    after = page.next
  }
  return items
}
