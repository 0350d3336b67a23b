import { success } from './answer.ts'
import type { Call, Route } from './call.ts'
import { refuse } from './errors.ts'
import { checkName } from './names.ts'
import type { Site } from './site.ts'
import { hasFlistSuffix } from '../format/name-rule.ts'
import { withSuffix } from '../repo/names.ts'

/** Links of the caller's own repository to a tag of any, which the API calls taglinks too (hub-api.md §5). */
export function crosstagRoutes({ repositories }: Site): Route[] {
  const add = async (call: Call) => {
    const { name, repository, tag } = tagLinkNames(call)
    const own = call.actor().repository
    if (repositories.tagEntries(repository, tag) === undefined) refuse(404, 'source tag not found')
    if (hasFlistSuffix(name)) refuse(401, 'tag symlink cannot ends with .flist')
    if (repositories.find(own, withSuffix(name)) !== undefined)
      refuse(401, 'there is a .flist file with the same name existing already')
    const change = { type: 'put', name, target: { kind: 'taglink', repository, tag } } as const
    await repositories.apply(own, [change], call.actor().user)
    return success()
  }

  const remove = async (call: Call) => {
    const { name, repository, tag } = tagLinkNames(call)
    const { repository: own, user } = call.actor()
    const target = repositories.find(own, name)?.target
    if (target?.kind !== 'taglink' || target.repository !== repository || target.tag !== tag)
      refuse(404, 'source tag not found')
    await repositories.apply(own, [{ type: 'delete', name }], user)
    return success()
  }

  const change = { access: 'user', mutates: true } as const
  const path = '/api/flist/me/:name/crosstag/:repository/:tag'
  return [
    { ...change, method: 'GET', path, summary: 'Links a name of mine to a tag', handle: add },
    { ...change, method: 'DELETE', path, summary: 'Removes my link to that tag', handle: remove },
  ]
}

function tagLinkNames({ params: { name = '', repository = '', tag = '' } }: Call) {
  return { name: checkName(name), repository: checkName(repository), tag: checkName(tag) }
}
