import { html, type Child } from './html.ts'
import { withQuery } from './words.ts'

/** Entries a page: enough to look through, and some tens of KiB. */
export const PAGE_ENTRIES = 200

export interface Window {
  /** Entries before this page. */
  readonly from: number
  readonly hasMore: boolean
}

/** Links to the pages before and after; nothing where all is on one. */
export function pager(
  path: string,
  query: Readonly<Record<string, string | undefined>>,
  { from, hasMore }: Window,
): Child {
  if (from === 0 && !hasMore) return undefined
  const to = (start: number) => withQuery(path, { ...query, from: start === 0 ? undefined : start })
  const back = from > 0 && html`<a rel="prev" href="${to(Math.max(0, from - PAGE_ENTRIES))}">← Previous</a>`
  const on = hasMore && html`<a rel="next" href="${to(from + PAGE_ENTRIES)}">Next →</a>`
  const number = Math.floor(from / PAGE_ENTRIES) + 1
  return html`<nav class="pager" aria-label="Pages">${back} <span>Page ${number}</span> ${on}</nav>`
}
