import { InvalidInputError, NotFoundError } from '../errors.ts'
import { parseRepositoryName } from '../repo/names.ts'
import { toHex } from '../util/bytes.ts'
import { compactJson } from './answer.ts'
import { readJsonObject } from './body.ts'
import type { Call, Route } from './call.ts'
import { findVersions, placeOf } from './lookup.ts'
import type { Site } from './site.ts'

/** What must not exist any more, anywhere: a secret that got into an image. */
export function purgeRoutes({ repositories, purges }: Site): Route[] {
  const purge = async (call: Call) => {
    const { request, response, actor, params } = call
    const { op } = await readJsonObject(request, response)
    if (op !== undefined && typeof op !== 'string')
      throw new InvalidInputError('op: expected the hash of a version')
    const repository = parseRepositoryName(params['repository'] ?? '')
    const { items } = await findVersions(repositories, repository, placeOf(call))
    const version = items.find(({ operation, state }) =>
      op === undefined ? state === 'current' : toHex(operation) === op,
    )
    if (version?.target === undefined) {
      throw new NotFoundError(op === undefined ? 'this name is deleted: which version?' : 'no such version')
    }
    const { target, operation } = version
    if (target.kind !== 'file')
      throw new InvalidInputError(`a ${target.kind} has no content: purge what it leads to`)
    const report = await purges.purge(target.flist, actor().user)
    return compactJson({ op: toHex(operation), flist: toHex(target.flist), ...report })
  }

  return [
    {
      method: 'POST',
      path: '/api/v1/purge/:repository/:name',
      access: 'admin',
      mutates: true,
      writes: true,
      accepts: {
        type: 'application/json',
        schema: { type: 'object', properties: { op: { type: 'string' } } },
      },
      summary: 'Removes the content of a version from every node of the realm, for good',
      handle: purge,
    },
  ]
}
