/** Against the tools of others: an image made by umoci, served by Docker's registry, as umoci itself unpacks it. */
import assert from 'node:assert/strict'
import { execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import {
  link,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  lstat,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { cleanEnvironment, PROGRAM, startNode } from './node-process.ts'

const TOOLS = ['umoci', 'skopeo', 'docker-registry']
const missing = TOOLS.filter((tool) => spawnSync('which', [tool]).status !== 0)
const isRoot = process.getuid?.() === 0
const skip =
  missing.length > 0
    ? `not installed: ${missing.join(', ')}`
    : isRoot
      ? false
      : 'umoci unpacks owners as root'

const run = promisify(execFile)

test(
  'an image of umoci, by Docker’s registry and as archives, is what umoci unpacks',
  { skip },
  async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'zhub-tools-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    await makeImage(folder)
    const registry = await startRegistry(folder)
    t.after(() => registry.stop())
    const settings = {
      ZHUB_REGISTRIES: `${registry.host}=http://${registry.host}+private`,
      ZHUB_MIN_FREE: '0',
    }
    const node = await startNode(join(folder, 'data'), settings)
    t.after(() => node.stop())
    const env = cleanEnvironment({ ...settings, ZHUB_DATA: node.data })
    const zhub = (...words: string[]) => run(process.execPath, [PROGRAM, ...words], { env })

    const layout = `oci:${join(folder, 'image')}:v1`
    const copies: Array<[name: string, to: string, options: string[]]> = [
      ['oci', `docker://${registry.host}/acme/oci:v1`, []],
      ['docker', `docker://${registry.host}/acme/docker:v1`, ['--format', 'v2s2']],
      [
        'zstd',
        `docker://${registry.host}/acme/zstd:v1`,
        ['--dest-compress', '--dest-compress-format', 'zstd'],
      ],
      ['saved', `docker-archive:${join(folder, 'saved.tar')}:acme/web:1.0`, []],
      ['archive', `oci-archive:${join(folder, 'archive.tar')}:v1`, []],
    ]
    const expected = await treeOf(join(folder, 'final', 'rootfs'))
    assert.ok(expected.size > 10)
    for (const [name, to, options] of copies) {
      await run('skopeo', ['copy', '--insecure-policy', '--dest-tls-verify=false', ...options, layout, to])
      const image = to.startsWith('docker:') ? to.slice('docker://'.length) : join(folder, `${name}.tar`)
      await zhub('docker', image, name)
      await zhub('extract', `Administrator/${name}`, join(folder, `out-${name}`))
      const tree = await treeOf(join(folder, `out-${name}`))
      assert.match(tree.get('.startup.toml') ?? '', /name = "\/bin\/tool"/)
      tree.delete('.startup.toml')
      assert.deepEqual(tree, expected, name)
    }
  },
)

/** Three layers that take away, replace and link what the ones below hold. */
async function makeImage(folder: string): Promise<void> {
  const image = `${join(folder, 'image')}:v1`
  await run('umoci', ['init', '--layout', join(folder, 'image')])
  await run('umoci', ['new', '--image', image])
  const layer = async (name: string, change: (root: string) => Promise<void>) => {
    const bundle = join(folder, name)
    await run('umoci', ['unpack', '--image', image, bundle])
    await change(join(bundle, 'rootfs'))
    await run('umoci', ['repack', '--image', image, bundle])
  }
  await layer('one', async (root) => {
    for (const path of ['bin', 'etc/conf.d', 'var/cache', 'opt/tool', 'usr/lib'])
      await mkdir(join(root, path), { recursive: true })
    await writeFile(join(root, 'bin/tool'), 'tool'.repeat(50_000), { mode: 0o755 })
    await link(join(root, 'bin/tool'), join(root, 'bin/linked'))
    await symlink('usr/lib', join(root, 'lib'))
    for (const path of ['etc/passwd', 'etc/conf.d/a', 'var/cache/a', 'opt/tool/a', 'opt/tool/b'])
      await writeFile(join(root, path), path)
  })
  await layer('two', async (root) => {
    for (const path of ['etc/passwd', 'var/cache', 'opt/tool', 'lib'])
      await rm(join(root, path), { recursive: true })
    await mkdir(join(root, 'var/cache'))
    await writeFile(join(root, 'var/cache/b'), 'b')
    await writeFile(join(root, 'opt/tool'), 'a file now')
    await mkdir(join(root, 'lib'))
    await writeFile(join(root, 'lib/own'), 'own')
    await link(join(root, 'bin/tool'), join(root, 'usr/tool'))
  })
  await layer('three', async (root) => {
    await rm(join(root, 'opt/tool'))
    await mkdir(join(root, 'opt/tool'))
    await writeFile(join(root, 'opt/tool/c'), 'back')
  })
  await run('umoci', ['config', '--image', image, '--config.entrypoint', '/bin/tool'])
  await run('umoci', ['unpack', '--image', image, join(folder, 'final')])
}

/** Path → kind, mode, and content or target. */
async function treeOf(root: string): Promise<Map<string, string>> {
  const tree = new Map<string, string>()
  for (const path of (await readdir(root, { recursive: true })).sort()) {
    const status = await lstat(join(root, path))
    const content = status.isSymbolicLink()
      ? `-> ${await readlink(join(root, path))}`
      : status.isFile()
        ? await readFile(join(root, path), 'utf8')
        : ''
    tree.set(path, `${status.mode.toString(8)} ${status.uid} ${content}`)
  }
  return tree
}

async function startRegistry(folder: string): Promise<{ host: string; stop(): Promise<void> }> {
  const host = `127.0.0.1:${await freePort()}`
  const config = join(folder, 'registry.yml')
  const storage = `{filesystem: {rootdirectory: ${join(folder, 'registry')}}}`
  await writeFile(config, `version: 0.1\nstorage: ${storage}\nhttp: {addr: "${host}"}\n`)
  const child = spawn('docker-registry', ['serve', config], { stdio: ['ignore', 'ignore', 'pipe'] })
  const lines = createInterface(child.stderr)
  for await (const line of lines) if (line.includes('listening on')) break
  child.stderr.resume()
  return {
    host,
    stop: async () => {
      child.kill()
      if (child.exitCode === null) await once(child, 'exit')
    },
  }
}

/** The registry tells nobody which port it took. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
