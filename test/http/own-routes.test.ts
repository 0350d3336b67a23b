import assert from 'node:assert/strict'
import { test } from 'node:test'
import { DiskFullError, InvalidInputError } from '../../src/errors.ts'
import { ADMIN, ALICE, MULTIPART, multipart, publish, startServer } from './harness.ts'
import { fakeNode } from './doubles.ts'

const json = (value: unknown) => ({ headers: ADMIN, body: JSON.stringify(value) })
const ID = 'ab'.repeat(16)

test('chunks go in for the Administrator and out for everybody', async (t) => {
  const { ask } = await startServer(t)
  const path = `/api/v1/chunks/${ID}`
  assert.equal((await ask('GET', path)).status, 404)
  assert.equal((await ask('PUT', path, { body: 'x' })).status, 401)
  const foreign = await ask('PUT', path, { headers: ALICE, body: 'x' })
  assert.deepEqual([foreign.status, JSON.parse(foreign.text).status], [403, 'error'])
  assert.equal((await ask('PUT', path, { headers: ADMIN, body: 'bytes' })).status, 201)
  assert.equal((await ask('PUT', path, { headers: ADMIN, body: 'bytes' })).status, 200)
  assert.equal((await ask('PUT', path, { headers: ADMIN, body: 'x'.repeat(1 << 21) })).status, 413)
  assert.equal((await ask('GET', path)).text, 'bytes')
  assert.equal((await ask('GET', '/api/v1/chunks/zz')).status, 400)
  const other = 'cd'.repeat(32)
  const missing = await ask('POST', '/api/v1/chunks/missing', json({ ids: [ID, other] }))
  assert.deepEqual([missing.status, missing.text], [200, `{"missing":["${other}"]}\n`])
  assert.equal((await ask('POST', '/api/v1/chunks/missing', json({ ids: 'x' }))).status, 400)
  assert.equal(
    (await ask('POST', '/api/v1/chunks/missing', json({ ids: Array(10_001).fill(ID) }))).status,
    413,
  )
})

test('a chunk that does not hash to its id, and a full disk', async (t) => {
  const node = fakeNode()
  let error: Error = new InvalidInputError('the bytes hash to something else')
  Object.assign(node.receiver, { receive: () => Promise.reject(error) })
  const { ask } = await startServer(t, {}, {}, node)
  const put = () => ask('PUT', `/api/v1/chunks/${ID}`, { headers: ADMIN, body: 'x' })
  const wrong = await put()
  assert.deepEqual([wrong.status, wrong.headers['x-hub-error']], [400, 'HUB_INVALID_INPUT'])
  error = new DiskFullError('the disk is full')
  assert.equal((await put()).status, 507)
})

test('below the low-water mark nothing is taken in, also when all of it is known', async (t) => {
  const node = fakeNode()
  node.chunkBytes.set(ID, new Uint8Array(1))
  const flist = JSON.stringify({ fake: true, chunks: [ID], content: [] })
  Object.assign(node.space, { require: () => Promise.reject(new DiskFullError('the disk is full')) })
  const { ask } = await startServer(t, {}, {}, node)
  const form = (filename: string, body: string) => ({
    headers: { ...ADMIN, ...MULTIPART },
    body: multipart([{ name: 'file', filename, body }]),
  })
  const replies = [
    await ask('PUT', `/api/v1/chunks/${ID}`, { headers: ADMIN, body: 'x' }),
    await ask('POST', '/api/flist/me/upload-flist', form('a.flist', flist)),
    await ask('POST', '/api/flist/me/upload', form('a.tar', 'archive')),
  ]
  for (const { status, headers, text } of replies) {
    assert.deepEqual([status, headers['x-hub-error']], [507, 'HUB_DISK_FULL'])
    assert.equal(text, '{"status": "error", "message": "the disk is full"}\n')
  }
  assert.deepEqual(node.repositories.list(), [])
})

