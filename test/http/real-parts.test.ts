/** The routes over the parts they are made for: real flists, stores in memory, signed operations. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { createChunkCodec } from '../../src/format/chunk-codec.ts'
import { FlistInspector } from '../../src/flist/inspector.ts'
import { openIdentity } from '../../src/repo/identity.ts'
import { openOwnRealm } from '../../src/repo/own-realm.ts'
import { openRepositories } from '../../src/repo/repositories.ts'
import { Tokens } from '../../src/repo/tokens.ts'
import { RowLeases } from '../../src/store/leases.ts'
import { MemoryChunkStore } from '../../src/store/memory-chunk-store.ts'
import { MemoryRowStore } from '../../src/store/memory-row-store.ts'
import { RowFlistStore } from '../../src/store/row-flist-store.ts'
import { recordedData } from '../doubles/golden.ts'
import { fakeNode } from './doubles.ts'
import { MULTIPART, multipart, startServer } from './harness.ts'

const golden = recordedData('flist-v1', 'a')

async function realNode(t: TestContext) {
  const directory = await mkdtemp(join(tmpdir(), 'zhub-'))
  const inspector = new FlistInspector({ temporaryDirectory: directory })
  t.after(async () => {
    await inspector.stop()
    await rm(directory, { recursive: true, force: true })
  })
  const clock = Date.now
  const rows = new MemoryRowStore()
  const identity = await openIdentity(rows, { directory: join(directory, 'keys'), clock })
  const { realm } = await openOwnRealm(rows, identity, { directory: join(directory, 'keys'), clock })
  const chunks = new MemoryChunkStore()
  return {
    ...fakeNode(),
    repositories: await openRepositories({ rows, identity, clock, authority: () => realm.governance }),
    flists: new RowFlistStore(rows, chunks),
    chunks,
    leases: new RowLeases(rows, clock),
    inspector,
    codec: await createChunkCodec(),
    isMember: ({ host }: { host: string }) => host === 'hub.example.test',
    tokens: new Tokens({ rows, clock }, { seed: identity.tokenSeed, isOwnSeed: true }),
  }
}

test(
  'a flist of the reference tools goes up, and comes back in every form',
  { skip: golden.skip },
  async (t) => {
    const node = await realNode(t)
    const { ask } = await startServer(t, {}, {}, node as never)
    const bytes = await readFile(join(golden.path, 'a.flist'))
    const { token } = await node.tokens.issue('alice')
    const headers = { Authorization: `bearer ${token}` }
    const upload = () =>
      ask('POST', '/api/flist/me/upload-flist', {
        headers: { ...headers, ...MULTIPART },
        body: multipart([{ name: 'file', filename: 'a.flist', body: bytes }]),
      })

    const early = await upload()
    assert.deepEqual(
      [early.status, early.text],
      [
        500,
        '{"status": "error", "message": "unauthorized upload, contents is not fully present on backend"}\n',
      ],
    )
    for (const id of await readdir(join(golden.path, 'chunks'))) {
      await node.chunks.write([
        { id: Buffer.from(id, 'hex'), bytes: await readFile(join(golden.path, 'chunks', id)) },
      ])
    }
    const done = await upload()
    assert.equal(done.status, 200, done.text)
    const { payload } = JSON.parse(done.text) as { payload: { files: { response: { regular: number } } } }

    const dump = await ask('GET', '/api/flist/alice/a')
    const recorded = JSON.parse(await readFile(join(golden.path, 'zflist-find.json'), 'utf8')) as {
      response: object
    }
    assert.deepEqual(JSON.parse(dump.text), recorded.response)
    assert.deepEqual(payload.files.response, recorded.response)

    const served = await ask('GET', '/alice/a.flist')
    const md5 = createHash('md5').update(served.body).digest('hex')
    assert.equal((await ask('GET', '/alice/a.flist.md5')).text, `${md5}\n`)
    const metadata = JSON.parse((await ask('GET', '/api/flist/alice/a/metadata')).text) as Record<
      string,
      unknown
    >
    assert.ok('backend' in metadata)

    const tree = (await ask('GET', '/api/v1/tree/alice/a')).text.trimEnd().split('\n')
    const entries = tree.map((line) => JSON.parse(line) as { path: string; type: string; size: number })
    assert.equal(entries[0]?.path, '')
    assert.equal(entries.filter(({ type }) => type === 'file').length, payload.files.response.regular)
    for (const { path, size } of entries.filter(({ type }) => type === 'file').slice(0, 20)) {
      const file = await ask('GET', `/api/v1/file/alice/a?path=${encodeURIComponent(path)}`)
      assert.deepEqual([path, file.status, file.body.length], [path, 200, size])
    }
    assert.equal((await ask('GET', '/api/v1/file/alice/a?path=none')).status, 404)
    assert.equal((await ask('GET', '/api/v1/file/alice/a')).status, 400)
    const tar = await ask('GET', '/api/v1/tar/alice/a')
    assert.equal(tar.headers['content-type'], 'application/x-tar')
    assert.equal(tar.body.length % 512, 0)

    const info = JSON.parse((await ask('GET', '/api/v1/info/alice/a')).text) as { flist: { served: object } }
    assert.deepEqual(info.flist.served, { size: served.body.length, md5 })
    const history = JSON.parse((await ask('GET', '/api/v1/history/alice/a')).text) as {
      items: Array<{ op: string }>
    }
    assert.equal(history.items.length, 1)
    const hash8 = history.items[0]?.op.slice(0, 8)
    assert.deepEqual((await ask('GET', `/alice/a~${hash8}.flist`)).body, served.body)

    assert.equal((await ask('DELETE', '/api/flist/me/a', { headers })).text, '{"status": "success"}\n')
    assert.equal((await ask('GET', '/alice/a.flist')).status, 404)
    assert.deepEqual((await ask('GET', `/alice/a~${hash8}.flist`)).body, served.body)
  },
)
