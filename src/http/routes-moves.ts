import { success } from './answer.ts'
import type { Call, Route } from './call.ts'
import { refuse } from './errors.ts'
import { findSource, refuseLoop } from './link-rules.ts'
import { checkName } from './names.ts'
import type { Site } from './site.ts'
import type { Change, Target } from '../repo/entry.ts'
import { withSuffix } from '../repo/names.ts'

/** What is published goes under another name: renamed in the caller's own repository, or copied into it. */
export function moveRoutes(site: Site): Route[] {
  const { repositories } = site

  /** One operation of two effects; a link moves as the link it is, and a file keeps its time. */
  const rename = async (call: Call) => {
    const { source = '', name = '' } = call.params
    const { repository, user } = call.actor()
    const from = checkName(withSuffix(source))
    const to = checkName(withSuffix(name))
    if (!repositories.has(repository)) refuse(404, 'user not found')
    const entry = repositories.find(repository, from)
    if (entry === undefined) refuse(404, 'source not found')
    if (from === to) return success()
    const { target, updatedS } = entry
    if (target.kind !== 'file') refuseLoop(repositories, { repository, name: to }, target)
    const changes: Change[] = [
      { type: 'delete', name: from },
      { type: 'put', name: to, target, updatedS },
    ]
    await holding(site, target, () => repositories.apply(repository, changes, user))
    return success()
  }

  const promote = async (call: Call) => {
    const { repository = '', source = '', name = '' } = call.params
    const { repository: own, user } = call.actor()
    const to = checkName(withSuffix(name))
    const { entry, resolved } = findSource(repositories, { repository, name: source }, 'user not found')
    const isItself = repository === own && entry.name === to
    const { target } = resolved
    if (!isItself)
      await holding(site, target, () => repositories.apply(own, [{ type: 'put', name: to, target }], user))
    return success({
      source: { username: repository, filename: entry.name },
      destination: { username: own, filename: to },
    })
  }

  const change = { method: 'GET', access: 'user', mutates: true } as const
  return [
    {
      ...change,
      path: '/api/flist/me/:source/rename/:name',
      summary: 'Renames my flist or link',
      handle: rename,
    },
    {
      ...change,
      path: '/api/flist/me/promote/:repository/:source/:name',
      summary: 'Copies a flist of any repository into mine',
      handle: promote,
    },
  ]
}

/** The collector leaves alone what is about to be named. @throws as `FlistReader.require`. */
async function holding(
  { library, leases }: Site,
  target: Target,
  work: () => Promise<unknown>,
): Promise<void> {
  const lease = leases.open()
  try {
    if (target.kind === 'file') {
      lease.holdFlist(target.flist)
      await library.require(target.flist)
    }
    await work()
  } finally {
    lease.release()
  }
}
