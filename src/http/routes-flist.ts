import type { Replicated } from '../sync/replicated.ts'
import { envelope, styleA, type Answer } from './answer.ts'
import type { Call, Route } from './call.ts'
import { refuse } from './errors.ts'
import { lightItem } from './listing.ts'
import { findFlist, type Found } from './lookup.ts'
import { checkName } from './names.ts'
import type { Site } from './site.ts'

/** The answer with a word on how much this node knows: said anew each time that it goes out, for it may be kept. */
export function withHubHeaders(
  answer: Answer,
  replicated: Replicated,
  { entry: { conflicts }, resolved: { target } }: Found,
): Answer {
  const current = () => [
    ...['X-Hub-Complete', String(replicated.isComplete(target.flist)), 'X-Hub-Conflict', String(conflicts)],
    ...['X-Hub-Frontier-Age', String(Math.floor(replicated.frontierAgeS()))],
  ]
  return { ...answer, current }
}

/** One flist, read (hub-api.md §4.4–4.7). */
export function flistRoutes({ repositories, replicated, served, views }: Site): Route[] {
  const find = ({ params: { repository = '', name = '' } }: Call) => findFlist(repositories, repository, name)

  const dump = async (call: Call) => views.dump((await find(call)).resolved.target.flist)

  const metadata = async (call: Call) => views.metadata((await find(call)).resolved.target.flist)

  const light = async (call: Call) => {
    const found = await find(call)
    const digest = await served.digest(found.resolved.target.flist)
    return withHubHeaders(styleA(lightItem(found.entry, found.resolved, digest)), replicated, found)
  }

  const taglink = ({ params: { repository = '', name = '' } }: Call) => {
    checkName(repository)
    const bare = checkName(name).replace(/\.flist$/, '')
    if (!repositories.has(repository)) refuse(404, 'user not found')
    const target = repositories.find(repository, bare)?.target
    if (target?.kind !== 'taglink') return envelope(404, 'source not found')
    return styleA({ target: `${target.repository}/tags/${target.tag}` })
  }

  const read = { method: 'GET', access: 'public', isCached: true } as const
  const one = '/api/flist/:repository/:name'
  return [
    { ...read, path: one, summary: 'Everything in a flist, with counters', handle: dump },
    { ...read, path: one, method: 'INFO', summary: 'The same as light', handle: light },
    { ...read, path: `${one}/light`, summary: 'Size, md5 and time of a flist', handle: light },
    { ...read, path: `${one}/metadata`, summary: 'The metadata rows of a flist', handle: metadata },
    { ...read, path: `${one}/taglink`, summary: 'Where a taglink points', handle: taglink },
  ]
}
