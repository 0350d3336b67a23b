import { InvalidInputError, NotFoundError } from '../errors.ts'
import type { Entry, HistoryItem, Repositories } from '../repo/entry.ts'
import { parseRepositoryName } from '../repo/names.ts'
import { toHex } from '../util/bytes.ts'
import { compactJson, success } from './answer.ts'
import { readJsonObject } from './body.ts'
import type { Call, Route } from './call.ts'
import { refuse } from './errors.ts'
import { findVersions } from './lookup.ts'
import { checkName } from './names.ts'
import { historyView } from './routes-history.ts'
import type { Site } from './site.ts'

/** Names that were written at the same time on two nodes, and how one version is chosen. */
export function conflictRoutes({ repositories, library, leases, options: { publicUrl } }: Site): Route[] {
  const everywhere = async () => {
    const items: object[] = []
    for (const repository of repositories.list()) {
      const found = await conflictsIn(repositories, repository, publicUrl)
      items.push(...found.map((one) => ({ ...one, name: `${repository}/${one.name}` })))
    }
    return compactJson({ items, next: null })
  }

  const ofRepository = async ({ params: { repository = '' } }: Call) => {
    checkName(repository)
    if (!repositories.has(repository)) refuse(404, 'user not found')
    return compactJson({ items: await conflictsIn(repositories, repository, publicUrl), next: null })
  }

  /** Any later write settles a conflict; this one writes the version that was chosen. */
  const settle = async ({
    request,
    response,
    actor,
    signal,
    params: { repository = '', name = '' },
  }: Call) => {
    const { op } = await readJsonObject(request, response)
    if (typeof op !== 'string') throw new InvalidInputError('op: expected the hash of a version')
    const { stored, items } = await findVersions(repositories, parseRepositoryName(repository), name)
    const target = items.find(({ operation }) => toHex(operation) === op)?.target
    if (target === undefined) throw new NotFoundError('no such version')
    const lease = leases.open()
    try {
      // Held first, looked for then: from here the collector leaves an old version's flist alone.
      if (target.kind === 'file') {
        lease.holdFlist(target.flist)
        await library.require(target.flist, { signal: signal() })
      }
      await repositories.apply(repository, [{ type: 'put', name: stored, target }], actor().user)
    } finally {
      lease.release()
    }
    return success()
  }

  const get = { method: 'GET', access: 'public' } as const
  const path = '/api/v1/conflicts'
  const schema = { type: 'object', required: ['op'], properties: { op: { type: 'string' } } }
  return [
    { ...get, path, summary: 'Names with several versions', handle: everywhere },
    { ...get, path: `${path}/:repository`, summary: 'The same, of one repository', handle: ofRepository },
    {
      method: 'POST',
      path: `${path}/:repository/:name`,
      access: 'admin',
      mutates: true,
      writes: true,
      summary: 'Settles a conflict for one version',
      accepts: { type: 'application/json', schema },
      handle: settle,
    },
  ]
}

function conflictsIn(repositories: Repositories, repository: string, publicUrl: string) {
  const contested = repositories.entries(repository).filter(({ conflicts }) => conflicts > 0)
  return Promise.all(contested.map((entry) => conflictOf(repositories, entry, publicUrl)))
}

async function conflictOf(repositories: Repositories, { repository, name }: Entry, publicUrl: string) {
  const items = await repositories.history(repository, name)
  const versions = (state: HistoryItem['state']) =>
    items
      .filter((item) => item.state === state)
      .map((item) => versionView(item, `${publicUrl}/${repository}/${name}`))
  return { name, winner: versions('current')[0], others: versions('conflict') }
}

function versionView(item: HistoryItem, flistUrl: string): object {
  const hash8 = toHex(item.operation).slice(0, 8)
  return { ...historyView(item), hash8, url: flistUrl.replace(/(\.flist|\.fl)$/, `~${hash8}$1`) }
}
