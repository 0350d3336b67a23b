/** A tar stream of a stranger, and a folder that must stay the only place where anything happens. */
import assert from 'node:assert/strict'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { ConflictError, HubError, LimitError, MalformedError } from '../../src/errors.ts'
import { encodeTarHeader, TAR_END, tarPadding, type TarEntry } from '../../src/format/tar.ts'
import { FolderWriter } from '../../src/cli/folder-writer.ts'
import { readMembers } from '../../src/cli/tar-members.ts'
import { fromUtf8 } from '../../src/util/bytes.ts'

const UID = process.getuid?.() ?? 0
const GID = process.getgid?.() ?? 0

interface Part extends Partial<Omit<TarEntry, 'path' | 'linkTarget'>> {
  readonly path: string
  readonly content?: string
  readonly linkTarget?: string
}

function member({ path, content = '', linkTarget, ...rest }: Part): Uint8Array {
  const header = encodeTarHeader({
    kind: 'file',
    mode: 0o644,
    uid: UID,
    gid: GID,
    userName: fromUtf8(''),
    groupName: fromUtf8(''),
    sizeBytes: content.length,
    modifiedS: 1_000_000_000,
    ...rest,
    path: Buffer.from(path, 'latin1'),
    ...(linkTarget === undefined ? {} : { linkTarget: Buffer.from(linkTarget, 'latin1') }),
  })
  return Buffer.concat([header, Buffer.from(content), new Uint8Array(tarPadding(content.length))])
}

const archive = (...parts: readonly Part[]) => Buffer.concat([...parts.map(member), TAR_END])

/** In pieces of `size` bytes, so that every boundary falls somewhere else. */
async function* pieces(bytes: Uint8Array, size = 700): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size)
}

