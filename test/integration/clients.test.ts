/** Unmodified clients against a real node: zflist as it was recorded, and the calls of a Zero-OS node (zero-os.md §2–§4). */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { FlistReader } from '../../src/flist/reader.ts'
import { createChunkCodec } from '../../src/format/chunk-codec.ts'
import { steady } from '../conformance/comparison.ts'
import { recordedData } from '../doubles/golden.ts'
import { RespClient } from '../doubles/resp-client.ts'
import { member, tarOf } from '../doubles/tar-bytes.ts'
import { noise } from '../doubles/noise.ts'
import { startNode, type NodeProcess } from './node-process.ts'
import { sendWire } from './wire.ts'

const recorded = recordedData('hub')

let folder = ''
let node: NodeProcess
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'zhub-clients-'))
  node = await startNode(join(folder, 'data'), { ZHUB_AUTH: 'off' })
})
after(async () => {
  await node.stop()
  await rm(folder, { recursive: true, force: true })
})

const portOf = (address: string) => Number(address.split(':').at(-1))

/** By multipart form, acting as a repository. */
async function upload(repository: string, name: string, archive: Uint8Array): Promise<void> {
  const form = new FormData()
  form.append('file', new Blob([Uint8Array.from(archive)]), name)
  const headers = { 'active-user': repository }
  const { status } = await fetch(`${node.http}/api/flist/me/upload`, { method: 'POST', headers, body: form })
  assert.equal(status, 200)
}

/** A GET of `/api/flist/me/…` that changes names, as a repository. */
async function change(repository: string, path: string): Promise<void> {
  const { status } = await fetch(`${node.http}/api/flist/me/${path}`, {
    headers: { 'active-user': repository },
  })
  assert.equal(status, 200, path)
}

describe('zflist hub', { skip: recorded.skip }, () => {
  it('is answered each of its recorded requests, headers and all, as by the original', async () => {
    const fixture = (name: string) => readFileSync(join(recorded.path, 'fixtures', name))
    await upload('Administrator', 'planted.tar.gz', fixture('homemade.tar.gz'))
    await upload('other', 'theirs-1.0.tar.gz', fixture('hello.tar.gz'))
    const exchanges = readExchanges(readFileSync(join(recorded.path, 'zflist-client-wire.txt'), 'latin1'))
    assert.ok(exchanges.length > 30)
    for (const { head, body, status, text } of exchanges) {
      const answer = await sendWire(portOf(node.http), head, body(fixture))
      const [line = ''] = head.split('\r\n')
      // 13: folders are counted once.
      const wanted = line.includes('/upload ') ? text.replace('"directory": 7', '"directory": 3') : text
      assert.deepEqual(
        [line, answer.status, steady(answer.text).trim()],
        [line, status, steady(wanted).trim()],
      )
    }
  })
})

interface Exchange {
  readonly head: string
  readonly body: (fixture: (name: string) => Buffer) => Buffer
  readonly status: number
  readonly text: string
}

function readExchanges(wire: string): Exchange[] {
  return wire
    .split('>>>>>> request\n')
    .slice(1)
    .map((block) => {
      const [request = '', response = ''] = block.split('<<<<<< response\n')
      const lines = request.split(/\r?\n/)
      const headLines = lines.slice(0, lines.indexOf(''))
      const [, text = ''] = response.split(/\r?\n\r?\n/, 2)
      const rest = lines.slice(headLines.length + 1).join('\r\n')
      return {
        head: headLines.join('\r\n') + '\r\n\r\n',
        body: (fixture) => bodyOf(headLines, rest, fixture),
        status: Number(response.slice(9, 12)),
        text: text.trim(),
      }
    })
}

