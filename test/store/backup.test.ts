import assert from 'node:assert/strict'
import { cp, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ConflictError, InvalidInputError } from '../../src/errors.ts'
import { backupDatabase, restoreDatabase } from '../../src/store/backup.ts'
import { checkStore } from '../../src/store/fsck.ts'
import { SPACES } from '../../src/store/spaces.ts'
import { fromUtf8, toHex } from '../../src/util/bytes.ts'
import { chunkOf } from '../suites/chunk-store.ts'
import { openStore, putFlist, temporaryFolder } from './open-store.ts'

describe('a backup', () => {
  it('of a store that is being written to is whole', async (t) => {
    const store = await openStore(t)
    const id = await putFlist(store, [1, 2, 3])
    const folder = await temporaryFolder(t)
    let isOver = false
    const writing = (async () => {
      for (let number = 10; !isOver; number++) {
        const flist = await putFlist(store, [2 * number, 2 * number + 1])
        if (number % 3 === 0) await store.flists.delete(flist)
        if (number % 3 === 0) await store.chunks.delete([chunkOf(2 * number).id])
      }
    })()
    let told = 0
    const { bytes } = await backupDatabase(store, join(folder, 'backup'), {
      onProgress: (done) => (told = done),
    })
    isOver = true
    await writing
    assert.equal(told, bytes)
    await restoreDatabase(join(folder, 'backup'), join(folder, 'data'))
    const copy = await openStore(t, { folder: join(folder, 'data') })
    const problems: string[] = []
    await checkStore(copy, ({ kind }) => problems.push(kind))
    assert.deepEqual(problems, [])
    assert.equal(String(Buffer.from((await copy.flists.read(id)) ?? [])), 'flist 1 2 3')
    await assert.rejects(backupDatabase(store, join(folder, 'backup')), ConflictError)
  })

  it('that is stopped leaves nothing', async (t) => {
    const store = await openStore(t)
    await store.chunks.write(Array.from({ length: 40 }, (_, number) => chunkOf(number, 500_000)))
    const folder = join(await temporaryFolder(t), 'backup')
    const stop = new AbortController()
    const reason = new Error('enough')
    const options = { signal: stop.signal, onProgress: () => stop.abort(reason) }
    await assert.rejects(backupDatabase(store, folder, options), (error) => error === reason)
    assert.deepEqual(await readdir(folder), [])
    await backupDatabase(store, folder)
  })

  it('that is none, or not whole, is refused', async (t) => {
    const store = await openStore(t)
    await putFlist(store, [1, 2])
    const folder = await temporaryFolder(t)
    const backup = join(folder, 'backup')
    await backupDatabase(store, backup)
    const refused = (from: string, to: string) =>
      assert.rejects(restoreDatabase(join(folder, from), join(folder, to)), InvalidInputError)
    await refused('nowhere', 'a')
    await refused('.', 'b')
    await cp(join(backup, 'chunks'), join(folder, 'cut', 'chunks'), { recursive: true })
    await refused('cut', 'c')
    await cp(backup, join(folder, 'headless'), { recursive: true })
    const headless = await openStore(t, { folder: join(folder, 'headless') })
    await headless.rows.write([{ type: 'delete', space: SPACES.own, key: fromUtf8('format') }])
    await headless.close()
    await refused('headless', 'd')
  })

  it('comes back with the same chunks', async (t) => {
    const store = await openStore(t)
    await store.chunks.write([chunkOf(1), chunkOf(2, 300_000, 32)])
    const folder = await temporaryFolder(t)
    await backupDatabase(store, join(folder, 'backup'))
    await store.chunks.write([chunkOf(3)])
    await restoreDatabase(join(folder, 'backup'), join(folder, 'data'))
    const { chunks } = await openStore(t, { folder: join(folder, 'data') })
    assert.deepEqual(chunks.totals(), { chunks: 2, bytes: 300_100 })
    const { id, bytes } = chunkOf(2, 300_000, 32)
    assert.equal(toHex(chunks.read(id) ?? new Uint8Array()), toHex(bytes))
  })
})
