/**
 * A real root filesystem goes up and comes back bit for bit: through the API, the chunk port and the command line,
 * judged by lstat and by an independent decoder (the golden data's, Python's standard library only).
 */
import assert from 'node:assert/strict'
import { execFile, execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { promisify } from 'node:util'
import { noise } from './archives.ts'
import { cleanEnvironment, PROGRAM, startNode, type NodeProcess } from './node-process.ts'
import { differences, readTree } from './trees.ts'

const run = promisify(execFile)
const IS_ROOT = process.getuid?.() === 0
const DECODER = resolve('../shared/golden/flist-v1/flistv1.py')

/** A folder of this machine with many small files, some large ones and links: part of any Debian root. */
const REAL_TREE = ['/usr/share/perl', '/usr/lib/python3', '/usr/share/doc'].find((path) => existsSync(path))

describe('a root filesystem', () => {
  let folder = ''
  let node: NodeProcess

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'zhub-round-'))
    node = await startNode(join(folder, 'data'))
  })
  after(async () => {
    await node.stop()
    await rm(folder, { recursive: true, force: true })
  })

  const zhub = (...words: string[]) =>
    run(process.execPath, [PROGRAM, ...words, '--data', join(folder, 'data')], {
      env: cleanEnvironment(),
      maxBuffer: 1 << 28,
    })

  async function roundTrip(source: string, name: string, archive: string): Promise<void> {
    const put = await zhub('put', archive, name)
    assert.equal(put.stdout, `Administrator/${name}.flist\n`)
    const target = join(folder, `${name}-back`)
    await zhub('extract', `Administrator/${name}`, target)
    assert.deepEqual(differences(readTree(source), readTree(target)), [])
  }

  /** The served flist and the chunks from the chunk port, read by a decoder that shares no code with us. */
  async function decodeIndependently(name: string, source: string): Promise<void> {
    const flist = join(folder, `${name}.flist`)
    const served = await fetch(`${node.http}/Administrator/${name}.flist`)
    await writeFile(flist, new Uint8Array(await served.arrayBuffer()))
    const [host = '', port = ''] = node.resp.split(':')
    await run('python3', [DECODER, 'chunks', flist, host, port, join(folder, `${name}-chunks`)])
    const { stdout } = await run(
      'python3',
      [DECODER, 'check', flist, join(folder, `${name}-chunks`), source],
      { maxBuffer: 1 << 26 },
    )
    assert.deepEqual((JSON.parse(stdout) as { problems: unknown[] }).problems, [])
  }

  it(
    'of every kind of file comes back bit for bit',
    { skip: !IS_ROOT && 'needs root: owners and devices' },
    async () => {
      const source = join(folder, 'every-kind')
      await makeEveryKind(source)
      const archive = join(folder, 'every-kind.tar.gz')
      execFileSync('tar', ['--format=gnu', '-czf', archive, '-C', source, '.'])
      await roundTrip(source, 'every-kind', archive)
    },
  )

  const needs = !IS_ROOT
    ? 'needs root: owners and devices'
    : !existsSync(DECODER) && 'recorded data is not here: flistv1.py'
  it('is whole to an independent decoder, chunks from the chunk port', { skip: needs }, async () => {
    const source = join(folder, 'decoded')
    await makeEveryKind(source)
    const archive = join(folder, 'decoded.tar')
    execFileSync('tar', ['--format=gnu', '-cf', archive, '-C', source, '.'])
    await zhub('put', archive, 'decoded')
    await decodeIndependently('decoded', source)
  })

  it(
    'of this machine comes back bit for bit',
    { skip: (!IS_ROOT && 'needs root: owners') || (REAL_TREE === undefined && 'no tree to pack') },
    async () => {
      const source = join(folder, 'real')
      execFileSync('cp', ['-a', REAL_TREE ?? '', source])
      const archive = join(folder, 'real.tar.zst')
      execFileSync('tar', ['--format=pax', '--zstd', '-cf', archive, '-C', source, '.'])
      await roundTrip(source, 'real', archive)
    },
  )

  it(
    'given as a folder is the same flist as given as an archive of it',
    { skip: !IS_ROOT && 'needs root: owners' },
    async () => {
      const source = join(folder, 'plain')
      await mkdir(join(source, 'sub'), { recursive: true })
      await writeFile(join(source, 'sub', 'file'), noise(600_000, 3))
      await writeFile(join(source, 'a'), 'text')
      const archive = join(folder, 'plain.tar')
      execFileSync('tar', ['-cf', archive, '-C', source, '.'])
      await zhub('put', archive, 'from-archive')
      await zhub('put', source, 'from-folder')
      const sums = await Promise.all(
        ['from-archive', 'from-folder'].map(async (name) =>
          (await fetch(`${node.http}/Administrator/${name}.flist.md5`)).text(),
        ),
      )
      assert.match(sums[0] ?? '', /^[0-9a-f]{32}\n$/)
      assert.equal(sums[0], sums[1])
    },
  )

  it('leaves a store that fsck finds nothing in', async () => {
    const { stdout } = await zhub('fsck', '--json')
    const report = JSON.parse(stdout) as { ok: boolean; problems: unknown[] }
    assert.deepEqual(report.problems, [])
    assert.equal(report.ok, true)
  })
})

/** Modes, owners, names, links, devices and sizes at every edge of the format. */
async function makeEveryKind(root: string): Promise<void> {
  await mkdir(join(root, 'bin'), { recursive: true })
  await mkdir(join(root, 'empty'))
  await mkdir(join(root, 'deep', ...Array.from({ length: 20 }, (_, at) => `level-${at}`)), {
    recursive: true,
  })
  await writeFile(join(root, 'bin', 'tool'), '#!/bin/sh\n')
  await writeFile(join(root, 'nothing'), '')
  await writeFile(join(root, 'one-block'), noise(524_288, 1))
  await writeFile(join(root, 'one-more'), noise(524_289, 2))
  await writeFile(join(root, 'zeros'), new Uint8Array(3_000_000))
  await writeFile(join(root, 'n'.repeat(255)), 'a long name')
  await writeFile(Buffer.from(`${root}/latin-\xe9\xff`, 'latin1'), 'not UTF-8')
  await writeFile(join(root, 'ünïcode 文字'), 'UTF-8')
  const script = [
    'ln -s /does/not/exist dangling',
    'ln -s ../bin/tool bin/link',
    'ln bin/tool bin/hard',
    'mkfifo pipe',
    'mknod null c 1 3',
    'mknod disk b 259 70000',
    'chown 4294967294:65534 nothing',
    'chown -h 12:34 dangling',
    'chmod 4755 bin/tool',
    'chmod 1777 empty',
    'chmod 2750 deep',
    'chmod 000 one-more',
    'touch -d @0 one-block',
    'touch -d @4000000000 zeros',
    'touch -h -d @1234567890 dangling',
    'touch -d @1500000000 empty deep bin',
  ]
  execFileSync('sh', ['-ec', script.join('\n')], { cwd: root })
}
