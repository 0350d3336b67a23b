/** Commands as an operator types them: on a stopped data folder, on a running node, and on one somewhere else. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { cleanEnvironment, PROGRAM, startNode } from '../integration/node-process.ts'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

describe('a command', () => {
  let folder = ''
  let data = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'zhub-cli-'))
    data = join(folder, 'data')
    await mkdir(join(folder, 'image', 'etc'), { recursive: true })
    await writeFile(join(folder, 'image', 'etc', 'motd'), 'welcome\n')
  })
  after(() => rm(folder, { recursive: true, force: true }))

  async function zhub(words: readonly string[], stdin = ''): Promise<Ended> {
    const child = spawn(process.execPath, [PROGRAM, ...words], {
      env: cleanEnvironment({ ZHUB_DATA: data, ZHUB_MIN_FREE: '0' }),
      stdio: ['pipe', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (piece: Buffer) => (stdout += piece.toString()))
    child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()))
    child.stdin.on('error', () => {}) // a command may end before it has read everything
    child.stdin.end(stdin)
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, stdout, stderr }
  }

  it('works on a stopped data folder, which it makes', async () => {
    assert.deepEqual(await zhub(['put', join(folder, 'image'), 'first']), {
      code: 0,
      stdout: 'Administrator/first.flist\n',
      stderr: '',
    })
    assert.equal((await zhub(['cat', 'Administrator/first', '/etc/motd'])).stdout, 'welcome\n')
    assert.equal((await zhub(['cat', 'Administrator/first', 'etc'])).code, 1)
    assert.equal((await zhub(['info', 'Administrator/nothing'])).code, 3)
    assert.equal((await stat(join(data, 'admin.token'))).mode & 0o777, 0o600)
  })

  it('works on the running node of that folder, and on it from somewhere else', async () => {
    const node = await startNode(data)
    try {
      assert.equal((await zhub(['ls'])).stdout, 'Administrator/first.flist\n')
      const remote = ['--url', node.http, '--token', node.token]
      assert.equal((await zhub(['put', '-', 'alice/piped', ...remote], 'no archive')).code, 1)
      assert.equal((await zhub(['put', join(folder, 'image'), 'alice/second', ...remote])).code, 0)
      assert.equal((await zhub(['ls', 'alice'])).stdout, 'alice/second.flist\n')
      assert.equal((await zhub(['rm', 'alice/second', '--url', node.http])).code, 4)
      assert.equal((await zhub(['rm', 'alice/second', ...remote])).code, 0)
      assert.equal((await zhub(['rm', 'alice/second', ...remote])).code, 3)
    } finally {
      await node.stop()
    }
  })

  it('makes a token that signs in, and takes it back', async () => {
    const node = await startNode(data)
    try {
      const token = (await zhub(['token', 'create', 'bob', '--ttl', '1h'])).stdout.trim()
      const put = ['put', join(folder, 'image'), 'mine', '--url', node.http, '--token', token]
      assert.equal((await zhub(put)).stdout, 'bob/mine.flist\n')
      assert.match((await zhub(['token', 'list'])).stdout, /^[0-9a-f]{16} +bob /m)
      assert.doesNotMatch((await zhub(['token', 'list', '--json'])).stdout, new RegExp(token))
      assert.equal((await zhub(['token', 'revoke', 'bob'])).code, 0)
      assert.equal((await zhub(put)).code, 4)
    } finally {
      await node.stop()
    }
  })

  it('copies a node and makes one from the copy', async () => {
    const copy = join(folder, 'copy')
    assert.equal((await zhub(['backup', copy])).code, 0)
    assert.equal((await stat(join(copy, 'keys'))).mode & 0o777, 0o700)
    const elsewhere = ['--data', join(folder, 'elsewhere')]
    assert.equal((await zhub(['restore', copy, ...elsewhere])).code, 0)
    assert.equal((await zhub(['ls', ...elsewhere])).stdout, (await zhub(['ls'])).stdout)
    assert.equal((await zhub(['cat', 'Administrator/first', 'etc/motd', ...elsewhere])).stdout, 'welcome\n')
    const report = JSON.parse((await zhub(['fsck', '--json', ...elsewhere])).stdout) as { ok: boolean }
    assert.equal(report.ok, true)
    assert.equal((await zhub(['restore', copy, ...elsewhere])).code, 1)
    assert.equal((await zhub(['restore', folder, '--data', join(folder, 'third')])).code, 1)
  })

  it('leaves nothing running and nothing behind', async () => {
    assert.deepEqual(await readdir(join(data, 'tmp')), [])
    assert.doesNotMatch((await readdir(data)).join(' '), /sock|node\.json/)
    assert.match(await readFile(join(data, 'admin.token'), 'utf8'), /^\S+\n?$/)
  })
})
