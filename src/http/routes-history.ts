import type { HistoryItem } from '../repo/entry.ts'
import { toHex } from '../util/bytes.ts'
import { compactJson } from './answer.ts'
import type { Call, Route } from './call.ts'
import { findVersions } from './lookup.ts'
import type { Site } from './site.ts'

/** Versions of names. */
export function historyRoutes({ repositories }: Site): Route[] {
  const history = async ({ params: { repository = '', name = '' } }: Call) => {
    const { items } = await findVersions(repositories, repository, name)
    return compactJson({ items: items.map(historyView), next: null })
  }
  return [
    {
      method: 'GET',
      path: '/api/v1/history/:repository/:name',
      access: 'public',
      summary: 'Versions of a name, newest first',
      handle: history,
    },
  ]
}

export function historyView({ operation, author, node, timeS, kind, target, state }: HistoryItem): object {
  const file = target?.kind === 'file' ? target : undefined
  return {
    op: toHex(operation),
    author,
    node: toHex(node),
    time: timeS,
    kind,
    md5: file?.md5 ?? null,
    size: file?.sizeBytes ?? null,
    state,
  }
}
