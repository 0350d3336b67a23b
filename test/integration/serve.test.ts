/** `zhub serve` as an operator and a script see it: first line, files, signals, and everything that can go wrong at start. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { tarGzOf } from './archives.ts'
import { cleanEnvironment, PROGRAM, startNode } from './node-process.ts'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

describe('zhub serve', () => {
  let folder = ''
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'zhub-serve-'))
  })
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true })
  })

  /** A command that ends by itself. */
  function zhub(words: readonly string[], settings: Readonly<Record<string, string>> = {}): Promise<Ended> {
    const env = cleanEnvironment({ ZHUB_DATA: join(folder, 'data'), ZHUB_MIN_FREE: '0', ...settings })
    return new Promise((resolve) => {
      execFile(process.execPath, [PROGRAM, ...words], { env }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code), stdout, stderr })
      })
    })
  }

  it('says where everything is in one line of JSON, and keeps keys and token to its user', async () => {
    const node = await startNode(join(folder, 'data'))
    try {
      assert.match(node.http, /^http:\/\/127\.0\.0\.1:\d+$/)
      assert.match(node.resp, /^127\.0\.0\.1:\d+$/)
      assert.equal(node.data, join(folder, 'data'))
      assert.equal((await stat(node.tokenFile)).mode & 0o777, 0o600)
      assert.equal((await stat(join(node.data, 'keys'))).mode & 0o777, 0o700)
      for (const name of await readdir(join(node.data, 'keys'))) {
        assert.equal((await stat(join(node.data, 'keys', name))).mode & 0o777, 0o600, name)
      }
      const health = await fetch(`${node.http}/healthz`)
      assert.deepEqual([health.status, await health.json()], [200, { status: 'ok' }])
    } finally {
      assert.equal(await node.stop(), 0)
    }
  })

  it('shows the admin token in the first run only, and never logs it', async () => {
    const banner = async () => {
      const env = cleanEnvironment({
        ZHUB_DATA: join(folder, 'data'),
        ZHUB_HTTP: '127.0.0.1:0',
        ZHUB_RESP: '127.0.0.1:0',
        ZHUB_LOG: 'debug',
      })
      const child = spawn(process.execPath, [PROGRAM, 'serve'], { env, stdio: ['ignore', 'pipe', 'pipe'] })
      let [stdout, stderr] = ['', '']
      child.stderr.on('data', (piece) => (stderr += String(piece)))
      for await (const piece of child.stdout) {
        stdout += String(piece)
        if (stdout.includes('/api/flist/me/upload') && !child.killed) child.kill('SIGINT')
      }
      if (child.exitCode === null) await once(child, 'exit')
      return { stdout, stderr, code: child.exitCode }
    }
    const first = await banner()
    const token = /shown this once:\s+(\S+)/.exec(first.stdout)?.[1]
    assert.ok(token !== undefined && token.length > 80, first.stdout)
    assert.equal(first.code, 0)
    const second = await banner()
    assert.ok(!second.stdout.includes(token))
    assert.ok(!(first.stderr + second.stderr).includes(token), 'the token is in the log')
  })

  it('refuses a second node on the same data folder, and the first goes on', async () => {
    const node = await startNode(join(folder, 'data'))
    try {
      await assert.rejects(startNode(join(folder, 'data')), /in use by another zhub process/)
      assert.equal((await zhub(['ls'])).code, 0)
      assert.equal((await fetch(`${node.http}/api/flist`)).status, 200)
    } finally {
      await node.stop()
    }
  })

  it('names the setting of an address that is taken, of one it does not know, and of one it refuses', async () => {
    const node = await startNode(join(folder, 'data'))
    try {
      const taken = node.http.replace('http://', '')
      const clash = await zhub(['serve', '--json'], { ZHUB_DATA: join(folder, 'other'), ZHUB_HTTP: taken })
      assert.equal(clash.code, 1)
      const { error } = JSON.parse(clash.stdout) as { error: { code: string; message: string } }
      assert.match(error.code, /^HUB_/)
      assert.match(error.message, /http: .*in use/)
    } finally {
      await node.stop()
    }
    assert.match((await zhub(['serve'], { ZHUB_COLOUR: 'red' })).stderr, /ZHUB_COLOUR/)
    const unknown = await zhub(['serve', '--json'], { ZHUB_COLOUR: 'red' })
    assert.equal((JSON.parse(unknown.stdout) as { error: { code: string } }).error.code, 'HUB_INVALID_INPUT')
    assert.equal(unknown.code, 1)
    const open = await zhub(['serve'], { ZHUB_AUTH: 'off', ZHUB_HTTP: '0.0.0.0:0' })
    assert.deepEqual([open.code, open.stdout], [1, ''])
    assert.match(open.stderr, /auth/)
  })

  it('a second signal ends it at once, with 130', async () => {
    const node = await startNode(join(folder, 'data'))
    const socket = connect(Number(node.http.split(':').at(-1)), '127.0.0.1')
    socket.on('error', () => {})
    await once(socket, 'connect')
    // A request that never ends keeps the first signal waiting.
    socket.write(
      'POST /api/flist/me/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\nContent-Type: multipart/form-data; boundary=x\r\n',
    )
    socket.write(`Authorization: bearer ${node.token}\r\n\r\n--x\r\n`)
    await fetch(`${node.http}/healthz`)
    process.kill(node.pid, 'SIGTERM')
    const again = setInterval(() => process.kill(node.pid, 'SIGTERM'), 50)
    try {
      assert.equal(await node.stop(), 130)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
    } finally {
      clearInterval(again)
      socket.destroy()
    }
  })

  it('works the same for commands whether the node runs or not', async () => {
    const archive = join(folder, 'tiny.tar.gz')
    await writeFile(archive, await tarGzOf([{ name: 'a', content: 'text' }]))
    const put = await zhub(['put', archive, 'stopped'])
    assert.deepEqual([put.code, put.stdout], [0, 'Administrator/stopped.flist\n'], put.stderr)
    const node = await startNode(join(folder, 'data'))
    try {
      assert.equal((await zhub(['put', archive, 'running'])).code, 0)
      assert.equal((await zhub(['ls'])).stdout, 'Administrator/running.flist\nAdministrator/stopped.flist\n')
      assert.equal((await zhub(['cat', 'Administrator/stopped', 'a'])).stdout, 'text')
      const remote = await zhub(['ls', '--url', node.http, '--token', node.token], {
        ZHUB_DATA: join(folder, 'nowhere'),
      })
      assert.equal(remote.stdout, 'Administrator/running.flist\nAdministrator/stopped.flist\n')
    } finally {
      await node.stop()
    }
    assert.equal((await zhub(['cat', 'Administrator/running', 'a'])).stdout, 'text')
    assert.equal((await zhub(['cat', 'Administrator/running', 'b'])).code, 3)
    assert.equal((await zhub(['ls', '--url', node.http])).code, 5)
  })

  it('leaves client writes out in readonly, but not the local command line', async () => {
    const archive = join(folder, 'tiny.tar.gz')
    await writeFile(archive, await tarGzOf([{ name: 'a', content: 'text' }]))
    const node = await startNode(join(folder, 'data'), { ZHUB_READONLY: 'on' })
    try {
      const me = await fetch(`${node.http}/api/flist/me`, {
        headers: { authorization: `bearer ${node.token}` },
      })
      assert.equal(me.status, 400)
      assert.equal(await me.text(), '{"message":"readonly mode","status":"error"}\n')
      assert.equal((await zhub(['put', archive, 'local'])).code, 0)
    } finally {
      await node.stop()
    }
  })

  it('puts its socket elsewhere when the data folder has a long path', async () => {
    const data = join(folder, 'd'.repeat(120), 'data')
    const node = await startNode(data)
    try {
      assert.equal((await zhub(['ls'], { ZHUB_DATA: data })).code, 0)
    } finally {
      await node.stop()
    }
  })
})