describe('an image written into a folder', () => {
  let folder = ''
  let target = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'zhub-writer-'))
    target = join(folder, 'target')
  })
  afterEach(() => rm(folder, { recursive: true, force: true }))

  async function write(bytes: Uint8Array, options: { force?: boolean; uid?: number; size?: number } = {}) {
    const { force = false, uid = UID, size } = options
    const writer = new FolderWriter(target, { force, uid, gid: GID })
    try {
      for await (const one of readMembers(pieces(bytes, size))) await writer.write(one)
    } finally {
      writer.close()
    }
    return writer
  }

  it('never leaves it', async () => {
    const outside = join(folder, 'outside')
    mkdirSync(outside)
    const hostile: Part[][] = [
      [{ path: '../outside/x' }],
      [{ path: `${outside}/x` }],
      [{ path: 'a/../../outside/x' }],
      [{ path: 'a//x' }],
      [{ path: '' }],
      [
        { path: 'link', kind: 'link', linkTarget: outside },
        { path: 'link/x', content: 'through' },
      ],
      [
        { path: 'link', kind: 'link', linkTarget: join(outside, 'x') },
        { path: 'link', content: 'through' },
      ],
      [
        { path: 'link', kind: 'link', linkTarget: outside },
        { path: 'link', kind: 'directory', mode: 0o777 },
        { path: 'link/x' },
      ],
      [
        { path: 'dir', kind: 'directory' },
        { path: 'dir', kind: 'link', linkTarget: outside },
      ],
      [{ path: 'hard', kind: 'hardlink', linkTarget: '/etc/passwd' }],
      [{ path: 'twice' }, { path: 'twice' }],
      [{ path: 'file' }, { path: 'file/below' }],
      [{ path: 'empty-link', kind: 'link', linkTarget: '' }],
      [{ path: 'fifo', kind: 'fifo', sizeBytes: 512 }],
      [{ path: `${'n'.repeat(5000)}` }],
    ]
    for (const parts of hostile) {
      const what = JSON.stringify(parts).slice(0, 100)
      await assert.rejects(write(archive(...parts)), (error) => error instanceof HubError, what)
      assert.deepEqual(readdirSync(outside), [], what)
      await rm(target, { recursive: true, force: true })
    }
  })

  it('takes only whole archives, wherever they are cut', async () => {
    const whole = archive({ path: 'a', content: 'x'.repeat(600) }, { path: 'b', content: 'y' })
    for (const end of [0, 100, 512, 700, 1536, 2048, 2560]) {
      await assert.rejects(write(whole.subarray(0, end)), MalformedError, String(end))
      await rm(target, { recursive: true })
    }
    for (const size of [1, 511, 512, 513, 100_000]) {
      await write(whole, { size })
      assert.equal(readFileSync(join(target, 'a'), 'utf8'), 'x'.repeat(600))
      await rm(target, { recursive: true })
    }
  })

  it('holds no name of a stranger beyond its limit', async () => {
    const long = member({ path: 'x'.repeat(150) })
    Buffer.from(long.buffer, long.byteOffset, 512).write('00077777777\0', 124, 'latin1') // length of the L record
    let sum = 0
    long.fill(0x20, 148, 156)
    for (const byte of long.subarray(0, 512)) sum += byte
    Buffer.from(long.buffer, long.byteOffset, 512).write(
      `${sum.toString(8).padStart(6, '0')}\0 `,
      148,
      'latin1',
    )
    await assert.rejects(write(long), LimitError)
  })

  it('refuses a folder that is not empty, unless told', async () => {
    mkdirSync(target)
    writeFileSync(join(target, 'mine'), 'kept')
    writeFileSync(join(target, 'old'), 'old')
    symlinkSync(folder, join(target, 'elsewhere'))
    const image = archive({ path: 'old', content: 'new' }, { path: 'elsewhere/x', content: 'inside' })
    await assert.rejects(write(image), ConflictError)
    assert.equal(readFileSync(join(target, 'old'), 'utf8'), 'old')
    await write(image, { force: true })
    assert.equal(readFileSync(join(target, 'old'), 'utf8'), 'new')
    assert.equal(readFileSync(join(target, 'mine'), 'utf8'), 'kept')
    assert.equal(
      lstatSync(join(target, 'elsewhere')).isDirectory(),
      true,
      'the link went, it was not followed',
    )
    assert.equal(existsSync(join(folder, 'x')), false)
  })

  it('gives folders their modes and times after what is in them', async () => {
    await write(
      archive(
        { path: 'locked', kind: 'directory', mode: 0o500 },
        { path: 'locked/file', content: 'x' },
        { path: 'late/file', content: 'x' },
        { path: 'late', kind: 'directory', mode: 0o711, modifiedS: 5 },
        { path: '', kind: 'directory', mode: 0o750, modifiedS: 7 },
      ),
    )
    assert.equal(statSync(join(target, 'locked')).mode & 0o7777, 0o500)
    assert.equal(statSync(join(target, 'locked')).mtimeMs, 1_000_000_000_000)
    assert.equal(statSync(join(target, 'late')).mode & 0o7777, 0o711)
    assert.equal(statSync(join(target, 'late')).mtimeMs, 5000)
    assert.equal(statSync(target).mode & 0o7777, 0o750)
    assert.equal(statSync(target).mtimeMs, 7000)
  })

  it('counts what only root can make, and never makes a setuid file of the wrong owner', async () => {
    const image = archive(
      { path: 'tool', mode: 0o4755, uid: UID + 1, content: 'x' },
      { path: 'null', kind: 'char', major: 1, minor: 3 },
      { path: 'pipe', kind: 'fifo' },
      { path: 'mine', mode: 0o2755, content: 'x' },
    )
    const writer = await write(image, { uid: UID === 0 ? 12345 : UID }) // as somebody who is not root
    assert.equal(writer.leftOut.devices, 1)
    assert.equal(statSync(join(target, 'tool')).mode & 0o7777, 0o755)
    assert.equal(lstatSync(join(target, 'pipe')).isFIFO(), true)
    assert.ok(writer.leftOut.owners >= 1)
    assert.ok(writer.leftOut.specialModes >= 1)
    assert.deepEqual(
      readdirSync(target).filter((name) => name.startsWith('.')),
      [],
    )
  })
})
