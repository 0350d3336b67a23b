import assert from 'node:assert/strict'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { PassThrough } from 'node:stream'
import { test, type TestContext } from 'node:test'
import { readBody } from '../../src/http/body.ts'
import { Refusal } from '../../src/http/errors.ts'
import { UploadPace } from '../../src/http/upload-pace.ts'
import { KIB } from '../../src/util/units.ts'

const turn = () => new Promise<void>((resolve) => setImmediate(resolve))

/** A sender of so many bytes each second, for `seconds` of a clock of its own; how its body ended. */
async function sendAt(t: TestContext, bytesPerS: number, seconds: number, pace: UploadPace): Promise<string> {
  t.mock.timers.enable({ apis: ['setInterval'] })
  let nowMs = 0
  const body = Object.assign(new PassThrough({ highWaterMark: 1024 * KIB }), { headers: {} })
  const options = { floorBytesPerS: pace.floorBytesPerS, clock: () => nowMs }
  const pieces = readBody(body as unknown as IncomingMessage, {} as ServerResponse, 1e9, options)
  const ended = (async () => {
    for await (const _ of pieces);
    return 'whole'
  })().catch((error: unknown) => (error instanceof Refusal ? String(error.answer.status) : String(error)))
  for (let second = 0; second < seconds; second++) {
    await turn()
    nowMs += 1000
    t.mock.timers.tick(1000)
    await turn()
    if (bytesPerS > 0 && !body.writableEnded) body.write(Buffer.alloc(bytesPerS))
    await turn()
  }
  body.end()
  const result = await ended
  t.mock.timers.reset()
  return result
}

const held = new Promise<void>(() => {})

test('a sender may be slow while nobody waits for its turn, and not while somebody does', async (t) => {
  const alone = new UploadPace(2)
  const busy = new UploadPace(2)
  for (let uploads = 0; uploads < 2; uploads++) void alone.run(() => held)
  for (let uploads = 0; uploads < 3; uploads++) void busy.run(() => held)
  assert.equal(await sendAt(t, 64 * KIB, 60, alone), 'whole')
  assert.equal(await sendAt(t, 64 * KIB, 60, busy), '408')
  assert.equal(await sendAt(t, 300 * KIB, 60, busy), 'whole')
  assert.equal(await sendAt(t, 0, 8, busy), 'whole')
  for (const pace of [alone, busy]) assert.equal(await sendAt(t, 0, 20, pace), '408')
})

test('an upload that ended, well or not, makes nobody hurry', async () => {
  const pace = new UploadPace(1)
  const before = pace.floorBytesPerS()
  await pace.run(() => Promise.resolve())
  await assert.rejects(pace.run(() => Promise.reject(new Error('broken'))))
  void pace.run(() => held)
  assert.equal(pace.floorBytesPerS(), before)
  void pace.run(() => held)
  assert.ok(pace.floorBytesPerS() > before)
})
