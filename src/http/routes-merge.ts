/** Several flists as one: by the API, and by the form of its page (hub-api.md §6, §8.3). */
import { toUtf8 } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'
import { mergePage, type MergeValues, type Outcome } from '../web/forms.ts'
import { success, type Answer } from './answer.ts'
import { readAll } from './body.ts'
import type { Call, Route } from './call.ts'
import { refuse } from './errors.ts'
import { problemOf } from './form-problem.ts'
import { mergeFlists } from './merge-flists.ts'
import { NOT_KEPT, pageAnswer } from './page-answer.ts'
import type { Site } from './site.ts'

/** Security.md row 13. */
const MAX_BODY_BYTES = 256 * KIB

export function mergeRoutes(site: Site): Route[] {
  const merge = async (call: Call) => {
    const sources = await readSources(call)
    const { target = '' } = call.params
    await mergeFlists(site, call.actor(), { sources, target }, { signal: call.signal() })
    return success()
  }
  return [
    {
      method: 'POST',
      path: '/api/flist/me/merge/:target',
      access: 'user',
      mutates: true,
      summary: 'Merges flists, each repo/name, into one of mine: of each path the first that has it',
      accepts: {
        type: 'application/json',
        schema: { type: 'array', items: { type: 'string' }, minItems: 1 },
      },
      handle: merge,
    },
    {
      method: 'POST',
      path: '/merge',
      access: 'session',
      mutates: true,
      answers: 'text/html',
      summary: 'Merges flists, from its form',
      accepts: MERGE_FORM,
      handle: (call) => mergeByForm(site, call),
    },
  ]
}

const MERGE_FORM = {
  type: 'application/x-www-form-urlencoded',
  schema: {
    type: 'object',
    required: ['flists[]', 'name'],
    properties: {
      'flists[]': { type: 'array', items: { type: 'string' } },
      name: { type: 'string' },
    },
  },
}

/** The body, whatever type it says it is. */
async function readSources({ request, response }: Call): Promise<unknown[]> {
  let body: unknown
  try {
    body = JSON.parse(toUtf8(await readAll(request, response, MAX_BODY_BYTES)))
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error
  }
  return Array.isArray(body) ? body : refuse(500, 'malformed json request')
}

async function mergeByForm(site: Site, call: Call): Promise<Answer> {
  const form = new URLSearchParams(toUtf8(await readAll(call.request, call.response, MAX_BODY_BYTES)))
  const name = form.get('name')
  const sources = form.getAll('flists[]').filter((source) => source !== '')
  const show = (values: MergeValues, outcome: Outcome, status = 200) =>
    pageAnswer(mergePage(values, outcome), status, NOT_KEPT)
  if (name === null) return show({ sources }, { problem: 'missing build (target) name' }, 400)
  try {
    if (sources.length === 0) refuse(500, 'no source found')
    if (name === '') refuse(500, 'missing build (target) name')
    if (name.includes('/')) refuse(500, 'build name not allowed')
    const actor = call.actor()
    const made = await mergeFlists(site, actor, { sources, target: name }, { signal: call.signal() })
    return show({}, { made: { repository: actor.repository, ...made } })
  } catch (error) {
    return show({ sources, name }, { problem: problemOf(error) })
  }
}
