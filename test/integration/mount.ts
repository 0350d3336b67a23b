/**
 * A client that mounts everything a node lists: flists over HTTP, every block of every file from the chunk port, decoded
 * and hashed. Run in the network of the node:
 *
 *   node dist/test/integration/mount.js http://127.0.0.1:5555 127.0.0.1:9900
 *
 * Prints JSON: for each `repository/name` and path the SHA-256 of the file's content.
 */
import { createHash } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { FlistReader } from '../../src/flist/reader.ts'
import { createChunkCodec } from '../../src/format/chunk-codec.ts'
import { RespClient } from '../doubles/resp-client.ts'

/** By `repository/name` and path: SHA-256 of the content, hex. */
export type Mounted = Record<string, Record<string, string>>

async function mountAll(http: string, resp: string): Promise<Mounted> {
  const folder = await mkdtemp(join(tmpdir(), 'zhub-mount-'))
  const chunkPort = await RespClient.connect(Number(resp.split(':').at(-1)))
  try {
    const names = await ask<string[]>(`${http}/api/flist`)
    const mounted: Mounted = {}
    for (const name of names) mounted[name] = await mount(`${http}/${name}`, chunkPort, folder)
    return mounted
  } finally {
    chunkPort.destroy()
    await rm(folder, { recursive: true, force: true })
  }
}

async function ask<T>(url: string): Promise<T> {
  const response = await fetch(url)
  if (response.status !== 200) throw new Error(`${url}: ${response.status} ${await response.text()}`)
  return (await response.json()) as T
}

async function mount(url: string, chunkPort: RespClient, folder: string): Promise<Record<string, string>> {
  const response = await fetch(url)
  const flist = Buffer.from(await response.arrayBuffer())
  if (response.status !== 200) throw new Error(`${url}: ${response.status} ${flist.toString()}`)
  const reader = new FlistReader(flist, { temporaryDirectory: folder })
  const codec = await createChunkCodec()
  const files: Record<string, string> = {}
  for (const { path, content } of reader.walk()) {
    if (content.kind !== 'file') continue
    const hash = createHash('sha256')
    for (const { id, key } of content.blocks) {
      const reply = await chunkPort.ask('GET', id)
      if (reply === undefined || reply[0] !== 0x24 || reply[1] === 0x2d) {
        throw new Error(
          `${url}: ${Buffer.from(path).toString()}: no chunk ${Buffer.from(id).toString('hex')}`,
        )
      }
      hash.update(codec.decode(reply.subarray(reply.indexOf('\r\n') + 2, reply.length - 2), key))
    }
    files[Buffer.from(path).toString()] = hash.digest('hex')
  }
  reader.close()
  return files
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [, , http = '', resp = ''] = process.argv
  process.stdout.write(JSON.stringify(await mountAll(http, resp)))
}
