import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ALICE, MULTIPART, multipart, publish, startServer } from './harness.ts'

const RUNS = Number(process.env['ZHUB_FUZZ_HTTP_RUNS'] ?? 150)

/** What the standard API says with status 500 on purpose. */
const CONTRACT_500 = new Set(['no file found', 'no file selected', 'this file is not allowed'])

test('no path and no header brings the server out of its answers', async (t) => {
  const { node, ask } = await startServer(t)
  await publish(node, 'alice', 'a.flist')
  const segment = fc.oneof(
    fc.constantFrom('api', 'flist', 'me', 'alice', 'tags', 'a.flist', 'light', '__proto__', '..', '%2e%2e', '%2F', '%', '%ff'),
    fc.string().map(encodeURIComponent),
    fc.string({ unit: fc.constantFrom(...'!"#$&\'()*+,-./:;<=>@[\\]^_`{|}~%?') }),
  ) // prettier-ignore
  const method = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'INFO', 'PATCH')
  const header = fc.string({ unit: fc.constantFrom(...'bearer abc.:;="%éÿ,-0') })
  await fc.assert(
    fc.asyncProperty(method, fc.array(segment, { maxLength: 6 }), header, async (verb, segments, value) => {
      const path = `/${segments.join('/')}`.replace(/[\s#]/g, '')
      const headers = { Authorization: value, Cookie: value, Range: value, 'X-Original-Name': value }
      const reply = await ask(verb, path, { headers })
      assert.ok(reply.status >= 200 && reply.status < 500, `${verb} ${path}: ${reply.status} ${reply.text}`)
      assert.equal(reply.headers['access-control-allow-origin'], '*')
    }),
    { numRuns: RUNS },
  )
})

test('no form brings it out of them either, and a broken one stores nothing', async (t) => {
  const { node, ask } = await startServer(t)
  const whole = multipart([
    { name: 'metadata-a', body: 'x' },
    { name: 'file', filename: 'a.tar.gz', body: 'archive' },
    { name: 'metadata-b', body: 'y' },
  ])
  const mutation = fc.record({
    at: fc.nat(whole.length - 1),
    cut: fc.nat(40),
    insert: fc.uint8Array({ maxLength: 20 }),
  })
  await fc.assert(
    fc.asyncProperty(fc.array(mutation, { minLength: 1, maxLength: 3 }), async (mutations) => {
      let body = whole
      for (const { at, cut, insert } of mutations) {
        body = Buffer.concat([body.subarray(0, at), insert, body.subarray(at + cut)])
      }
      const before = node.repositories.applied.length
      const reply = await ask('POST', '/api/flist/me/upload', { headers: { ...ALICE, ...MULTIPART }, body })
      const { message = '' } = JSON.parse(reply.text) as { message?: string }
      assert.ok(reply.status < 500 || CONTRACT_500.has(message), reply.text)
      if (reply.status !== 200) assert.equal(node.repositories.applied.length, before)
    }),
    { numRuns: RUNS },
  )
})
