/** Images to flists as a script does it: a real node, a registry of the test's own, and what comes out, file by file. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gzipSync } from 'node:zlib'
import { dockerSave } from '../doubles/image-archives.ts'
import { noise } from '../doubles/noise.ts'
import { digestOf, TestRegistry } from '../doubles/registry.ts'
import { member, tarOf } from '../doubles/tar-bytes.ts'
import { cleanEnvironment, PROGRAM, startNode, type NodeProcess } from './node-process.ts'

const PATH = 'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'

/** With everything that layers do to each other. */
const LAYERS = [
  tarOf(
    member({ path: 'bin/', kind: 'directory' }),
    member({ path: 'bin/sh', content: noise(3, 1300) }),
    member({ path: 'bin/ash', kind: 'link', linkTarget: 'sh' }),
    member({ path: 'etc/', kind: 'directory' }),
    member({ path: 'etc/gone', content: 'x' }),
    member({ path: 'etc/hostname', content: 'old' }),
    member({ path: 'var/cache/a', content: 'a' }),
    member({ path: 'opt/tool/x', content: 'x' }),
  ),
  tarOf(
    member({ path: 'etc/.wh.gone' }),
    member({ path: 'etc/hostname', content: 'h\n' }),
    member({ path: 'var/cache/.wh..wh..opq' }),
    member({ path: 'var/cache/b', content: 'b' }),
    member({ path: 'opt/tool', kind: 'link', linkTarget: '/bin' }),
    member({ path: 'bin/busybox', kind: 'hardlink', linkTarget: 'bin/sh' }),
  ),
  tarOf(member({ path: 'tmp/', kind: 'directory', mode: 0o1777 })),
]
const EXPECTED = [
  '/bin',
  '/bin/ash',
  '/bin/busybox',
  '/bin/sh',
  '/etc',
  '/etc/hostname',
  '/opt',
  '/opt/tool',
  '/tmp',
  '/var',
  '/var/cache',
  '/var/cache/b',
  '/.startup.toml',
]

