import { InvalidInputError } from '../errors.ts'
import type { ImageProgress } from '../image/images.ts'
import { toUtf8 } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'
import { envelope, success, withHeaders } from './answer.ts'
import { readAll, readJsonObject } from './body.ts'
import type { Call, Route } from './call.ts'
import { convertImage, type Converted } from './convert-image.ts'
import { Refusal } from './errors.ts'
import { countsView } from './flist-views.ts'
import { readForm } from './form.ts'
import { longAnswer } from './long-answer.ts'
import { checkFields, contractWords, nonEmpty, pullImage } from './pull-image.ts'
import type { Site } from './site.ts'
import { archiveFlistName } from './upload-name.ts'

/** Of a form without a file. */
const MAX_FORM_BYTES = 64 * KIB

/** Docker and OCI images as flists (hub-api.md §8.4). */
export function dockerRoutes(site: Site): Route[] {
  const convert = async (call: Call) => {
    try {
      return success(payloadOf(await convertForm(site, call)))
    } catch (error) {
      throw inContractWords(site, error)
    }
  }

  /** The same for the command line, with progress, and with errors of our own. */
  const follow = async (call: Call) => {
    const body = await readJsonObject(call.request, call.response)
    const fields = new Map(['image', 'name', 'platform'].flatMap((key) => textField(body, key)))
    checkFields(fields)
    return await longAnswer(call, async ({ signal, onProgress }) => {
      const tell = ({ doneBytes: done, totalBytes: total }: ImageProgress) =>
        onProgress?.({ done, total, unit: 'bytes' })
      return payloadOf(await pullImage(site, call.actor(), fields, { signal, onProgress: tell }))
    })
  }

  const post = { method: 'POST', access: 'user', mutates: true } as const
  return [
    {
      ...post,
      path: '/api/flist/me/docker',
      summary: 'Makes a flist of a docker image: its name, or an archive of it as a file',
      accepts: { type: 'multipart/form-data', schema: IMAGE },
      handle: convert,
    },
    {
      ...post,
      path: '/api/v1/docker',
      summary: 'The same by JSON, with progress for who asks for it',
      accepts: { type: 'application/json', schema: IMAGE },
      handle: follow,
    },
  ]
}

const IMAGE = {
  type: 'object',
  required: ['image'],
  properties: { image: { type: 'string' }, name: { type: 'string' }, platform: { type: 'string' } },
}

/** A form with `image`; ours besides: an archive in its place, `name` and `platform`. */
async function convertForm(site: Site, call: Call): Promise<Converted> {
  const fields = new Map<string, string>()
  const signal = call.signal()
  if (!isOfType(call, 'multipart/form-data')) {
    await readFields(call, fields)
    return await pullImage(site, call.actor(), fields, { signal })
  }
  const form = { fileField: 'image', maxFileBytes: site.options.limits.maxUploadBytes, fields }
  const ofFile = await readForm(call.request, call.response, form, ({ filename, body }) => {
    const open = () =>
      site.images.openArchive(body, { signal, platform: () => nonEmpty(fields.get('platform')) })
    const name = () => nonEmpty(fields.get('name')) ?? archiveFlistName(filename, originalName(call))
    return convertImage(site, call.actor(), { open, name }, { signal })
  })
  return ofFile ?? (await pullImage(site, call.actor(), fields, { signal }))
}

function payloadOf({ name, counts }: Converted): object {
  return { name, files: countsView(counts) }
}

/** The original's two sentences; why it was, a header and the log tell. */
function inContractWords(site: Site, error: unknown): unknown {
  const message = contractWords(error)
  if (message === undefined) return error
  site.log.warn(message, {}, error)
  const reason = (error as Error).message.replace(/[^\x20-\x7e]/g, '?').slice(0, 500)
  return new Refusal(withHeaders(envelope(500, message), ['X-Hub-Reason', reason]))
}

function isOfType({ request }: Call, type: string): boolean {
  const [given = ''] = (request.headers['content-type'] ?? '').split(';')
  return given.trim().toLowerCase() === type
}

/** The fields of a form without files; the first of each name. Other bodies have none. */
async function readFields(call: Call, fields: Map<string, string>): Promise<void> {
  const body = toUtf8(await readAll(call.request, call.response, MAX_FORM_BYTES))
  if (!isOfType(call, 'application/x-www-form-urlencoded')) return
  for (const [key, value] of new URLSearchParams(body)) if (!fields.has(key)) fields.set(key, value)
}

function textField(body: Readonly<Record<string, unknown>>, key: string): Array<[string, string]> {
  const value = body[key]
  if (value === undefined || value === null) return []
  if (typeof value !== 'string') throw new InvalidInputError(`${key}: expected a text`)
  return [[key, value]]
}

function originalName({ request }: Call): string | undefined {
  const header = request.headers['x-original-name']
  return Array.isArray(header) ? header[0] : header
}
