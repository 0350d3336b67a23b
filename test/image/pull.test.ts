import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { gunzipSync, gzipSync } from 'node:zlib'
import type { ImagesOptions, OpenOptions } from '../../src/image/images.ts'
import { collect } from '../doubles/collect.ts'
import { noise } from '../doubles/noise.ts'
import { DOCKER_LIST, digestOf, TestRegistry } from '../doubles/registry.ts'
import { member, tarOf } from '../doubles/tar-bytes.ts'
import { AMD64, imagesAt, isBlob, pullFrom } from './pulling.ts'

const ARM64 = { os: 'linux', architecture: 'arm64' }
const BIG = Buffer.from(noise(7, 300_000))
const one = gzipSync(tarOf(member({ path: 'one', content: '1' })))
const two = gzipSync(tarOf(member({ path: 'two', content: '2' })))

let registry: TestRegistry
before(async () => (registry = await TestRegistry.start()))
after(() => registry.stop())
beforeEach(() => {
  registry.intercept = () => false
  registry.requests.length = 0
})

const pull = (name: string, options?: Partial<ImagesOptions>, open?: OpenOptions) =>
  pullFrom(registry, name, options, open)

describe('an image of a registry', () => {
  it('comes with its layers as they are stored, in their order, by either kind of manifest', async () => {
    registry.push('oci:1', { layers: [one, two, tarOf()], config: { Cmd: ['x'] } })
    registry.push('acme/docker:1', { layers: [two, one], isDocker: true })
    assert.deepEqual(await pull('oci:1'), [one, two, tarOf()])
    assert.deepEqual(await pull('acme/docker:1'), [two, one])
  })

  it('comes by its digest alone, and is refused when it is another', async () => {
    const { digest } = registry.push('pinned:1', { layers: [one] })
    assert.deepEqual(await pull(`pinned@${digest}`), [one])
    registry.intercept = ({ url = '' }, response) =>
      url.includes('/manifests/') && !!response.end('{"schemaVersion":2}')
    await assert.rejects(pull(`pinned@${digest}`), { code: 'HUB_CORRUPT' })
  })

  it('is the one for the platform that is asked for, through indexes of indexes', async () => {
    const amd = { ...registry.push(undefined, { layers: [one] }), platform: AMD64 }
    const arm = { ...registry.push(undefined, { layers: [two], outer: ARM64 }), platform: ARM64 }
    const attestation = { ...amd, platform: { os: 'unknown', architecture: 'unknown' } }
    registry.pushIndex('multi:1', [attestation, arm, amd])
    registry.pushIndex('multi:docker', [arm, amd], DOCKER_LIST)
    const inner = registry.pushIndex('multi:inner', [arm, amd])
    registry.pushIndex('multi:nested', [{ ...inner }])
    for (const tag of ['1', 'docker', 'nested']) assert.deepEqual(await pull(`multi:${tag}`), [one], tag)
    assert.deepEqual(await pull('multi:1', {}, { platform: () => 'linux/arm64' }), [two])
    await assert.rejects(pull('multi:1', {}, { platform: () => 'linux/s390x' }), {
      code: 'HUB_INVALID_INPUT',
      message: 'the image is not made for linux/s390x, but for linux/arm64, linux/amd64',
    })
    registry.push('armonly:1', { layers: [two], outer: ARM64 })
    await assert.rejects(pull('armonly:1'), /not made for linux\/amd64, but for linux\/arm64/)
  })

  it('is not found when it is not there, and when it is not for us', async () => {
    await assert.rejects(pull('nothing:1'), { name: 'ImageNotFoundError' })
    for (const status of [401, 403]) {
      registry.intercept = (_, response) => !!response.writeHead(status).end()
      await assert.rejects(pull('nothing:1'), { name: 'ImageNotFoundError' }, String(status))
    }
  })

  it('tells how far it is', async () => {
    registry.push('progress:1', { layers: [one, two] })
    const seen: string[] = []
    await pull(
      'progress:1',
      {},
      {
        onProgress: ({ layer, layers, doneBytes, totalBytes }) =>
          seen.push(`${layer}/${layers} ${doneBytes}/${totalBytes}`),
      },
    )
    const total = one.length + two.length
    assert.deepEqual(seen, [
      `1/2 0/${total}`,
      `1/2 ${one.length}/${total}`,
      `2/2 ${one.length}/${total}`,
      `2/2 ${total}/${total}`,
    ])
  })
})

