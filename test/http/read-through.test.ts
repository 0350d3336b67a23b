/** Flists and chunks that are on other nodes: fetched when somebody asks, and what the headers say meanwhile. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { UnavailableError } from '../../src/errors.ts'
import { FlistReader, readThroughChunks } from '../../src/http/flist-reader.ts'
import { ALONE } from '../../src/sync/replicated.ts'
import { toHex } from '../../src/util/bytes.ts'
import { FakeFlists, FakePeers, fakeNode } from './doubles.ts'
import { ADMIN, publish, startServer } from './harness.ts'

/** A name whose flist only a peer has. */
async function elsewhere(t: Parameters<typeof startServer>[0]) {
  const fake = fakeNode()
  const peers = new FakePeers(fake.flists)
  const node = { ...fake, replicated: peers }
  const server = await startServer(t, {}, {}, node)
  await publish(node, 'alice', 'a.flist')
  const { target } = node.repositories.find('alice', 'a.flist') ?? {}
  assert.ok(target?.kind === 'file')
  const bytes = await node.flists.read(target.flist)
  assert.ok(bytes)
  await node.flists.delete(target.flist)
  return { ...server, node, peers, id: target.flist, bytes }
}

const FORMS = [
  '/alice/a.flist',
  '/alice/a.flist.md5',
  '/alice/a.txt',
  '/alice/a.json',
  '/alice/a.md',
  '/api/flist/alice/a.flist',
  '/api/flist/alice/a/light',
  '/api/flist/alice/a/metadata',
  '/api/v1/info/alice/a',
  '/api/v1/tree/alice/a',
  '/api/v1/tar/alice/a',
]

test('a flist that is on a peer is fetched by whoever asks first, in every form', async (t) => {
  for (const path of FORMS) {
    const { ask, peers, id, bytes } = await elsewhere(t)
    peers.flists.set(toHex(id), bytes)
    const first = await ask('GET', path)
    assert.deepEqual([path, first.status], [path, 200])
    assert.deepEqual(peers.fetched, [toHex(id)])
    assert.equal((await ask('GET', path)).status, 200)
    assert.equal(peers.fetched.length, 1)
  }
})

test('one that no peer has is not there yet: 503, and when to come again, never 404', async (t) => {
  const { ask } = await elsewhere(t)
  for (const path of FORMS) {
    const { status, headers, text } = await ask('GET', path)
    assert.deepEqual([path, status, headers['retry-after']], [path, 503, '1'])
    assert.match(text, /no peer has this flist/)
  }
  const merge = await ask('POST', '/api/flist/me/merge/b.flist', {
    headers: ADMIN,
    body: JSON.stringify(['alice/a.flist']),
  })
  assert.deepEqual([merge.status, merge.headers['retry-after']], [503, '1'])
  assert.equal((await ask('GET', '/alice/b.flist')).status, 404)
})

test('the headers say how things are when an answer goes out, also one that was kept', async (t) => {
  const { ask, node, peers, id, bytes } = await elsewhere(t)
  peers.flists.set(toHex(id), bytes)
  const said = async (path: string) => {
    const { headers } = await ask('GET', path)
    return ['x-hub-complete', 'x-hub-conflict', 'x-hub-frontier-age'].map((name) => headers[name])
  }
  const paths = ['/alice/a.flist', '/alice/a.flist.md5', '/api/flist/alice/a/light']
  for (const path of paths) assert.deepEqual(await said(path), ['false', '0', '0'])
  peers.complete.add(toHex(id))
  peers.ageS = 12.7
  for (const path of paths) assert.deepEqual(await said(path), ['true', '0', '12'])
  peers.complete.clear()
  for (const path of paths) assert.deepEqual(await said(path), ['false', '0', '12'])
  const etag = `"${createHash('md5')
    .update((await ask('GET', '/alice/a.flist')).body)
    .digest('hex')}"`
  const same = await ask('GET', '/alice/a.flist', { headers: { 'If-None-Match': etag } })
  assert.deepEqual([same.status, same.headers['x-hub-complete']], [304, 'false'])
  assert.equal(node.inspector.renderings, 1)
})

test('nobody waits longer than the deadline, and who leaves is not told that it is late', async (t) => {
  const alive = setInterval(() => {}, 1000) // the deadline itself keeps no process alive
  t.after(() => clearInterval(alive))
  const never = (_: unknown, { signal }: { signal?: AbortSignal } = {}) =>
    new Promise<never>((_, reject) => {
      signal?.addEventListener('abort', () => reject(signal.reason as Error))
    })
  const replicated = { isShared: true, fetchFlist: never, chunks: { get: never } }
  const purges = { isPurged: () => false }
  const reader = new FlistReader({ flists: new FakeFlists(), replicated, purges }, 5)
  await assert.rejects(reader.read(new Uint8Array(32)), (error: Error) => {
    return error instanceof UnavailableError && /none of them has sent it/.test(error.message)
  })
  const chunks = readThroughChunks({ read: () => undefined }, replicated, 5)
  await assert.rejects(chunks.get(new Uint8Array(16)), UnavailableError)
  const leaving = new AbortController()
  const patient = new FlistReader({ flists: new FakeFlists(), replicated, purges })
  const reading = patient.read(new Uint8Array(32), { signal: leaving.signal })
  const reason = new Error('gone')
  leaving.abort(reason)
  await assert.rejects(reading, (error) => error === reason)
})

test('a chunk comes from this disk, else from a peer; a node alone asks nobody', async () => {
  const peers = new FakePeers(new FakeFlists())
  const [here, there] = [new Uint8Array(16).fill(1), new Uint8Array(16).fill(2)]
  peers.blocks.set(toHex(there), Buffer.from('from a peer'))
  const local = { read: (id: Uint8Array) => (id === here ? Buffer.from('from here') : undefined) }
  const chunks = readThroughChunks(local, peers)
  assert.deepEqual(await chunks.get(here), Buffer.from('from here'))
  assert.deepEqual(await chunks.get(there), Buffer.from('from a peer'))
  assert.equal(await chunks.get(new Uint8Array(16)), undefined)
  assert.equal(await readThroughChunks(local, ALONE).get(there), undefined)
  const purges = { isPurged: () => false }
  const alone = new FlistReader({ flists: new FakeFlists(), replicated: ALONE, purges })
  await assert.rejects(alone.read(new Uint8Array(32)), /source not found/)
})
