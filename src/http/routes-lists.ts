import { fromUtf8 } from '../util/bytes.ts'
import { bytesAnswer, envelope, styleA } from './answer.ts'
import { ListTexts } from './list-texts.ts'
import type { Call, Route } from './call.ts'
import { ADMINISTRATOR } from '../repo/names.ts'
import { tagList } from './listing.ts'
import { checkName } from './names.ts'
import type { Site } from './site.ts'

/** The lists of hub-api.md §4: what every booting node asks for first. */
export function listRoutes({ repositories, options }: Site): Route[] {
  const { auth } = options
  const official = new Set(auth ? options.official : [ADMINISTRATOR])

  const texts = new ListTexts(repositories, options.cacheBytes / 8)
  const answer = (text: string) => bytesAnswer(200, 'application/json', fromUtf8(text + '\n'))

  const summaries = () =>
    repositories.list().map((name) => {
      return { name, official: official.has(name), updated: repositories.updatedS(name) }
    })

  const ofRepository = ({ params: { repository = '' } }: Call) => {
    checkName(repository)
    if (!repositories.has(repository)) return envelope(404)
    return answer(texts.entries(repository))
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
      handle: () => answer(texts.everyPath()),
    },
    {
      ...list,
      path: '/api/fileslist',
      summary: 'Every entry, by repository',
      handle: () => answer(texts.everyEntry()),
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
