import { success } from './answer.ts'
import type { Call, Route } from './call.ts'
import { refuse } from './errors.ts'
import { findFlist } from './lookup.ts'
import { checkName } from './names.ts'
import type { Site } from './site.ts'
import { withSuffix } from '../repo/names.ts'

/** The caller's own repository (hub-api.md §5). */
export function meRoutes({ repositories, views }: Site): Route[] {
  const whoAmI = ({ actor }: Call) => success({ username: actor().repository })

  const dump = async ({ actor, params: { name = '' } }: Call) => {
    const { resolved } = await findFlist(repositories, actor().repository, name)
    return await views.dump(resolved.target.flist)
  }

  const remove = async ({ actor, params: { name = '' } }: Call) => {
    const { repository, user } = actor()
    const stored = checkName(withSuffix(name))
    if (!repositories.has(repository)) refuse(404, 'user not found')
    const doomed = [stored, stored.replace(/\.flist$/, '')].find((one) =>
      isRemovable(repository, one, stored),
    )
    if (doomed === undefined) refuse(404, 'source not found')
    await repositories.apply(repository, [{ type: 'delete', name: doomed }], user)
    return success()
  }

  /** The flist or link of that name; without its suffix only a taglink. */
  const isRemovable = (repository: string, name: string, stored: string) => {
    const entry = repositories.find(repository, name)
    return entry !== undefined && (name === stored || entry.target.kind === 'taglink')
  }

  const me = { access: 'user' } as const
  return [
    { ...me, method: 'GET', path: '/api/flist/me', summary: 'Who I am', handle: whoAmI },
    { ...me, method: 'GET', path: '/api/flist/me/:name', summary: 'Everything in my flist', handle: dump },
    {
      ...me,
      method: 'DELETE',
      path: '/api/flist/me/:name',
      mutates: true,
      summary: 'Removes my flist, link or taglink; what it points to stays',
      handle: remove,
    },
  ]
}
