import { isAbsolute } from 'node:path'
import { ForbiddenError, InvalidInputError } from '../errors.ts'
import { readJsonObject } from './body.ts'
import type { Call, Route } from './call.ts'
import { longAnswer } from './long-answer.ts'
import type { Site } from './site.ts'

const COUNT = { type: 'integer', minimum: 0 }

/** What the node's owner does to it; each can tell its progress. */
export function operatorRoutes({ operator }: Site): Route[] {
  // A body that nobody reads would cut the connection in the middle of the answer.
  const fsck = async (call: Call) => {
    await readJsonObject(call.request, call.response)
    return await longAnswer(call, (options) => operator.fsck(options))
  }
  const scrub = async (call: Call) => {
    await readJsonObject(call.request, call.response)
    return await longAnswer(call, (options) => operator.scrub(options))
  }

  const collect = async (call: Call) => {
    const body = await readJsonObject(call.request, call.response)
    const graceS = countOf(body, 'graceS')
    const keepVersions = countOf(body, 'keepVersions')
    const settings = {
      ...(graceS === undefined ? {} : { graceS }),
      ...(keepVersions === undefined ? {} : { keepVersions }),
      dryRun: body['dryRun'] === true,
    }
    return await longAnswer(call, (options) => operator.collect(settings, options))
  }

  const backup = async (call: Call) => {
    if (!call.actor().isOperator)
      throw new ForbiddenError('a backup is made through the control socket alone')
    const { directory } = await readJsonObject(call.request, call.response)
    if (typeof directory !== 'string' || !isAbsolute(directory)) {
      throw new InvalidInputError('directory: expected an absolute path')
    }
    return await longAnswer(call, (options) => operator.backup(directory, options))
  }

  const post = { method: 'POST', access: 'admin', mutates: true } as const
  return [
    { ...post, path: '/api/v1/fsck', summary: 'Checks everything against everything', handle: fsck },
    { ...post, path: '/api/v1/scrub', summary: 'Reads and checks every chunk', handle: scrub },
    {
      ...post,
      path: '/api/v1/gc',
      summary: 'Frees what nothing holds',
      accepts: json({ graceS: COUNT, keepVersions: COUNT, dryRun: { type: 'boolean' } }),
      handle: collect,
    },
    {
      ...post,
      path: '/api/v1/backup',
      summary: 'A consistent copy into a directory of this machine; control socket only',
      accepts: json({ directory: { type: 'string' } }),
      handle: backup,
    },
  ]
}

function json(properties: object) {
  return { type: 'application/json', schema: { type: 'object', properties } }
}

function countOf(body: Readonly<Record<string, unknown>>, key: string): number | undefined {
  const value = body[key]
  if (value === undefined || value === null) return undefined
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw new InvalidInputError(`${key}: expected a whole number`)
  }
  return value
}
