import { InvalidInputError } from '../errors.ts'
import { compactJson } from './answer.ts'
import { readJsonObject } from './body.ts'
import type { Call, Route } from './call.ts'
import type { Site } from './site.ts'

const TEXT = { type: 'string' }
const NODE = { node: { type: 'string', description: 'its name, or the first digits of its key' } }
const NAMED = { node: { type: 'string', description: 'what this node is called in the realm' } }

/** The realm of this node: what everybody may know of it, and what its operator does. Addresses are never told here. */
export function realmRoutes({ realm }: Site): Route[] {
  type Body = Readonly<Record<string, unknown>>
  const post = (
    action: string,
    summary: string,
    properties: object,
    handle: (body: Body) => Promise<object>,
  ): Route => ({
    method: 'POST',
    path: `/api/v1/realm/${action}`,
    access: 'admin',
    mutates: true,
    summary,
    accepts: { type: 'application/json', schema: { type: 'object', properties } },
    handle: async ({ request, response }: Call) =>
      compactJson(await handle(await readJsonObject(request, response))),
  })
  const addresses = { type: 'array', items: TEXT, description: 'multiaddrs' }
  return [
    {
      method: 'GET',
      path: '/api/v1/realm',
      access: 'public',
      summary: 'The realm of this node, and its members',
      handle: () => compactJson(realm.status()),
    },
    post('create', 'Names the realm, and lets others come', { name: TEXT, ...NAMED, addresses }, (body) =>
      realm.create({
        name: textOf(body, 'name'),
        node: textOf(body, 'node'),
        addresses: textsOf(body, 'addresses'),
      }),
    ),
    post('invite', 'An invite for one node, valid for a day; shown this once', { addresses }, (body) =>
      realm.invite(textsOf(body, 'addresses')),
    ),
    post(
      'join',
      'Goes over to the realm of an invite, with everything this node holds',
      { invite: TEXT, ...NAMED },
      (body) => realm.join({ invite: needed(body, 'invite'), node: textOf(body, 'node') }),
    ),
    post('leave', 'Leaves the realm, with everything this node holds', {}, () => realm.leave()),
    post('cut', 'What a node signs from now on counts nowhere, and its tokens are void', NODE, (body) =>
      realm.cut(needed(body, 'node')),
    ),
    post('uncut', 'Takes a cut back', NODE, (body) => realm.uncut(needed(body, 'node'))),
    post('add-admin', 'Lets a node do what this one may', NODE, (body) =>
      realm.addAdmin(needed(body, 'node')),
    ),
    post('rotate', 'Gives this node another key', {}, () => realm.rotate()),
  ]
}

function textOf(body: Readonly<Record<string, unknown>>, key: string): string | undefined {
  const value = body[key]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'string') throw new InvalidInputError(`${key}: expected text`)
  return value
}

function needed(body: Readonly<Record<string, unknown>>, key: string): string {
  const value = textOf(body, key)
  if (value === undefined) throw new InvalidInputError(`${key}: it is missing`)
  return value
}

function textsOf(body: Readonly<Record<string, unknown>>, key: string): string[] {
  const value = body[key] ?? []
  if (!Array.isArray(value) || !value.every((one) => typeof one === 'string') || value.length > 32) {
    throw new InvalidInputError(`${key}: expected a list of at most 32 texts`)
  }
  return value
}