/** Forms were cut in the recording: built anew they are as long as was said. */
function bodyOf(head: readonly string[], rest: string, fixture: (name: string) => Buffer): Buffer {
  const length = Number(/^Content-Length: (\d+)$/m.exec(head.join('\n'))?.[1] ?? 0)
  const boundary = /boundary=(.*)$/m.exec(head.join('\n'))?.[1]
  if (length === 0 || boundary === undefined) return Buffer.from(rest.slice(0, length))
  const filename = /filename="([^"]*)"/.exec(rest)?.[1] ?? ''
  const body = Buffer.concat([
    Buffer.from(
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="${filename}"\r\n` +
        'Content-Type: application/octet-stream\r\n\r\n',
    ),
    fixture(filename),
    Buffer.from(`\r\n--${boundary}--\r\n`),
  ])
  assert.equal(body.length, length, `the form with ${filename}`)
  return body
}

interface Listed {
  readonly name: string
  readonly type: string
  readonly target?: string
  readonly updated: number
}

describe('a Zero-OS node', () => {
  const FILES = {
    'bin/zinit': noise(1, 700_000),
    'etc/zinit/a.yaml': Buffer.from('exec: a\n'),
    empty: Buffer.alloc(0),
  }

  /** Before each URL it builds, a node asks whether the hub is there. */
  async function ask<T>(path: string): Promise<T> {
    assert.equal((await fetch(`${node.http}/api/flist`)).status, 200)
    const response = await fetch(`${node.http}${path}`)
    assert.equal(response.status, 200, path)
    return (await response.json()) as T
  }

  it('finds its release by a link to a tag, downloads its packages, and reads their files from the chunk port', async () => {
    const members = Object.entries(FILES).map(([path, content]) => member({ path, content }))
    await upload('tf-autobuilder', 'zos-1.2.3.tar', tarOf(...members))
    await change('tf-zos', 'v1.2.3/zos.flist/tag/tf-autobuilder/zos-1.2.3.flist')
    await change('tf-zos', 'production-v3/crosstag/tf-zos/v1.2.3')
    await change('tf-autobuilder', 'zos-1.2.3.flist/link/bootstrap:latest.flist')

    const light = await ask<Listed & { md5: string }>(
      '/api/flist/tf-autobuilder/bootstrap:latest.flist/light',
    )
    assert.ok(['regular', 'symlink'].includes(light.type))
    const release = (await ask<Listed[]>('/api/flist/tf-zos')).find(({ name }) => name === 'production-v3')
    assert.equal(release?.type, 'taglink')
    const [repository, tags, tag] = (release.target ?? '').split('/')
    assert.equal(tags, 'tags')
    const packages = await ask<Listed[]>(`/api/flist/${repository}/tags/${tag}`)
    assert.deepEqual(
      packages.map(({ name, type, target }) => [name, type, target]),
      [['zos.flist', 'symlink', 'tf-autobuilder/zos-1.2.3.flist']],
    )
    for (const { target = '' } of packages) await install(target)
  })

  async function install(target: string): Promise<void> {
    const { md5, updated } = await ask<{ md5: string; updated: number }>(`/api/flist/${target}/light`)
    assert.ok(Number.isSafeInteger(updated) && updated > 0)
    const flist = Buffer.from(await (await fetch(`${node.http}/${target}`)).arrayBuffer())
    assert.equal(createHash('md5').update(flist).digest('hex'), md5)
    const told = await (await fetch(`${node.http}/${target}.md5`)).text()
    assert.equal(told.trim(), md5)
    assert.equal((await fetch(`${node.http}/${target}`, { method: 'HEAD' })).status, 200)
    const contents = await contentsOf(flist)
    assert.deepEqual([...contents.keys()].sort(), Object.keys(FILES).sort())
    for (const [path, content] of Object.entries(FILES)) assert.ok(contents.get(path)?.equals(content), path)
  }

  /** As a mount reads it: the flist's own address of the chunks, one GET a block. */
  async function contentsOf(flist: Buffer): Promise<Map<string, Buffer>> {
    const reader = new FlistReader(flist, { temporaryDirectory: folder })
    const codec = await createChunkCodec()
    const metadata = new Map(reader.metadata())
    const { host, port } = JSON.parse(metadata.get('backend') ?? '{}') as { host?: string; port?: number }
    assert.deepEqual([host, port], ['127.0.0.1', portOf(node.resp)])
    const chunkPort = await RespClient.connect(port ?? 0)
    const contents = new Map<string, Buffer>()
    for (const { path, content } of reader.walk()) {
      if (content.kind !== 'file') continue
      const blocks: Uint8Array[] = []
      for (const { id, key } of content.blocks) {
        const reply = (await chunkPort.ask('GET', id)) ?? Buffer.alloc(0)
        const stored = reply.subarray(reply.indexOf('\r\n') + 2, reply.length - 2)
        blocks.push(codec.decode(stored, key))
      }
      contents.set(Buffer.from(path).toString(), Buffer.concat(blocks))
    }
    chunkPort.socket.destroy()
    reader.close()
    return contents
  }
})
