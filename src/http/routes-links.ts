import { success } from './answer.ts'
import type { Call, Route } from './call.ts'
import { findSource, refuseFile, refuseLoop } from './link-rules.ts'
import { checkName } from './names.ts'
import type { Site } from './site.ts'
import type { Target } from '../repo/entry.ts'
import { withSuffix } from '../repo/names.ts'

/** Links of the caller's own repository, to a name of its own or of another's (hub-api.md §5). */
export function linkRoutes({ repositories }: Site): Route[] {
  const put = async ({ actor }: Call, name: string, target: Target) => {
    const { repository, user } = actor()
    await repositories.apply(repository, [{ type: 'put', name, target }], user)
    return success()
  }

  const link = async (call: Call) => {
    const { source = '', name = '' } = call.params
    const { repository } = call.actor()
    const place = { repository, name: checkName(withSuffix(name)) }
    findSource(repositories, { repository, name: source }, 'user not found')
    refuseFile(repositories, place)
    const target = { kind: 'link', name: withSuffix(source) } as const
    refuseLoop(repositories, place, target)
    return await put(call, place.name, target)
  }

  const crosslink = async (call: Call) => {
    const { name = '', repository = '', source = '' } = call.params
    const place = { repository: call.actor().repository, name: checkName(withSuffix(name)) }
    findSource(repositories, { repository, name: source }, 'source repository not found')
    refuseFile(repositories, place)
    const target = { kind: 'xlink', repository, name: withSuffix(source) } as const
    refuseLoop(repositories, place, target)
    return await put(call, place.name, target)
  }

  const change = { method: 'GET', access: 'user', mutates: true } as const
  return [
    {
      ...change,
      path: '/api/flist/me/:source/link/:name',
      summary: 'Links a name of mine to my flist',
      handle: link,
    },
    {
      ...change,
      path: '/api/flist/me/:name/crosslink/:repository/:source',
      summary: 'Links a name of mine to a flist of another repository',
      handle: crosslink,
    },
  ]
}
