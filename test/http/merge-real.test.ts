/** Merging over the parts it is made for: real flists, chunks and operations in memory. */
import assert from 'node:assert/strict'
import { after, test } from 'node:test'
import { FlistInspector } from '../../src/flist/inspector.ts'
import { FlistMerger } from '../../src/flist/merger.ts'
import { createChunkCodec } from '../../src/format/chunk-codec.ts'
import { RowLeases } from '../../src/store/leases.ts'
import { MemoryChunkStore } from '../../src/store/memory-chunk-store.ts'
import { MemoryRowStore } from '../../src/store/memory-row-store.ts'
import { RowFlistStore } from '../../src/store/row-flist-store.ts'
import { directory, flistOf, leaf } from '../doubles/flist-tree.ts'
import { temporaryFolder } from '../doubles/temporary-folder.ts'
import { fakeNode } from './doubles.ts'
import { ALICE, MULTIPART, multipart, startServer } from './harness.ts'

const { path: temporaryDirectory } = temporaryFolder()
const inspector = new FlistInspector({ temporaryDirectory })
const merger = new FlistMerger({ temporaryDirectory })
after(() => Promise.all([inspector.stop(), merger.stop()]))

test('two uploaded flists become one, whose content is served from here; a broken one is named', async (t) => {
  const rows = new MemoryRowStore()
  const chunks = new MemoryChunkStore()
  const codec = await createChunkCodec()
  const publicChunks = { namespace: 'default', host: 'here.example', port: 9900 }
  const flists = new RowFlistStore(rows, chunks)
  const leases = new RowLeases(rows, Date.now)
  const isMember = ({ host }: { host: string }) => host === publicChunks.host
  const node = { ...fakeNode(), flists, chunks, leases, inspector, merger, codec, isMember }
  const { ask } = await startServer(t, { publicChunks }, {}, node as never)

  const upload = async (name: string, text: string, backend: string) => {
    const { stored, id, key } = codec.encode(Buffer.from(text))
    await chunks.write([{ id, bytes: stored }])
    const content = { kind: 'file', blocks: [{ id, key }] } as const
    const root = directory('', [directory('etc', [leaf(name, content, text.length)])])
    const body = multipart([{ name: 'file', filename: `${name}.flist`, body: flistOf(root, { backend }) }])
    const headers = { ...ALICE, ...MULTIPART }
    assert.equal((await ask('POST', '/api/flist/me/upload-flist', { headers, body })).status, 200)
  }
  const foreign = '{"namespace": "default", "host": "other.example", "port": 9900}'
  await upload('one', 'first', foreign)
  await upload('two', 'second', foreign)

  const merge = (sources: string[]) =>
    ask('POST', '/api/flist/me/merge/both', { headers: ALICE, body: JSON.stringify(sources) })
  assert.equal((await merge(['alice/one', 'alice/two'])).text, '{"status": "success"}\n')
  const dump = JSON.parse((await ask('GET', '/api/flist/alice/both')).text) as { content: unknown }
  assert.deepEqual(dump.content, [
    { size: 4096, path: '/etc' },
    { size: 5, path: '/etc/one' },
    { size: 6, path: '/etc/two' },
  ])
  const metadata = JSON.parse((await ask('GET', '/api/flist/alice/both/metadata')).text) as object
  assert.deepEqual(metadata, { backend: publicChunks })

  const bytes = Buffer.from('not a flist at all')
  const lease = leases.open()
  const id = await flists.put({ format: 'zflist', bytes, chunkIds: [], files: 0 }, lease)
  const target = { kind: 'file', flist: id, sizeBytes: bytes.length, md5: '0'.repeat(32) } as const
  const user = { sub: 'alice', idp: 'token' } as const
  await node.repositories.apply('alice', [{ type: 'put', name: 'bad.flist', target }], user)
  const refused = await merge(['alice/both', 'alice/bad'])
  assert.equal(refused.status, 400)
  assert.match(refused.text, /"alice\/bad\.flist: not a flist: /)
  assert.equal((await ask('GET', '/api/flist/alice/both')).status, 200)
})
