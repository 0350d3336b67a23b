import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { CorruptError, InvalidInputError } from '../../src/errors.ts'
import { toHex } from '../../src/util/bytes.ts'
import { chunkOf } from '../suites/chunk-store.ts'
import { noise } from '../doubles/noise.ts'
import { openStore, putFlist } from './open-store.ts'

describe('RowFlistStore', () => {
  it('gives back the bytes, the descriptor and the chunks, also after a new start', async (t) => {
    const store = await openStore(t)
    const id = await putFlist(store, [3, 1, 2, 1])
    const { flists } = await store.reopen()
    assert.equal(String(Buffer.from((await flists.read(id)) ?? [])), 'flist 3 1 2 1')
    const descriptor = flists.descriptor(id)
    assert.equal(descriptor?.nChunks, 3)
    assert.equal(descriptor.bytes, 300)
    assert.equal(toHex(descriptor.md5), createHash('md5').update('flist 3 1 2 1').digest('hex'))
    const sorted = [1, 2, 3].map((number) => toHex(chunkOf(number).id)).sort()
    assert.deepEqual((await flists.chunkIds(id))?.map(toHex), sorted)
  })

  it('keeps equal flists once, under one id', async (t) => {
    const store = await openStore(t)
    const ids = await Promise.all([putFlist(store, [1]), putFlist(store, [1])])
    assert.equal(toHex(ids[0]), toHex(ids[1]))
    assert.equal((await store.flists.census()).numbers.length, 1)
  })

  it('keeps a large flist in parts', async (t) => {
    const store = await openStore(t)
    const bytes = noise(1, 1_300_000)
    const lease = store.leases.open()
    const id = await store.flists.put({ format: 'zflist', bytes, chunkIds: [], files: 0 }, lease)
    assert.equal(store.flists.descriptor(id)?.parts.length, 3)
    assert.deepEqual(Buffer.from((await store.flists.read(id)) ?? []), Buffer.from(bytes))
    lease.release()
  })

  it('refuses a flist whose chunk is not here, and names it', async (t) => {
    const store = await openStore(t)
    const lease = store.leases.open()
    const flist = { format: 'zflist', bytes: Buffer.from('x'), chunkIds: [chunkOf(1).id], files: 1 } as const
    await assert.rejects(store.flists.put(flist, lease), (error: Error) => {
      return error instanceof InvalidInputError && error.message.includes(toHex(chunkOf(1).id))
    })
    assert.deepEqual((await store.flists.census()).numbers, [])
  })

  it('answers nothing for an id it does not hold, and after a deletion', async (t) => {
    const store = await openStore(t)
    const id = await putFlist(store, [1])
    await store.flists.delete(id)
    assert.equal(store.flists.descriptor(id), undefined)
    assert.equal(await store.flists.read(id), undefined)
    assert.equal(await store.flists.chunkIds(id), undefined)
    assert.notEqual(store.chunks.info(chunkOf(1).id), undefined, 'its chunks are the collector’s')
    await store.flists.delete(id)
  })

  it('notices a lost part', async (t) => {
    const store = await openStore(t)
    const id = await putFlist(store, [1])
    const [part] = store.flists.partIds(store.flists.descriptor(id) ?? assert.fail())
    await store.chunks.delete([part ?? assert.fail()])
    await assert.rejects(store.flists.read(id), CorruptError)
  })
})