test('JSON bodies are bounded in size, depth and shape', async (t) => {
  const { ask } = await startServer(t)
  const gc = (body: string) => ask('POST', '/api/v1/gc', { headers: ADMIN, body })
  assert.equal((await gc('')).status, 200)
  assert.equal((await gc('{"graceS":-1}')).status, 400)
  assert.equal((await gc('[]')).status, 400)
  assert.equal((await gc('{')).status, 400)
  assert.equal((await gc('{"a":'.repeat(40) + '1' + '}'.repeat(40))).status, 413)
  assert.equal((await gc(' '.repeat(300_000))).status, 413)
})

test('a long job tells its progress to who asks, and its failure too', async (t) => {
  const node = fakeNode()
  Object.assign(node.operator, {
    fsck: ({ onProgress }: { onProgress?: (p: object) => void }) => {
      onProgress?.({ done: 1, total: 2, unit: 'chunks' })
      return Promise.resolve({ ok: true })
    },
    scrub: () => Promise.reject(new DiskFullError('no room')),
  })
  const { ask } = await startServer(t, {}, {}, node)
  const headers = { ...ADMIN, Accept: 'application/x-ndjson' }
  const lines = await ask('POST', '/api/v1/fsck', { headers })
  assert.equal(lines.headers['content-type'], 'application/x-ndjson')
  assert.equal(lines.text, '{"progress":{"done":1,"total":2,"unit":"chunks"}}\n{"result":{"ok":true}}\n')
  const failed = await ask('POST', '/api/v1/scrub', { headers })
  assert.equal(failed.text, '{"error":{"code":"HUB_DISK_FULL","message":"no room"}}\n')
  assert.equal((await ask('POST', '/api/v1/fsck', { headers: ADMIN })).text, '{"ok":true}\n')
  assert.equal((await ask('POST', '/api/v1/scrub', { headers: ADMIN })).status, 507)
  assert.equal((await ask('POST', '/api/v1/backup', json({ directory: '/tmp/x' }))).status, 403)
})

test('tokens are made for the Administrator alone', async (t) => {
  const { ask } = await startServer(t)
  assert.equal((await ask('GET', '/api/v1/tokens')).status, 401)
  assert.equal((await ask('GET', '/api/v1/tokens', { headers: ALICE })).status, 403)
  assert.equal((await ask('GET', '/api/v1/tokens', { headers: ADMIN })).text, '{"items":[],"next":null}\n')
  const made = await ask('POST', '/api/v1/tokens', json({ user: 'bob' }))
  assert.deepEqual([made.status, JSON.parse(made.text).token], [201, 'sig-bob'])
  assert.equal((await ask('POST', '/api/v1/tokens', json({ user: '..' }))).status, 400)
  assert.equal((await ask('POST', '/api/v1/tokens', json({}))).status, 400)
  assert.equal((await ask('DELETE', '/api/v1/tokens/bob', { headers: ADMIN })).status, 404)
})

test('info, status, metrics and the description', async (t) => {
  const { node, ask } = await startServer(t)
  await publish(node, 'alice', 'a.flist')
  const info = JSON.parse((await ask('GET', '/api/v1/info/alice/a')).text) as Record<string, unknown>
  assert.deepEqual([info['name'], info['type'], info['conflicts']], ['a.flist', 'regular', 0])
  assert.equal((await ask('GET', '/api/v1/info/alice/b')).status, 404)
  assert.equal((await ask('GET', '/api/v1/status')).text, '{"version":"0"}\n')
  assert.match((await ask('GET', '/metrics')).text, /^zhub_http_answers_total{status="200"} \d+$/m)
  assert.equal(
    (await ask('GET', '/api/v1/repositories')).text,
    '{"items":[{"name":"alice","held":true,"flists":1,"missingFlists":0,"missingChunks":0,"missingBytes":0}],"next":null}\n',
  )
  const description = JSON.parse((await ask('GET', '/api/v1/openapi.json')).text) as {
    paths: Record<string, Record<string, { security?: unknown }>>
  }
  assert.ok(description.paths['/api/flist/me/upload']?.['post']?.security)
  assert.ok(description.paths['/api/v1/openapi.json'])
  assert.equal(description.paths['/api/flist/{repository}']?.['get']?.security, undefined)
})
