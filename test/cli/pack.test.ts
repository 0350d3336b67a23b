/** What we pack, GNU tar reads; what the writer makes of it is the same folder again. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createServer } from 'node:net'
import { appendFileSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs'
import { link, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { ConflictError } from '../../src/errors.ts'
import { deviceNumber } from '../../src/cli/device-number.ts'
import { FolderWriter } from '../../src/cli/folder-writer.ts'
import { asBuffer } from '../../src/util/bytes.ts'
import { measureFolder, packFolder } from '../../src/cli/pack.ts'
import { readMembers } from '../../src/cli/tar-members.ts'
import { differences, readTree } from '../integration/trees.ts'

const IS_ROOT = process.getuid?.() === 0

describe('a folder packed', () => {
  let folder = ''
  let source = ''
  const notes: string[] = []
  const pack = (onNote = (sentence: string) => void notes.push(sentence)) => packFolder(source, { onNote })
  const packed = async () => Buffer.concat(await collect(pack()))

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'zhub-pack-'))
    source = join(folder, 'source')
    await mkdir(join(source, 'sub', 'x'.repeat(120)), { recursive: true })
    await writeFile(join(source, 'sub', 'x'.repeat(120), 'y'.repeat(120)), 'long names')
    await writeFile(Buffer.from(`${source}/latin-\xe9\xff`, 'latin1'), 'not UTF-8')
    await writeFile(join(source, 'empty'), '')
    await writeFile(join(source, 'large'), Buffer.alloc(3_000_001, 'abc'))
    await writeFile(join(source, 'tool'), '#!/bin/sh\n', { mode: 0o755 })
    await symlink('/does/not/exist', join(source, 'dangling'))
    await symlink('z'.repeat(200), join(source, 'sub', 'long-link'))
    const script = 'mkfifo pipe; touch -h -d @1234567890 dangling; touch -d @-86400 empty; chmod 2750 sub'
    const asRoot =
      'chown 12:34 empty; chown -h 56:78 dangling; chmod 4755 tool; mknod null c 1 3; mknod b b 259 70000'
    execFileSync('sh', ['-ec', IS_ROOT ? `${asRoot}; ${script}` : script], { cwd: source })
  })
  after(() => rm(folder, { recursive: true, force: true }))

  it('is read by GNU tar as the same folder', async () => {
    const target = join(folder, 'by-tar')
    await mkdir(target)
    execFileSync('tar', ['-xpf', '-', '-C', target], {
      input: await packed(),
      stdio: ['pipe', 'ignore', 'ignore'],
    })
    assert.deepEqual(differences(readTree(source), readTree(target)), [])
  })

  it('comes back from our own writer bit for bit', async () => {
    const target = join(folder, 'by-writer')
    const writer = new FolderWriter(target, {
      force: false,
      uid: process.getuid?.() ?? 0,
      gid: process.getgid?.() ?? 0,
    })
    for await (const member of readMembers(pack())) await writer.write(member)
    writer.close()
    assert.deepEqual(differences(readTree(source), readTree(target)), [])
    assert.deepEqual(writer.leftOut, { owners: 0, devices: 0, specialModes: 0 })
  })

  it('is the same bytes every time', async () => {
    assert.deepEqual(await packed(), await packed())
  })

  it('stores the second name of a file as a hard link', async () => {
    await link(join(source, 'large'), join(source, 'sub', 'second'))
    try {
      const listed = execFileSync('tar', ['-tvf', '-'], { input: await packed() }).toString()
      assert.match(listed, /sub\/second link to large$/m)
      assert.ok(measureFolder(source, {}) < 2 * 3_000_001, 'counted once')
    } finally {
      unlinkSync(join(source, 'sub', 'second'))
    }
  })

  it('leaves sockets out and says so', async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(join(source, 'socket'), resolve))
    try {
      notes.length = 0
      const listed = execFileSync('tar', ['-tf', '-'], { input: await packed() }).toString()
      assert.doesNotMatch(listed, /socket/)
      assert.deepEqual(notes, ['socket is a socket: left out'])
    } finally {
      await new Promise((resolve) => server.close(resolve))
    }
  })

  it('takes of a growing file what it had, and says so', async () => {
    const path = join(source, 'zz-growing')
    writeFileSync(path, Buffer.alloc(2_500_000))
    notes.length = 0
    const pieces: Uint8Array[] = []
    for await (const piece of pack()) {
      pieces.push(piece)
      if (asBuffer(piece).includes('zz-growing')) appendFileSync(path, 'more') // its header went out with its first megabyte
    }
    const listed = execFileSync('tar', ['-tvf', '-'], { input: Buffer.concat(pieces) }).toString()
    assert.match(listed, /2500000 .*zz-growing/)
    assert.equal(notes.length, 1)
    assert.match(notes[0] ?? '', /zz-growing grew/)
  })

  it('gives up when a file gets shorter', async () => {
    const path = join(source, 'zz-growing')
    writeFileSync(path, Buffer.alloc(2_500_000))
    await assert.rejects(async () => {
      for await (const piece of pack()) if (asBuffer(piece).includes('zz-growing')) truncateSync(path, 10)
    }, ConflictError)
  })
})

describe('a device number', () => {
  it('is taken apart as glibc does', () => {
    assert.deepEqual(deviceNumber(0x103n, 'linux'), { major: 1, minor: 3 })
    assert.deepEqual(deviceNumber(0x11110370n, 'linux'), { major: 259, minor: 70_000 })
    assert.deepEqual(deviceNumber(0x120006783459an, 'linux'), { major: 0x12345, minor: 0x6789a })
  })
})

async function collect(source: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const pieces: Uint8Array[] = []
  for await (const piece of source) pieces.push(piece)
  return pieces
}
