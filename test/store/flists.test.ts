import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { CorruptError, InvalidInputError } from '../../src/errors.ts'
import { checkStore } from '../../src/store/fsck.ts'
import { SPACES } from '../../src/store/spaces.ts'
import { toHex } from '../../src/util/bytes.ts'
import { chunkOf } from '../suites/chunk-store.ts'
import { noise } from '../doubles/noise.ts'
import { openStore, putFlist, type OpenStore } from './open-store.ts'

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
    assert.equal((await store.flists.census()).flists.length, 1)
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
    assert.deepEqual((await store.flists.census()).flists, [])
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

  it('notices a damaged descriptor and a damaged page', async (t) => {
    const store = await openStore(t)
    for (const number of [1, 2]) {
      const id = await putFlist(store, [number])
      const object = number === 1 ? id : (store.flists.descriptor(id)?.chunks[0] ?? assert.fail())
      const bytes = store.rows.get(SPACES.objects, object) ?? assert.fail()
      bytes[bytes.length - 1] = (bytes.at(-1) ?? 0) ^ 1
      await store.rows.write([{ type: 'put', space: SPACES.objects, key: object, value: bytes }])
      await assert.rejects(store.flists.chunkIds(id), CorruptError)
    }
  })

  it('gives others their turn while it keeps and reads a large one', async (t) => {
    const store = await openStore(t)
    const chunks = Array.from({ length: 20_000 }, (_, number) => chunkOf(number, 20))
    await store.chunks.write(chunks)
    const lease = store.leases.open()
    const bytes = noise(1, 3_000_000)
    let turns = 0
    let isOver = false
    const count = () => {
      turns++
      if (!isOver) setImmediate(count)
    }
    count()
    const ids = chunks.map(({ id }) => id)
    const id = await store.flists.put(
      { format: 'zflist', bytes, chunkIds: [...ids, ...ids], files: 1 },
      lease,
    )
    lease.release()
    assert.equal((await store.flists.chunkIds(id))?.length, 20_000)
    isOver = true
    assert.ok(turns > 60, `only ${turns} turns`)
    assert.equal(store.flists.descriptor(id)?.chunks.length, 3)
    assert.deepEqual((await store.flists.chunkIds(id))?.map(toHex), ids.map(toHex).sort())
  })
})

describe('a sweep', () => {
  const countRows = async ({ rows }: OpenStore, space: string) => {
    let count = 0
    for await (const _ of rows.rows(space)) count++
    return count
  }
  const problemsOf = async (store: OpenStore) => {
    const problems: string[] = []
    await checkStore(store, ({ kind }) => problems.push(kind))
    return problems
  }

  it('drops what no flist names any more, and keeps what another one shares', async (t) => {
    const store = await openStore(t)
    const [a, b] = [await putFlist(store, [1, 2], 'a'), await putFlist(store, [1, 2], 'b')]
    await putFlist(store, [3], 'c')
    await store.flists.delete(a)
    await store.flists.sweep()
    assert.equal(await countRows(store, SPACES.objects), 4) // two descriptors, two pages
    assert.equal(await countRows(store, SPACES.parts), 2)
    assert.deepEqual((await store.flists.chunkIds(b))?.length, 2)
  })

  it('drops nothing while a flist cannot tell what it needs', async (t) => {
    const store = await openStore(t)
    const [a, b] = [await putFlist(store, [1], 'a'), await putFlist(store, [2], 'b')]
    await store.flists.delete(a)
    await store.rows.write([{ type: 'delete', space: SPACES.objects, key: b }])
    const before = await countRows(store, SPACES.parts)
    await store.flists.sweep()
    assert.equal(await countRows(store, SPACES.parts), before)
  })

  it('takes nothing from flists that come while it runs', async (t) => {
    const store = await openStore(t)
    const dead = await Promise.all([1, 2, 3, 4].map((number) => putFlist(store, [number], 'same')))
    const work: Array<Promise<unknown>> = dead.map((id) => store.flists.delete(id))
    for (let number = 1; number < 5; number++) {
      work.push(
        store.flists.sweep(),
        putFlist(store, [number], 'same'),
        putFlist(store, [number, 9], 'other'),
      )
    }
    await Promise.all(work)
    await store.flists.sweep()
    assert.deepEqual(await problemsOf(store), [])
    assert.equal((await store.flists.census()).flists.length, 8)
  })
})