describe('a layer', () => {
  it('is taken up again where a connection broke', async () => {
    registry.push('cut:1', { layers: [one, BIG] })
    const wanted = { digest: digestOf(BIG) }
    let cuts = 0
    registry.intercept = (request, response) => {
      if (!isBlob(request, wanted) || cuts >= 3) return false
      cuts++
      const start = Number(/\d+/.exec(request.headers.range ?? '')?.[0] ?? 0)
      if (start > 0) response.statusCode = 206
      response.setHeader('Content-Range', `bytes ${start}-${BIG.length - 1}/${BIG.length}`)
      response.setHeader('Content-Length', BIG.length - start)
      response.write(BIG.subarray(start, start + 50_000), () => response.destroy())
      return true
    }
    assert.deepEqual((await pull('cut:1'))[1], BIG)
    const ranges = registry.requests
      .filter(({ url }) => url.endsWith(wanted.digest))
      .map(({ range }) => range)
    assert.equal(ranges.length, 4)
    assert.ok(
      ranges.slice(1).every((range) => /^bytes=\d+-$/.test(range ?? '')),
      ranges.join(),
    )
  })

  it('is begun again by a server without ranges, and what is known is passed over', async () => {
    registry.push('norange:1', { layers: [BIG] })
    let cuts = 0
    registry.intercept = (request, response) => {
      if (!isBlob(request, { digest: digestOf(BIG) })) return false
      if (cuts++ > 0) return !!response.end(BIG)
      response.setHeader('Content-Length', BIG.length)
      response.write(BIG.subarray(0, 100_000), () => response.destroy())
      return true
    }
    assert.deepEqual(await pull('norange:1'), [BIG])
  })

  it('is given up after so many tries that bring nothing', async () => {
    registry.push('broken:1', { layers: [BIG] })
    let tries = 0
    registry.intercept = (request, response) => {
      if (!isBlob(request, { digest: digestOf(BIG) })) return false
      tries++
      return !!response.writeHead(503).end()
    }
    await assert.rejects(pull('broken:1', { retry: { firstWaitMs: 0, tries: 3 } }), { name: 'RegistryError' })
    assert.equal(tries, 3)
  })

  it('is given up when it stalls', async () => {
    registry.push('stall:1', { layers: [BIG] })
    registry.intercept = (request, response) => {
      if (!isBlob(request, { digest: digestOf(BIG) })) return false
      response.setHeader('Content-Length', BIG.length)
      response.write(BIG.subarray(0, request.headers.range === undefined ? 10 : 0))
      return true
    }
    const patience = { fetch: { idleMs: 30 }, retry: { firstWaitMs: 0, tries: 2 } }
    await assert.rejects(pull('stall:1', patience), { name: 'RegistryError' })
  })

  it('is given up when it drips', async () => {
    registry.push('drip:1', { layers: [BIG] })
    let isOpen = true
    registry.intercept = (request, response) => {
      if (!isBlob(request, { digest: digestOf(BIG) })) return false
      response.setHeader('Content-Length', BIG.length)
      const drip = () =>
        isOpen && !response.destroyed && response.write(BIG.subarray(0, 1), () => setTimeout(drip, 5))
      drip()
      return true
    }
    const patience = { fetch: { idleMs: 30 }, retry: { firstWaitMs: 0, tries: 1 } }
    await assert.rejects(pull('drip:1', patience), { name: 'RegistryError' }).finally(() => (isOpen = false))
  })

  it('is no other than its digest and its size say', async () => {
    const lies: Array<[title: string, bytes: Buffer, message: RegExp]> = [
      ['other bytes', Buffer.from(noise(8, BIG.length)), /its content has another digest/],
      ['more bytes', Buffer.concat([BIG, BIG]), /there is more than the 300000 bytes/],
    ]
    registry.push('lie:1', { layers: [BIG] })
    for (const [title, bytes, message] of lies) {
      registry.intercept = (request, response) =>
        isBlob(request, { digest: digestOf(BIG) }) && !!response.end(bytes)
      await assert.rejects(pull('lie:1'), { code: 'HUB_CORRUPT', message }, title)
    }
    registry.intercept = (request, response) =>
      isBlob(request, { digest: digestOf(BIG) }) && !!response.end(BIG.subarray(0, 1000))
    await assert.rejects(pull('lie:1', { retry: { firstWaitMs: 0, tries: 2 } }), /damaged|only a part/)
  })

  it('ends with whoever wanted it', async () => {
    registry.push('left:1', { layers: [BIG] })
    registry.intercept = (request, response) =>
      isBlob(request, { digest: digestOf(BIG) }) && response.write(BIG.subarray(0, 9))
    const leaving = new AbortController()
    const left = pull(
      'left:1',
      {},
      { signal: leaving.signal, onProgress: () => leaving.abort(new Error('left')) },
    )
    await assert.rejects(left, /left/)
  })

  it('has so much time with all the others', async () => {
    registry.push('slow:1', { layers: [BIG] })
    registry.intercept = (request, response) =>
      isBlob(request, { digest: digestOf(BIG) }) && response.write(BIG.subarray(0, 9))
    await assert.rejects(pull('slow:1', { maxMs: 100 }), { code: 'HUB_LIMIT', message: /time for an image/ })
  })
})

describe('the start-up layer', () => {
  it('comes last', async () => {
    registry.push('start:1', { layers: [one], config: { Entrypoint: ['run'] } })
    const image = await imagesAt(registry).pull('test.example/start:1', {})
    const layers: Buffer[] = []
    for await (const bytes of image.layers) layers.push(await collect(bytes))
    await image.close()
    assert.deepEqual(layers[0], one)
    assert.match(layers[1]?.toString() ?? '', /^\.startup\.toml\0[^]*\nname = "run"\n/)
    assert.equal(image.metadata.get('entrypoint'), '["run"]')
    assert.ok(gunzipSync(one).length > 0)
  })
})