describe('docker conversion', () => {
  let folder = ''
  let registry: TestRegistry
  let node: NodeProcess
  const settings: Record<string, string> = {}

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'zhub-docker-'))
    registry = await TestRegistry.start()
    settings['ZHUB_REGISTRIES'] = `docker.io=${registry.url}+private`
    node = await startNode(join(folder, 'data'), settings)
    registry.push('library/busybox:latest', {
      layers: LAYERS.map((layer) => gzipSync(layer)),
      config: { Cmd: ['sh'], Env: [PATH] },
    })
  })
  after(async () => {
    await node.stop()
    await registry.stop()
    await rm(folder, { recursive: true, force: true })
  })

  interface Reply {
    readonly status: number
    readonly text: string
    readonly headers: Headers
  }

  async function ask(
    method: string,
    path: string,
    body?: URLSearchParams | FormData | string,
  ): Promise<Reply> {
    const headers: Record<string, string> = { authorization: `bearer ${node.token}` }
    if (typeof body === 'string') headers['content-type'] = 'application/json'
    const response = await fetch(node.http + path, {
      method,
      headers,
      ...(body === undefined ? {} : { body }),
    })
    return { status: response.status, text: await response.text(), headers: response.headers }
  }

  const form = (fields: Record<string, string>) => new URLSearchParams(fields)
  const convert = (fields: Record<string, string>) => ask('POST', '/api/flist/me/docker', form(fields))

  async function contentOf(name: string): Promise<string[]> {
    const { text } = await ask('GET', `/api/flist/Administrator/${name}`)
    return (JSON.parse(text) as { content: Array<{ path: string }> }).content.map(({ path }) => path)
  }

  /** Of images and uploads; the flist reader has a folder of its own. */
  async function left(): Promise<string[]> {
    return (await readdir(join(node.data, 'tmp'))).filter((name) => !name.startsWith('inspector-'))
  }

  it('answers as the contract says, and makes the tree that the layers say', async () => {
    const { status, text } = await convert({ image: 'busybox' })
    assert.equal(
      text,
      '{"status": "success", "payload": {"name": "busybox-latest.flist", "files": {"regular": 5, "symlink": 2, "directory": 6, "special": 0, "failure": 0, "fullsize": 2801}}}\n',
    )
    assert.equal(status, 200)
    assert.deepEqual((await contentOf('busybox-latest.flist')).sort(), [...EXPECTED].sort())
    const metadata = JSON.parse(
      (await ask('GET', '/api/flist/Administrator/busybox-latest/metadata')).text,
    ) as object
    assert.deepEqual({ ...metadata, backend: 0 }, { backend: 0 }) // a Cmd and the usual PATH say nothing
  })

  it('takes the form as multipart too, and a name and a platform', async () => {
    const parts = new FormData()
    for (const [key, value] of Object.entries({ image: 'busybox', name: 'mine', platform: 'linux/amd64' }))
      parts.append(key, value)
    assert.match((await ask('POST', '/api/flist/me/docker', parts)).text, /"name": "mine\.flist"/)
    const other = await convert({ image: 'busybox', platform: 'linux/arm64' })
    assert.equal(other.status, 400)
    assert.match(other.text, /not made for linux\/arm64/)
  })

  it('refuses in the words and with the status of the contract', async () => {
    const missing = '{"status": "error", "message": "missing docker image name"}\n'
    for (const body of [
      form({}),
      form({ image: '' }),
      new FormData(),
      JSON.stringify({ image: 'busybox' }),
      undefined,
    ]) {
      const { status, text } = await ask('POST', '/api/flist/me/docker', body)
      assert.deepEqual([status, text], [400, missing])
    }
    const unknown = await convert({ image: 'does-not-exist' })
    assert.deepEqual(
      [unknown.status, unknown.text],
      [500, '{"status": "error", "message": "docker image not found"}\n'],
    )
    registry.intercept = (_, response) => !!response.writeHead(500).end()
    const failing = await convert({ image: 'busybox' }).finally(() => (registry.intercept = () => false))
    assert.deepEqual(
      [failing.status, failing.text],
      [500, '{"status": "error", "message": "could not pull this image"}\n'],
    )
    assert.match(failing.headers.get('x-hub-reason') ?? '', /answered 500/)
  })

  it('refuses what may not be fetched, and what is not what it says; and stores nothing', async () => {
    const layer = tarOf(member({ path: 'x', content: noise(5, 100_000) })) // plain: only its digest is wrong
    const bomb = gzipSync(
      tarOf(member({ path: 'zeros', content: Buffer.alloc(1000) }), member({ path: '../out' })),
    )
    registry.push('library/bad:lie', { layers: [layer] })
    registry.push('library/bad:out', { layers: [bomb] })
    registry.push('library/bad:tar', { layers: [gzipSync(Buffer.alloc(2000, 7))] })
    registry.push('library/bad:zip', { layers: [Buffer.from('PK\x03\x04'.padEnd(600, 'x'))] })
    registry.push('library/bad:redirect', {
      layers: [gzipSync(tarOf(member({ path: 'y', content: 'redirected' })))],
    })
    registry.intercept = ({ url = '' }, response) => {
      if (url.endsWith(digestOf(layer))) return !!response.end(Buffer.from(layer).fill(0, 1000, 1010))
      const isLed =
        url.includes('/blobs/') &&
        url.endsWith(digestOf(gzipSync(tarOf(member({ path: 'y', content: 'redirected' })))))
      return (
        isLed && !!response.writeHead(307, { Location: 'http://169.254.169.254/latest/meta-data/' }).end()
      )
    }
    const refused: Array<[image: string, status: number, message: RegExp]> = [
      ['evil.example/x', 403, /evil\.example is not one that this hub fetches from/],
      ['169.254.169.254/x', 403, /169\.254\.169\.254/],
      ['Not An Image', 400, /not an image|invalid name/],
      ['bad:lie', 500, /is damaged/],
      ['bad:out', 400, /leads upwards/],
      ['bad:tar', 400, /not a tar archive/],
      ['bad:zip', 400, /zip archives are not taken/],
      ['bad:redirect', 403, /169\.254\.169\.254/],
    ]
    const before = (await ask('GET', '/api/flist/Administrator')).text
    try {
      for (const [image, status, message] of refused) {
        const reply = await convert({ image })
        assert.deepEqual([reply.status, message.test(reply.text)], [status, true], `${image}: ${reply.text}`)
      }
    } finally {
      registry.intercept = () => false
    }
    assert.equal((await ask('GET', '/api/flist/Administrator')).text, before)
    assert.deepEqual(await left(), [])
  })

  it('takes an archive in place of a name, the same image giving the same flist', async () => {
    const archive = dockerSave({ layers: LAYERS, config: { Cmd: ['sh'], Env: [PATH] } })
    const parts = new FormData()
    parts.append('image', new Blob([archive]), 'saved.tar')
    assert.match((await ask('POST', '/api/flist/me/docker', parts)).text, /"name": "saved\.flist"/)
    const md5 = async (name: string) => (await ask('GET', `/Administrator/${name}.flist.md5`)).text
    assert.equal(await md5('saved'), await md5('busybox-latest'))
    const bad = new FormData()
    bad.append('image', new Blob([LAYERS[0] ?? '']), 'layer.tar')
    const { status, text } = await ask('POST', '/api/flist/me/docker', bad)
    assert.deepEqual([status, /neither an index\.json nor a manifest\.json/.test(text)], [400, true])
    assert.deepEqual(await left(), [])
  })

  it('is a form of a page, whose job tells how far it is', async () => {
    const listen = async (image: string) => {
      const page = await ask('POST', '/docker-convert', form({ 'docker-input': image }))
      const [job = ''] = /[0-9a-f]{8}-[0-9a-f-]{27}/.exec(page.text) ?? []
      const { text } = await ask('GET', `/listen/${job}`)
      return text
        .split('\n\n')
        .filter((event) => event !== '')
        .map((event) => JSON.parse(event.replace(/^data: /, '')) as Record<string, unknown>)
    }
    const events = await listen('busybox')
    assert.deepEqual(events.at(0), {
      status: 'update',
      message: 'Initializing docker converter',
      progress: 0,
    })
    assert.deepEqual(events.at(-2), { status: 'update', message: 'Image ready !', progress: 100 })
    assert.equal((events.at(-1)?.['info'] as { file: string }).file, 'busybox-latest.flist')
    const failed = await listen('does-not-exist')
    assert.deepEqual(failed.at(-1), { status: 'error', message: 'docker image not found' })
    assert.match(
      String((await listen('evil.example/x')).at(-1)?.['message']),
      /not one that this hub fetches from/,
    )
  })

  it('is a command', async () => {
    const zhub = (...words: string[]) =>
      new Promise<[code: number, out: string]>((resolve) => {
        const env = cleanEnvironment({ ...settings, ZHUB_DATA: node.data, ZHUB_MIN_FREE: '0' })
        execFile(process.execPath, [PROGRAM, 'docker', ...words], { env }, (error, stdout, stderr) =>
          resolve([error === null ? 0 : Number(error.code), stdout || stderr]),
        )
      })
    assert.deepEqual(await zhub('busybox', 'team/box'), [0, 'team/box.flist\n'])
    const file = join(folder, 'web.tar')
    await writeFile(file, gzipSync(dockerSave({ layers: LAYERS })))
    assert.deepEqual(await zhub(file), [0, 'Administrator/web.flist\n'])
    assert.equal((await zhub('nothing-there'))[0], 3)
    assert.equal((await zhub('evil.example/x'))[0], 4)
    assert.equal((await zhub('./missing.tar'))[0], 3)
  })
})
