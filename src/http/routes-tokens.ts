import { InvalidInputError, NotFoundError } from '../errors.ts'
import { parseRepositoryName } from '../repo/names.ts'
import { compactJson } from './answer.ts'
import { readJsonObject } from './body.ts'
import type { Call, Route } from './call.ts'
import type { TokenInfo } from '../repo/token-rows.ts'
import type { Site } from './site.ts'

/** Tokens made, listed and revoked. A token itself is shown once, to whoever made it. */
export function tokenRoutes(site: Site): Route[] {
  const { tokens } = site
  const list = async () => compactJson({ items: (await tokens.list()).map(tokenView), next: null })

  const create = async ({ request, response }: Call) => {
    const { user, ttl } = await readJsonObject(request, response)
    if (typeof user !== 'string') throw new InvalidInputError('user: expected a name')
    if (ttl !== undefined && !(Number.isSafeInteger(ttl) && Number(ttl) >= 0)) {
      throw new InvalidInputError('ttl: expected seconds')
    }
    const issued = await tokens.issue(parseRepositoryName(user), ttl === undefined ? undefined : Number(ttl))
    const { id, createdS, expiresS, token } = issued
    return compactJson({ id, user, token, created: createdS, expires: expiresS ?? null }, 201)
  }

  const revoke = async ({ params: { id = '' } }: Call) => {
    const revoked = await tokens.revoke(id)
    const sessions = site.sessions.closeAllOf(id)
    if (revoked.length + sessions === 0) throw new NotFoundError('no token of that id or user')
    return compactJson({ revoked: revoked.map((one) => ({ id: one.id, user: one.user })) })
  }

  const path = '/api/v1/tokens'
  const schema = {
    type: 'object',
    required: ['user'],
    properties: {
      user: { type: 'string' },
      ttl: { type: 'integer', description: 'seconds; 0 = never ends' },
    },
  }
  return [
    { method: 'GET', path, access: 'admin', summary: 'Tokens that were made here', handle: list },
    {
      method: 'POST',
      path,
      access: 'admin',
      mutates: true,
      summary: 'Makes a token; it is shown this once',
      accepts: { type: 'application/json', schema },
      handle: create,
    },
    {
      method: 'DELETE',
      path: `${path}/:id`,
      access: 'admin',
      mutates: true,
      summary: 'Revokes a token by its id, or all of a user, whose web sessions end too',
      handle: revoke,
    },
  ]
}

function tokenView({ id, user, createdS, expiresS, revoked }: TokenInfo): object {
  return { id, user, created: createdS, expires: expiresS ?? null, revoked }
}
