import type { HistoryItem } from '../repo/entry.ts'
import { toHex } from '../util/bytes.ts'
import { compactJson } from './answer.ts'
import type { Call, Route } from './call.ts'
import type { Purges } from './deps.ts'
import { findVersions, placeOf } from './lookup.ts'
import { PAGE_QUERY, pageOf } from './page-of.ts'
import type { Site } from './site.ts'

/** Versions of names. */
export function historyRoutes({ repositories, purges }: Site): Route[] {
  const history = async (call: Call) => {
    const { items } = await findVersions(repositories, call.params['repository'] ?? '', placeOf(call))
    const page = pageOf(call, items, ({ operation }) => toHex(operation))
    return compactJson({ ...page, items: page.items.map((item) => historyView(item, purges)) })
  }
  const get = { method: 'GET', access: 'public', query: PAGE_QUERY, handle: history } as const
  return [
    {
      ...get,
      path: '/api/v1/history/:repository/:name',
      summary: 'Versions of a name, newest first; what a node signed that was cut is quarantined',
    },
    {
      ...get,
      path: '/api/v1/history/:repository/tags/:tag/:name',
      summary: 'The same of an entry of a tag',
    },
  ]
}

/** Of a version that was purged that is the state, whatever it was before. */
export function historyView(
  { operation, author, node, timeS, kind, target, state }: HistoryItem,
  purges: Pick<Purges, 'isPurged'>,
): object {
  const file = target?.kind === 'file' ? target : undefined
  const isPurged = file !== undefined && purges.isPurged(file.flist)
  return {
    op: toHex(operation),
    author,
    node: toHex(node),
    time: timeS,
    kind,
    md5: file?.md5 ?? null,
    size: file?.sizeBytes ?? null,
    state: isPurged ? 'purged' : state,
  }
}
