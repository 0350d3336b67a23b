/** The contract of `ChunkStore` with `KnownContent`. Every implementation passes all of it; there are no skips. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it, type TestContext } from 'node:test'
import { CorruptError } from '../../src/errors.ts'
import { blake2b128, blake2b256 } from '../../src/format/blake2b.ts'
import type { Chunk, ChunkStore, KnownContent } from '../../src/store/chunk-store.ts'
import { toHex } from '../../src/util/bytes.ts'

export type Store = ChunkStore & KnownContent
export type OpenStore = (t: TestContext, clock: () => number) => Promise<Store>

/** A chunk of `length` bytes that only its number decides. */
export function chunkOf(
  number: number,
  length = 100,
  idBytes: 16 | 32 = 16,
): Chunk & { readonly plainKey: Uint8Array } {
  const bytes = Buffer.alloc(length, createHash('sha512').update(String(number)).digest())
  const id = idBytes === 16 ? blake2b128(bytes) : blake2b256(bytes)
  return { id, bytes, plainKey: blake2b128(Buffer.from(`plain ${number}`)) }
}

export async function idsOf(store: ChunkStore, after?: Uint8Array): Promise<string[]> {
  const ids: string[] = []
  for await (const [id] of store.entries(after)) ids.push(toHex(id))
  return ids
}

export function testChunkStore(name: string, openAt: OpenStore): void {
  const open = (t: TestContext) => openAt(t, Date.now)

  describe(`${name} is a ChunkStore`, () => {
    it('keeps its own copy of what it was given', async (t) => {
      const store = await open(t)
      const { id, bytes } = chunkOf(1)
      const given = Uint8Array.from(bytes)
      await store.write([{ id, bytes: given }])
      given.fill(9)
      assert.deepEqual([...(store.read(id) ?? [])], [...bytes])
      store.read(id)?.fill(7)
      assert.deepEqual([...(store.read(id) ?? [])], [...bytes])
    })

    it('takes views of shared memory, which the caller uses again afterwards', async (t) => {
      const store = await open(t)
      const { id, bytes } = chunkOf(2, 5000)
      const shared = new Uint8Array(new SharedArrayBuffer(6000), 500, 5000)
      shared.set(bytes)
      await store.write([{ id, bytes: shared }])
      shared.fill(0)
      assert.deepEqual(Buffer.from(store.read(id) ?? []), Buffer.from(bytes))
    })

    it('says what it knows of a chunk, of ids of 16 and of 32 bytes, and nothing of others', async (t) => {
      const store = await openAt(t, () => 1_700_000_000_500)
      for (const chunk of [chunkOf(3, 10, 16), chunkOf(3, 10, 32)]) {
        assert.equal(store.info(chunk.id), undefined)
        assert.equal(store.read(chunk.id), undefined)
        await store.write([chunk])
        const info = store.info(chunk.id)
        assert.equal(info?.lengthBytes, 10)
        assert.equal(info?.usedAtS, 1_700_000_000)
        assert.equal(toHex(info.sha256), createHash('sha256').update(chunk.bytes).digest('hex'))
      }
    })

    it('keeps equal chunks once, whether they come together, one after the other or at once', async (t) => {
      const store = await open(t)
      const chunk = chunkOf(4)
      await store.write([chunk, chunk])
      await Promise.all([store.write([chunk, chunkOf(5)]), store.write([chunkOf(5), chunk])])
      assert.deepEqual(store.totals(), { chunks: 2, bytes: 200 })
      assert.equal((await idsOf(store)).length, 2)
    })

    it('refuses other bytes under a known id, with everything that came along', async (t) => {
      const store = await open(t)
      const chunk = chunkOf(6)
      await store.write([chunk])
      const forged = { ...chunk, bytes: Buffer.from('other bytes') }
      await assert.rejects(store.write([chunkOf(7), forged]), CorruptError)
      assert.equal(store.info(chunkOf(7).id), undefined)
      assert.deepEqual([...(store.read(chunk.id) ?? [])], [...chunk.bytes])
    })

    it('knows plain content that our encoder made, as long as the chunk is here', async (t) => {
      const store = await open(t)
      const made = chunkOf(8)
      const { id, bytes } = chunkOf(9)
      await store.write([made, { id, bytes }])
      const ask = () =>
        store.known([made.plainKey, chunkOf(9).plainKey]).map((found) => found && toHex(found))
      assert.deepEqual(ask(), [toHex(made.id), undefined])
      await store.write([{ id, bytes, plainKey: chunkOf(9).plainKey }])
      assert.deepEqual(ask(), [toHex(made.id), toHex(id)])
      await store.delete([made.id])
      assert.deepEqual(ask(), [undefined, toHex(id)])
    })

    it('counts a use anew when a chunk is written again or touched', async (t) => {
      let nowMs = 1_700_000_000_000
      const store = await openAt(t, () => nowMs)
      const chunk = chunkOf(10)
      await store.write([chunk])
      nowMs += 86_400_000
      await store.touch([chunk.id, chunkOf(11).id])
      assert.equal(store.info(chunk.id)?.usedAtS, nowMs / 1000)
      nowMs += 86_400_000
      await store.write([chunk])
      assert.equal(store.info(chunk.id)?.usedAtS, nowMs / 1000)
      assert.equal(store.info(chunkOf(11).id), undefined)
    })

    it('lists what it holds in id order, from after an id', async (t) => {
      const store = await open(t)
      const chunks = Array.from({ length: 50 }, (_, number) => chunkOf(number))
      await store.write(chunks)
      const sorted = chunks.map(({ id }) => toHex(id)).sort()
      assert.deepEqual(await idsOf(store), sorted)
      assert.deepEqual(await idsOf(store, Buffer.from(sorted[19] ?? '', 'hex')), sorted.slice(20))
    })

    it('forgets what is deleted, and takes it back when it is written again', async (t) => {
      const store = await open(t)
      const chunks = [chunkOf(12), chunkOf(13), chunkOf(14)]
      await store.write(chunks)
      const deleting = store.delete([chunkOf(12).id, chunkOf(13).id, chunkOf(99).id])
      assert.equal(store.read(chunkOf(12).id), undefined, 'gone from the call on')
      const again = store.write([chunkOf(13)])
      await Promise.all([deleting, again])
      assert.equal(store.info(chunkOf(12).id), undefined)
      assert.deepEqual([...(store.read(chunkOf(13).id) ?? [])], [...chunkOf(13).bytes])
      assert.deepEqual(store.totals(), { chunks: 2, bytes: 200 })
    })

    it('rejects with the reason of an aborted signal, as it is', async (t) => {
      const store = await open(t)
      await store.write([chunkOf(15)])
      const reason = new Error('enough')
      await assert.rejects(
        async () => {
          for await (const _ of store.entries(undefined, { signal: AbortSignal.abort(reason) }))
            assert.fail('a chunk')
        },
        (error) => error === reason,
      )
    })
  })
}
