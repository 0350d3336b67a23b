import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InvalidInputError, RateLimitedError } from '../../src/errors.ts'
import { Jobs, type Tell } from '../../src/http/jobs.ts'
import { toUtf8 } from '../../src/util/bytes.ts'
import { HOUR_MS } from '../../src/util/units.ts'
import { fakeNode } from './doubles.ts'
import { ALICE, startServer } from './harness.ts'

const NEVER = new AbortController().signal

function jobs(clock: () => number = () => 0): Jobs {
  return new Jobs(fakeNode().log, clock)
}

async function read(all: Jobs, id: string): Promise<object[]> {
  const events = all.events(id, NEVER)
  assert.ok(events, 'an unknown job')
  const texts: string[] = []
  for await (const bytes of events) texts.push(toUtf8(bytes))
  return texts.map((text) => {
    const [, json = ''] = /^data: (.*)\n\n$/.exec(text) ?? []
    return JSON.parse(json) as object
  })
}

test('early and late readers get every event, one beside the other', async () => {
  const all = jobs()
  const waiting: Array<() => void> = []
  const id = all.start(async (tell) => {
    tell({ status: 'update', message: 'one', progress: 1 })
    await new Promise<void>((resolve) => waiting.push(resolve))
    tell({ status: 'info', info: { ready: true } })
  })
  const early = [read(all, id), read(all, id)]
  waiting[0]?.()
  const expected = [
    { status: 'update', message: 'one', progress: 1 },
    { status: 'info', info: { ready: true } },
  ]
  for (const events of await Promise.all(early)) assert.deepEqual(events, expected)
  assert.deepEqual(await read(all, id), expected)
})

test('a job is known for an hour after its end', async () => {
  let nowMs = 0
  const all = jobs(() => nowMs)
  const id = all.record([{ status: 'error', message: 'no' }])
  nowMs = HOUR_MS - 1
  assert.deepEqual(await read(all, id), [{ status: 'error', message: 'no' }])
  nowMs = HOUR_MS
  assert.equal(all.events(id, NEVER), undefined)
})

test('what work throws is its last event; what nobody raised on purpose stays in the log', async () => {
  const all = jobs()
  const told = all.start(() => Promise.reject(new InvalidInputError('no such thing')))
  const bug = all.start(() => Promise.reject(new Error('a secret of ours')))
  assert.deepEqual(await read(all, told), [{ status: 'error', message: 'no such thing' }])
  assert.deepEqual(await read(all, bug), [{ status: 'error', message: 'internal server error' }])
})

test('events and jobs are bounded: a flood of news is cut, the oldest that ended goes', async () => {
  const all = jobs()
  const flood = all.start(async (tell) => {
    for (let at = 0; at < 5000; at++) tell({ status: 'update', message: 'x'.repeat(5000), progress: 1 })
    tell({ status: 'info', info: {} })
  })
  const events = await read(all, flood)
  assert.equal(events.length, 1025)
  assert.ok(JSON.stringify(events[0]).length < 1200)
  assert.deepEqual(events.at(-1), { status: 'info', info: {} })
  const ids = Array.from({ length: 300 }, () => all.record([]))
  assert.equal(all.events(flood, NEVER), undefined)
  assert.equal(ids.filter((id) => all.events(id, NEVER) !== undefined).length, 256)
})

test('too many at once are refused; a stop ends all and tells the listeners', async () => {
  const all = jobs()
  const work = (_: Tell, signal: AbortSignal) =>
    new Promise<void>((_resolve, reject) => {
      signal.addEventListener('abort', () => reject(signal.reason as Error))
    })
  const ids = Array.from({ length: 32 }, () => all.start(work))
  assert.throws(() => all.start(work), RateLimitedError)
  const listening = read(all, ids[0] ?? '')
  await all.stop()
  assert.deepEqual(await listening, [{ status: 'error', message: 'the node is stopping' }])
})

test('over the wire: an unknown job in style B; an upload of the form has a job that anybody reads, twice', async (context) => {
  const { ask } = await startServer(context)
  const unknown = await ask('GET', '/listen/nope')
  assert.equal(unknown.status, 404)
  assert.equal(unknown.text, '{"message":"job id not found","status":"error"}\n')
  const noFile = await ask('POST', '/upload', { headers: ALICE })
  assert.equal(noFile.status, 200)
  assert.equal(noFile.text, '{"message":"no file found","status":"error"}\n')
  const body =
    '--b\r\nContent-Disposition: form-data; name="file"; filename="a.tar.gz"\r\n\r\nbytes\r\n--b--\r\n'
  const headers = { ...ALICE, 'Content-Type': 'multipart/form-data; boundary=b' }
  const { text } = await ask('POST', '/upload', { headers, body })
  const { jobid, status } = JSON.parse(text) as { jobid: string; status: string }
  assert.equal(status, 'success')
  const first = await ask('GET', `/listen/${jobid}`)
  assert.equal(first.headers['content-type'], 'text/event-stream; charset=utf-8')
  assert.match(
    first.text,
    /^data: \{"status": "update", "message": "Image ready !", "progress": 100\}\n\ndata: /,
  )
  assert.match(first.text, /"filename": "a\.flist"/)
  assert.equal((await ask('GET', `/listen/${jobid}`)).text, first.text)
})
