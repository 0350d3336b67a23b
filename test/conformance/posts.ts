/** What is made of the bodies of merges, conversions and forms here, and how that differs from the recording. */
import { isFlistName } from '../../src/format/name-rule.ts'
import { pythonJson, type Expected } from './comparison.ts'
import type { Model } from './model.ts'
import type { PlaceKey } from './recorded-state.ts'
import type { RecordedCase } from './recorded.ts'
import { verdictOf } from './verdict.ts'

export interface PostOutcome {
  /** The name that is made, or would be. */
  readonly target: PlaceKey | undefined
  /** It is there afterwards. */
  readonly isMade: boolean
  /** In place of the recorded answer. */
  readonly expected?: Expected
  readonly departure?: number
}

interface World {
  readonly model: Model
  readonly actor: string
  readonly isStoreDown: boolean
}

const full = (name: string) => (/\.(?:flist|fl)$/.test(name) ? name : `${name}.flist`)
const NOTHING: PostOutcome = { target: undefined, isMade: false }

const JSON_HEADERS = new Map([
  ['content-type', 'application/json'],
  ['access-control-allow-origin', '*'],
])

function failure(status: number, message?: string): Expected {
  const text = message === undefined ? undefined : pythonJson({ status: 'error', message }) + '\n'
  return { status, headers: JSON_HEADERS, text, isError: message === undefined }
}

export function postOutcomeOf(one: RecordedCase, body: Buffer, world: World): PostOutcome {
  const { path } = one.request
  if (isTurnedAway(one)) return NOTHING
  if (path.startsWith('/api/flist/me/merge/')) return apiMerge(one, body, world)
  if (path === '/merge') return formMerge(one, body, world)
  if (path.endsWith('/docker') || path === '/docker-convert') return conversion(one, body, world)
  return formUpload(one, body, world)
}

/** Nobody is signed in, or nothing may be written. */
function isTurnedAway({ profile, request, response }: RecordedCase): boolean {
  const isAnonymous = profile === 'auth' && request.headers['Authorization'] === undefined
  return profile === 'readonly' || isAnonymous || [302, 401, 403].includes(response?.status ?? 0)
}

function apiMerge(one: RecordedCase, body: Buffer, world: World): PostOutcome {
  const name = decodeURIComponent(one.request.path.split('/').at(-1) ?? '')
  const target = `${world.actor}/${full(name)}`
  const sources = listOf(body)
  if (sources === undefined) return { target, isMade: false } // what is no list of sources is refused as recorded
  const isRefused = one.response?.body?.text?.includes('malformed source filename') === true
  if (sources.some((source) => source.split('/').length !== 2)) {
    const expected = failure(500, 'malformed source filename')
    return isRefused ? { target, isMade: false } : { target, isMade: false, expected, departure: 4 }
  }
  const isWhole = sources.length > 0 && sources.every((source) => leadsSomewhere(world.model, source))
  if (!isWhole) return failedMerge(one, target)
  if (world.isStoreDown) return { target, isMade: false, expected: failure(507), departure: 2 }
  return { target, isMade: true, ...(world.model.hasRepository(world.actor) ? {} : { departure: 4 }) }
}

/** The original says success of some that failed. */
function failedMerge({ response }: RecordedCase, target: PlaceKey): PostOutcome {
  const isTold = response !== null && response.body?.text?.includes('success') !== true
  return isTold ? { target, isMade: false } : { target, isMade: false, expected: failure(500), departure: 4 }
}

/** `undefined` for anything but a list; what is no text in it is no source. */
function listOf(body: Buffer): string[] | undefined {
  try {
    const value = JSON.parse(body.toString()) as unknown
    return Array.isArray(value)
      ? value.map((one: unknown) => (typeof one === 'string' ? one : ''))
      : undefined
  } catch {
    return undefined
  }
}

function leadsSomewhere(model: Model, source: string): boolean {
  const [repository = '', name = ''] = source.split('/')
  return model.follow(model.expected, `${repository}/${full(name)}`) !== undefined
}

function formMerge(_one: RecordedCase, body: Buffer, { model, actor }: World): PostOutcome {
  const form = new URLSearchParams(body.toString())
  const name = form.get('name') ?? ''
  const sources = form.getAll('flists[]')
  const isGood = isFlistName(full(name)) && sources.length > 0
  const target = name === '' ? undefined : `${actor}/${full(name)}`
  return { target, isMade: isGood && sources.every((one) => leadsSomewhere(model, one)), departure: 4 }
}

/** Departure 10; the cases of a missing engine are those that fail without a word about the image. */
function conversion(one: RecordedCase, body: Buffer, { actor }: World): PostOutcome {
  const image = imageOf(body)
  if (image === '') return NOTHING
  const tagged = image.includes(':') ? image : `${image}:latest`
  const target = `${actor}/${full(tagged.replace(/[:/]/g, '-'))}`
  const isThere = !/does-not-exist|err500|streamerr/.test(image)
  const { status, body: recorded } = one.response ?? {}
  const isEngineError = status === 500 && recorded?.text?.includes('image') !== true
  if (!isEngineError) return { target, isMade: isThere, departure: 10 }
  const any: Expected = { status: 200, headers: JSON_HEADERS, text: undefined, isError: false }
  return { target, isMade: isThere, expected: isThere ? any : failure(500), departure: 10 }
}

function imageOf(body: Buffer): string {
  const text = body.toString()
  const part = /name="image"\r\n\r\n([^\r]*)/.exec(text)?.[1]
  const form = new URLSearchParams(text)
  return part ?? form.get('image') ?? form.get('docker-input') ?? ''
}

function formUpload(one: RecordedCase, body: Buffer, { model, actor, isStoreDown }: World): PostOutcome {
  const kind = one.request.path === '/upload' ? 'upload' : 'upload-flist'
  const verdict = verdictOf({ kind }, one, body, { isStoreDown, model, actor })
  const filename = /filename="([^"]*)"/.exec(body.toString('latin1'))?.[1] ?? ''
  const bare = filename.replace(/\.(?:tar\.zst|tar\.gz|tgz|tar)$/, '')
  if (filename === '' || (kind === 'upload' && bare === filename)) return NOTHING
  const target = `${actor}/${full(bare)}`
  if (kind === 'upload-flist' && !isWholeFlist(one, filename)) return { target, isMade: false }
  if (verdict.kind === 'refused') return { target, isMade: false, departure: verdict.departure }
  if (verdict.kind !== 'taken') return { target, isMade: true }
  const text = '{"jobid":"JOB","status":"success"}\n'
  const expected = { status: 200, headers: JSON_HEADERS, text, isError: false }
  return { target, isMade: true, expected, departure: verdict.departure }
}

function isWholeFlist({ request }: RecordedCase, filename: string): boolean {
  return filename.endsWith('.flist') && request.fixture !== 'missing-chunks.flist'
}
