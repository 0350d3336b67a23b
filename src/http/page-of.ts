import { InvalidInputError } from '../errors.ts'
import { compareNames } from '../repo/view.ts'
import { queryOf, type Call } from './call.ts'

/** Items of one answer; a list that is shorter comes whole. */
export const PAGE_ITEMS = 1000

/** What a route says of its pages. */
export const PAGE_QUERY = {
  after: 'where the page before ended: its next',
  limit: `items of a page, at most ${PAGE_ITEMS}`,
} as const

export interface Page<T> {
  readonly items: readonly T[]
  /** What `after` is for the next page; `null` on the last one. */
  readonly next: string | null
}

/**
 * The page of a list that a query asks for. `keyOf` names an item.
 * @throws {InvalidInputError} for an `after` or `limit` that is none.
 */
export function pageOf<T>(call: Call, all: readonly T[], keyOf: (item: T) => string): Page<T> {
  const after = queryOf(call, 'after')
  const at = after === undefined ? -1 : all.findIndex((item) => keyOf(item) === after)
  if (after !== undefined && at < 0) throw new InvalidInputError('after: nothing of that name in this list')
  return cut(call, all, at + 1, keyOf)
}

/** The same in byte order of keys: also where the item that a page ended with has gone meanwhile. */
export function sortedPageOf<T>(call: Call, all: readonly T[], keyOf: (item: T) => string): Page<T> {
  const sorted = [...all].sort((a, b) => compareNames(keyOf(a), keyOf(b)))
  const after = queryOf(call, 'after')
  const from = sorted.findIndex((item) => after === undefined || compareNames(keyOf(item), after) > 0)
  return cut(call, sorted, from < 0 ? sorted.length : from, keyOf)
}

function cut<T>(call: Call, all: readonly T[], from: number, keyOf: (item: T) => string): Page<T> {
  const items = all.slice(from, from + limitOf(call))
  const last = items.at(-1)
  const isLast = last === undefined || from + items.length >= all.length
  return { items, next: isLast ? null : keyOf(last) }
}

function limitOf(call: Call): number {
  const text = queryOf(call, 'limit')
  if (text === undefined) return PAGE_ITEMS
  const limit = /^\d{1,6}$/.test(text) ? Number(text) : 0
  if (limit < 1) throw new InvalidInputError('limit: expected a whole number from 1 on')
  return Math.min(limit, PAGE_ITEMS)
}
