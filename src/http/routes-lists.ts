import { envelope, styleA } from './answer.ts'
import type { Call, Route } from './call.ts'
import { ADMINISTRATOR } from '../repo/names.ts'
import { pathList, repositoryList, tagList } from './listing.ts'
import { checkName } from './names.ts'
import type { Site } from './site.ts'

/** The lists of hub-api.md §4: what every booting node asks for first. */
export function listRoutes({ repositories, options }: Site): Route[] {
  const { auth } = options
  const official = new Set(auth ? options.official : [ADMINISTRATOR])

  const everything = () =>
    new Map(repositories.list().map((name) => [name, repositoryList(repositories, name)]))

  const summaries = () =>
    repositories.list().map((name) => {
      return { name, official: official.has(name), updated: repositories.updatedS(name) }
    })

  const ofRepository = ({ params: { repository = '' } }: Call) => {
    checkName(repository)
    if (!repositories.has(repository)) return envelope(404)
    return styleA(repositoryList(repositories, repository))
  }

  const ofTag = ({ params: { repository = '', tag = '' } }: Call) => {
    checkName(repository)
    const entries = tagList(repositories, repository, checkName(tag))
    return entries === undefined ? envelope(404) : styleA(entries)
  }

  const list = { method: 'GET', access: 'public', isCached: true } as const
  return [
    {
      ...list,
      path: '/api/flist',
      summary: 'Every entry of every repository, as paths',
      handle: () => styleA(pathList(repositories)),
    },
    {
      ...list,
      path: '/api/fileslist',
      summary: 'Every entry, by repository',
      handle: () => styleA(everything()),
    },
    {
      ...list,
      path: '/api/repositories',
      summary: 'All repositories',
      handle: () => styleA(summaries()),
    },
    { ...list, path: '/api/flist/:repository', summary: 'Entries of a repository', handle: ofRepository },
    {
      ...list,
      path: '/api/flist/:repository/tags/:tag',
      summary: 'Entries of a tag',
      handle: ofTag,
    },
  ]
}
