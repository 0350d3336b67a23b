import { InvalidInputError, NotFoundError } from '../errors.ts'
import type { HistoryItem, NamePlace, Repositories, VersionState } from '../repo/entry.ts'
import { parseRepositoryName } from '../repo/names.ts'
import { toHex } from '../util/bytes.ts'
import { pathOf } from '../web/words.ts'
import { compactJson, success } from './answer.ts'
import { readJsonObject } from './body.ts'
import { queryOf, type Call, type Route } from './call.ts'
import { refuse } from './errors.ts'
import { findVersions, placeOf, placePath, versionName } from './lookup.ts'
import { checkName } from './names.ts'
import { PAGE_QUERY, sortedPageOf } from './page-of.ts'
import { historyView } from './routes-history.ts'
import type { Site } from './site.ts'

/** Names that were written at the same time on two nodes, and how one version is chosen. */
export function conflictRoutes(site: Site): Route[] {
  const { repositories } = site

  const list = async (call: Call, names: readonly string[], nameOf: (contested: Contested) => string) => {
    const isPast = queryOf(call, 'past') !== undefined
    const find = isPast ? settled : standing
    const lost = isPast ? 'superseded in conflict' : 'conflict'
    const all: Contested[] = []
    for (const repository of names) {
      const places = await find(repositories, repository)
      all.push(...places.map((place) => ({ ...place, repository })))
    }
    const page = sortedPageOf(call, all, nameOf)
    const items = await Promise.all(
      page.items.map(async (one) => ({
        name: nameOf(one),
        ...(await versionsOf(site, one, lost)),
      })),
    )
    return compactJson({ items, next: page.next })
  }

  const everywhere = (call: Call) =>
    list(call, repositories.list(), (one) => `${one.repository}/${placePath(one)}`)

  const ofRepository = (call: Call) => {
    const { repository = '' } = call.params
    checkName(repository)
    if (!repositories.has(repository)) refuse(404, 'user not found')
    return list(call, [repository], placePath)
  }

  const get = {
    method: 'GET',
    access: 'public',
    query: { ...PAGE_QUERY, past: 'the conflicts that somebody settled, instead' },
  } as const
  const settle = {
    method: 'POST',
    access: 'admin',
    mutates: true,
    writes: true,
    accepts: {
      type: 'application/json',
      schema: { type: 'object', required: ['op'], properties: { op: { type: 'string' } } },
    },
    handle: (call: Call) => settleFor(site, call),
  } as const
  const path = '/api/v1/conflicts'
  return [
    { ...get, path, summary: 'Names with several versions', handle: everywhere },
    { ...get, path: `${path}/:repository`, summary: 'The same, of one repository', handle: ofRepository },
    { ...settle, path: `${path}/:repository/:name`, summary: 'Settles a conflict for one version' },
    {
      ...settle,
      path: `${path}/:repository/tags/:tag/:name`,
      summary: 'The same of an entry of a tag',
    },
  ]
}

/** Any later write settles a conflict; this one writes the version that was chosen. */
async function settleFor({ repositories, library, leases }: Site, call: Call) {
  const { request, response, actor, signal, params } = call
  const { op } = await readJsonObject(request, response)
  if (typeof op !== 'string') throw new InvalidInputError('op: expected the hash of a version')
  const repository = parseRepositoryName(params['repository'] ?? '')
  const { place, items } = await findVersions(repositories, repository, placeOf(call))
  const target = items.find(({ operation }) => toHex(operation) === op)?.target
  if (target === undefined) throw new NotFoundError('no such version')
  const lease = leases.open()
  try {
    // Held first, looked for then: from here the collector leaves an old version's flist alone.
    if (target.kind === 'file') {
      lease.holdFlist(target.flist)
      await library.require(target.flist, { signal: signal() }).catch((error: unknown) => {
        if (!(error instanceof NotFoundError)) throw error
        throw new NotFoundError('this node does not hold the flist of that version any more', {
          cause: error,
        })
      })
    }
    await repositories.apply(repository, [{ type: 'put', ...place, target }], actor().user)
  } finally {
    lease.release()
  }
  return success()
}

interface Contested extends NamePlace {
  readonly repository: string
}

/** Flists, links, taglinks, and entries of tags. */
function standing(repositories: Repositories, repository: string): NamePlace[] {
  const ofTags = repositories
    .tags(repository)
    .flatMap((tag) => repositories.tagEntries(repository, tag) ?? [])
  return [...repositories.entries(repository), ...ofTags].flatMap(({ name, tag, conflicts }) =>
    conflicts === 0 ? [] : [{ name, ...(tag !== undefined && { tag }) }],
  )
}

function settled(repositories: Repositories, repository: string): Promise<NamePlace[]> {
  return repositories.settled(repository)
}

/** What stands, and what lost against it, or did. `winner` is null for a name that is deleted now. */
async function versionsOf({ repositories, purges, options }: Site, place: Contested, lost: VersionState) {
  const items = await repositories.history(place.repository, place.name, place.tag)
  const of = (wanted: VersionState) =>
    items
      .filter(({ state, target }) => state === wanted && target !== undefined)
      .map((item) => {
        return { ...historyView(item, purges), ...addressOf(item, place, options) }
      })
  return { winner: of('current')[0] ?? null, others: of(lost) }
}

/** Only flists can be had by version: `url` is null for links. */
function addressOf(
  { operation, kind }: HistoryItem,
  { repository, name }: Contested,
  { publicUrl }: { readonly publicUrl: string },
) {
  const url = kind === 'file' ? publicUrl + pathOf(repository, versionName(name, operation)) : null
  return { hash8: toHex(operation).slice(0, 8), url }
}
