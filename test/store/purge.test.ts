import assert from 'node:assert/strict'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ConflictError } from '../../src/errors.ts'
import { checkStore } from '../../src/store/fsck.ts'
import { purgeFlist } from '../../src/store/purge.ts'
import { RowFlistStore } from '../../src/store/row-flist-store.ts'
import { toHex } from '../../src/util/bytes.ts'
import { chunkOf, idsOf } from '../suites/chunk-store.ts'
import { openStore, putFlist, type OpenStore } from './open-store.ts'

async function problemsOf(store: OpenStore): Promise<string[]> {
  const found: string[] = []
  const decode = () => new Uint8Array() // these chunks are nothing that decodes
  await checkStore({ ...store, decode }, ({ kind, detail }) => {
    if (kind !== 'plain-wrong') found.push(`${kind}: ${detail}`)
  })
  return found
}

/** Every file of a folder, as one. */
async function allBytes(folder: string): Promise<Buffer> {
  const names = await readdir(folder)
  return Buffer.concat(await Promise.all(names.map((name) => readFile(join(folder, name)))))
}

describe('a purge', () => {
  it('frees what nothing else has, at once, and leaves the rest whole', async (t) => {
    const store = await openStore(t)
    const secret = await putFlist(store, [1, 2], 'secret')
    const other = await putFlist(store, [2, 3], 'other')
    await store.chunks.write([chunkOf(9)]) // nobody's: the collector's in its time
    const forgotten: string[] = []
    const onDeleted = (ids: readonly Uint8Array[]) => void forgotten.push(...ids.map(toHex))
    const purged = await purgeFlist({ ...store, onDeleted }, secret)
    assert.deepEqual({ chunks: purged?.chunks, kept: purged?.kept }, { chunks: 2, kept: 1 }) // 1, and its file
    assert.equal(store.flists.descriptor(secret), undefined)
    assert.equal(String(Buffer.from((await store.flists.read(other)) ?? [])), 'other 2 3')
    const held = await idsOf(store.chunks)
    for (const number of [2, 3, 9]) assert.ok(held.includes(toHex(chunkOf(number).id)), String(number))
    assert.ok(!held.includes(toHex(chunkOf(1).id)))
    assert.ok(forgotten.includes(toHex(chunkOf(1).id)))
    assert.deepEqual(await problemsOf(store), [])
    assert.equal(await purgeFlist(store, secret), undefined)
  })

  it('leaves no byte of it on the disk', async (t) => {
    const store = await openStore(t)
    const marker = Buffer.from('-----BEGIN RSA PRIVATE KEY-----')
    await putFlist(store, [5], 'before')
    const secret = await putFlist(store, [1], marker.toString())
    await putFlist(store, [6], 'after')
    const folder = join(store.folder, 'chunks')
    assert.ok((await allBytes(folder)).includes(marker))
    await purgeFlist(store, secret)
    assert.ok(!(await allBytes(folder)).includes(marker))
    assert.ok(!(await allBytes(join(store.folder, 'index'))).includes(marker))
    const again = await store.reopen()
    assert.deepEqual(await problemsOf(again), [])
  })

  it('leaves what an upload holds; of two that share a chunk the second takes it along', async (t) => {
    const store = await openStore(t)
    const [one, two] = [await putFlist(store, [1, 2], 'one'), await putFlist(store, [2, 3], 'two')]
    const lease = store.leases.open()
    lease.holdChunks([chunkOf(1).id])
    assert.equal((await purgeFlist(store, one))?.kept, 2)
    assert.equal((await purgeFlist(store, two))?.kept, 0)
    assert.deepEqual(await idsOf(store.chunks), [toHex(chunkOf(1).id)])
    lease.release()
    assert.deepEqual(await problemsOf(store), [])
  })

  it('leaves what somebody takes a hold of at the last moment', async (t) => {
    const store = await openStore(t)
    const secret = await putFlist(store, [1], 'secret')
    const lease = store.leases.open()
    const chunks = {
      info: (id: Uint8Array) => store.chunks.info(id),
      erase: (ids: readonly Uint8Array[], isUnwanted: (id: Uint8Array) => boolean) => {
        const erasing = store.chunks.erase(ids, isUnwanted)
        lease.holdChunks([chunkOf(1).id])
        return erasing
      },
    }
    assert.equal((await purgeFlist({ ...store, chunks }, secret))?.kept, 1)
    assert.deepEqual(await idsOf(store.chunks), [toHex(chunkOf(1).id)])
    lease.release()
  })

  it('goes on where it broke off: the flist is found until all of it has gone', async (t) => {
    const store = await openStore(t)
    const secret = await putFlist(store, [1, 2, 3], 'secret')
    const stop = new Error('the power failed')
    const chunks = {
      info: (id: Uint8Array) => store.chunks.info(id),
      erase: async (ids: readonly Uint8Array[]) => {
        await store.chunks.erase(ids.slice(0, 2), () => true)
        throw stop
      },
    }
    await assert.rejects(purgeFlist({ ...store, chunks }, secret), (error) => error === stop)
    assert.notEqual(store.flists.numberOf(secret), undefined)
    const again = await store.reopen()
    assert.equal((await purgeFlist(again, secret))?.chunks, 2)
    assert.deepEqual([await idsOf(again.chunks), await problemsOf(again)], [[], []])
  })

  it('is for ever: nobody puts the same flist again, not even one who was at it', async (t) => {
    const store = await openStore(t)
    let isPurged = false
    const flists = new RowFlistStore(store.rows, store.chunks, () => isPurged)
    const own = { ...store, flists }
    const putting = putFlist(own, [1], 'secret')
    isPurged = true
    const id = await putting.catch((error: unknown) => error)
    if (id instanceof Uint8Array) assert.ok(await purgeFlist(own, id))
    await assert.rejects(putFlist(own, [1], 'secret'), ConflictError)
    assert.deepEqual(await problemsOf(own), [])
  })
})
