/** What people send by the forms: an archive, a flist, an image; and `/listen/<job>`, where they see how far it is. */
import { HubError } from '../errors.ts'
import { toUtf8 } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'
import { dockerPage, uploadFlistPage, type DockerOutcome, type Outcome } from '../web/forms.ts'
import { bytesAnswer, streamAnswer, styleB, type Answer } from './answer.ts'
import { readAll } from './body.ts'
import type { Call, Route } from './call.ts'
import { convertWithEvents } from './docker-events.ts'
import { Refusal } from './errors.ts'
import { countsView } from './flist-views.ts'
import { problemOf, wordsOf } from './form-problem.ts'
import type { JobEvent } from './jobs.ts'
import { NOT_KEPT, pageAnswer } from './page-answer.ts'
import { checkFields } from './pull-image.ts'
import { flaskJson } from './python.ts'
import type { Site } from './site.ts'
import type { Uploads } from './uploads.ts'

const MAX_FORM_BYTES = 64 * KIB

export function jobRoutes(site: Site, uploads: Uploads): Route[] {
  const { jobs } = site

  const listen = ({ params: { job = '' }, signal }: Call) => {
    const events = jobs.events(job, signal())
    if (events === undefined) return styleB(404, 'job id not found')
    return streamAnswer('text/event-stream; charset=utf-8', events, ['Cache-Control', 'no-store'])
  }

  const form = { method: 'POST', access: 'session', mutates: true } as const
  return [
    {
      method: 'GET',
      path: '/listen/:job',
      access: 'public',
      answers: 'text/event-stream',
      summary: 'What happens in a job, as server-sent events',
      handle: listen,
    },
    {
      ...form,
      path: '/upload',
      summary: 'An archive, from its form; answers a job',
      accepts: FILE,
      handle: (call) => uploadArchive(site, uploads, call),
    },
    {
      ...form,
      path: '/upload-flist',
      answers: 'text/html',
      summary: 'A flist, from its form',
      accepts: FILE,
      handle: (call) => uploadFlist(uploads, call),
    },
    {
      ...form,
      path: '/docker-convert',
      answers: 'text/html',
      summary: 'An image of a registry, from its form; its page shows the progress',
      accepts: IMAGE,
      handle: (call) => convert(site, call),
    },
  ]
}

const FILE = {
  type: 'multipart/form-data',
  schema: {
    type: 'object',
    required: ['file'],
    properties: { file: { type: 'string', format: 'binary' } },
  },
}

const IMAGE = {
  type: 'application/x-www-form-urlencoded',
  schema: {
    type: 'object',
    required: ['docker-input'],
    properties: { 'docker-input': { type: 'string' } },
  },
}

/**
 * Takes the archive in while it comes. What is wrong with the form is said at once, in style B and with 200; what
 * is wrong with the archive, by the job (hub-departures 1).
 */
async function uploadArchive({ jobs }: Site, uploads: Uploads, call: Call): Promise<Answer> {
  let events: JobEvent[]
  try {
    const { name, counts } = await uploads.archive(call)
    const info = { filename: name, flist: countsView(counts) }
    events = [
      { status: 'update', message: 'Image ready !', progress: 100 },
      { status: 'info', info },
    ]
  } catch (error) {
    if (error instanceof Refusal && error.answer.status !== 408) return styleB(200, wordsOf(error))
    if (!(error instanceof HubError)) throw error
    events = [{ status: 'error', message: error.message }]
  }
  const jobid = jobs.record(events)
  return bytesAnswer(200, 'application/json', Buffer.from(`${flaskJson({ jobid, status: 'success' })}\n`))
}

async function uploadFlist(uploads: Uploads, call: Call): Promise<Answer> {
  const show = (outcome: Outcome) => pageAnswer(uploadFlistPage(outcome), 200, NOT_KEPT)
  try {
    const { name, counts } = await uploads.flist(call)
    return show({ made: { repository: call.actor().repository, name, counts } })
  } catch (error) {
    return show({ problem: problemOf(error) })
  }
}

async function convert(site: Site, call: Call): Promise<Answer> {
  const show = (outcome: DockerOutcome) => pageAnswer(dockerPage(outcome), 200, NOT_KEPT)
  const body = toUtf8(await readAll(call.request, call.response, MAX_FORM_BYTES))
  const image = new URLSearchParams(body).get('docker-input')?.trim() ?? ''
  try {
    checkFields(new Map([['image', image]]))
    const actor = call.actor()
    const job = site.jobs.start((tell, signal) => convertWithEvents(site, actor, image, tell, { signal }))
    return show({ image, job })
  } catch (error) {
    return show({ image, problem: problemOf(error) })
  }
}
