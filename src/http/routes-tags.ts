import { success } from './answer.ts'
import type { Call, Route } from './call.ts'
import { refuse } from './errors.ts'
import { findSource } from './link-rules.ts'
import { checkName } from './names.ts'
import type { Site } from './site.ts'
import { withSuffix } from '../repo/names.ts'

/** Entries of the caller's own tags (hub-api.md §5): a tag is there as long as it has one. */
export function tagRoutes({ repositories }: Site): Route[] {
  const add = async (call: Call) => {
    const { tag, name } = entryNames(call)
    const { repository = '', source = '' } = call.params
    findSource(repositories, { repository, name: source }, 'source repository not found')
    const { repository: own, user } = call.actor()
    const target = { kind: 'tagentry', repository, name: withSuffix(source) } as const
    await repositories.apply(own, [{ type: 'put', tag, name, target }], user)
    return success()
  }

  /** What the URL says the entry leads to is not looked at (hub-departures 14). */
  const remove = async (call: Call) => {
    const { tag, name } = entryNames(call)
    const { repository: own, user } = call.actor()
    if (repositories.find(own, name, tag) === undefined) refuse(404, 'target not found on this tag')
    await repositories.apply(own, [{ type: 'delete', tag, name }], user)
    return success()
  }

  const change = { access: 'user', mutates: true } as const
  const path = '/api/flist/me/:tag/:name/tag/:repository/:source'
  return [
    { ...change, method: 'GET', path, summary: 'Puts a flist into a tag of mine', handle: add },
    { ...change, method: 'DELETE', path, summary: 'Takes an entry out of a tag of mine', handle: remove },
  ]
}

function entryNames({ params: { tag = '', name = '', repository = '', source = '' } }: Call) {
  checkName(repository)
  checkName(withSuffix(source))
  return { tag: checkName(tag), name: checkName(withSuffix(name)) }
}
