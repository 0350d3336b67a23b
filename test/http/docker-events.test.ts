import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MalformedError } from '../../src/errors.ts'
import { convertWithEvents } from '../../src/http/docker-events.ts'
import type { ImageSource } from '../../src/http/flist-ports.ts'
import type { JobEvent } from '../../src/http/jobs.ts'
import { createSite } from '../../src/http/site.ts'
import { ImageNotFoundError, RegistryError } from '../../src/image/errors.ts'
import { collect } from '../doubles/collect.ts'
import { fakeNode, NO_COUNTS, SITE } from './doubles.ts'

const ACTOR = { repository: 'alice', user: { sub: 'alice', idp: 'token' } } as const

async function eventsOf(
  image: string,
  pull: ImageSource['pull'],
): Promise<{ events: JobEvent[]; names: string[] }> {
  const node = fakeNode()
  const flist = { format: 'zflist', bytes: Buffer.from('{"fake":true}'), chunkIds: [], files: 1 } as const
  const site = createSite(
    {
      ...node,
      images: { ...node.images, pull },
      ingestLayers: async (layers, { metadata }) => {
        for await (const layer of layers) await collect(layer)
        metadata()
        return { flist, counts: { ...NO_COUNTS, regular: 1 } }
      },
    },
    SITE,
    [],
  )
  const events: JobEvent[] = []
  await convertWithEvents(site, ACTOR, image, (event) => events.push(event))
  return { events, names: node.repositories.entries('alice').map(({ name }) => name) }
}

test('a conversion tells the original story, and ends with what it made', async () => {
  let closed = 0
  const { events, names } = await eventsOf('busybox', (_, { onProgress }) =>
    Promise.resolve({
      layers: (async function* () {
        for (const [layer, doneBytes] of [
          [1, 0],
          [1, 1_000_000],
          [2, 1_000_001],
          [2, 4_000_000],
        ] as const)
          onProgress?.({ layer, layers: 2, doneBytes, totalBytes: 4_000_000 })
        yield (async function* () {})()
      })(),
      metadata: new Map(),
      close: async () => void closed++,
    }),
  )
  assert.deepEqual(events, [
    { status: 'update', message: 'Initializing docker converter', progress: 0 },
    { status: 'update', message: 'Pulling docker image: busybox:latest', progress: 10 },
    { status: 'update', message: 'Extracting layer 1 / 2 [0.0 MB / 4.0 MB]', progress: 10 },
    { status: 'update', message: 'Extracting layer 1 / 2 [1.0 MB / 4.0 MB]', progress: 20 },
    { status: 'update', message: 'Extracting layer 2 / 2 [1.0 MB / 4.0 MB]', progress: 20 },
    { status: 'update', message: 'Extracting layer 2 / 2 [4.0 MB / 4.0 MB]', progress: 50 },
    { status: 'update', message: 'Preparing filesystem flist', progress: 56 },
    { status: 'update', message: 'Image ready !', progress: 100 },
    {
      status: 'info',
      info: {
        status: 'success',
        file: 'busybox-latest.flist',
        flist: { regular: 1, symlink: 0, directory: 0, special: 0, failure: 0, fullsize: 0 },
        timing: {},
      },
    },
  ])
  assert.deepEqual([names, closed], [['busybox-latest.flist'], 1])
})

test('a conversion that fails ends with why, in the words of the contract where it has them', async () => {
  const failures: Array<[error: Error, message: string]> = [
    [new ImageNotFoundError('404'), 'docker image not found'],
    [new RegistryError('503'), 'could not pull this image'],
  ]
  for (const [error, message] of failures) {
    const { events, names } = await eventsOf('acme/web:1.0', () => Promise.reject(error))
    assert.deepEqual(events.at(1), {
      status: 'update',
      message: 'Pulling docker image: acme/web:1.0',
      progress: 10,
    })
    assert.deepEqual(events.slice(2), [{ status: 'error', message }])
    assert.deepEqual(names, [])
  }
})

test('a conversion that fails otherwise throws why, for its job to tell', async () => {
  const foreign = new MalformedError('image', 'a foreign layer')
  await assert.rejects(
    eventsOf('busybox', () => Promise.reject(foreign)),
    foreign,
  )
})
