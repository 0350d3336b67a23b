/** A farm made by the commands that an operator types, of real processes on loopback. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { member, tarOf } from '../doubles/tar-bytes.ts'
import { cleanEnvironment, PROGRAM, startNode, type NodeProcess } from './node-process.ts'

const SETTINGS = { ZHUB_MIN_FREE: '0', ZHUB_P2P: '/ip4/127.0.0.1/tcp/0', ZHUB_MDNS: 'off' }

interface RealmView {
  readonly realm: string
  readonly name: string
  readonly node: string
  readonly members: ReadonlyArray<{ readonly name: string; readonly state: string; readonly roles: string[] }>
}

class Folder {
  readonly data: string
  process: NodeProcess | undefined

  constructor(data: string) {
    this.data = data
  }

  async start(): Promise<NodeProcess> {
    this.process = await startNode(this.data, SETTINGS)
    return this.process
  }

  async stop(): Promise<void> {
    await this.process?.stop()
    this.process = undefined
  }

  attempt(...words: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const env = cleanEnvironment({ ZHUB_DATA: this.data, ...SETTINGS })
    return new Promise((resolve) => {
      execFile(process.execPath, [PROGRAM, ...words], { env, timeout: 60_000 }, (error, stdout, stderr) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
      })
    })
  }

  async zhub(...words: string[]): Promise<string> {
    const { code, stdout, stderr } = await this.attempt(...words)
    assert.equal(code, 0, `zhub ${words.join(' ')}: ${stderr}\n${this.process?.log() ?? ''}`)
    return stdout.trim()
  }

  /** `undefined` while the node opens again. */
  async #json<T>(path: string): Promise<T | undefined> {
    const response = await fetch(`${this.process?.http}${path}`)
    const text = await response.text()
    if (response.status === 404 || response.status === 503) return undefined
    assert.equal(response.status, 200, text)
    return JSON.parse(text) as T
  }

  async view(): Promise<RealmView | undefined> {
    return this.#json<RealmView>('/api/v1/realm')
  }

  async list(): Promise<string[]> {
    const rows = (await this.#json<Array<{ name: string }>>('/api/flist/Administrator')) ?? []
    return rows.map(({ name }) => name).sort()
  }

  async status(): Promise<{ counts: { chunks: number } } | undefined> {
    return this.#json('/api/v1/status')
  }

  async fsck(): Promise<void> {
    const report = JSON.parse(await this.zhub('fsck', '--json')) as { ok: boolean; problems: unknown }
    assert.ok(report.ok, JSON.stringify(report.problems))
  }

  async put(name: string, content: string): Promise<void> {
    const form = new FormData()
    const archive = gzipSync(tarOf(member({ path: 'etc/hostname', content })))
    form.append('file', new Blob([archive]), `${name}.tar.gz`)
    const node = this.process ?? assert.fail('not running')
    const response = await fetch(`${node.http}/api/flist/me/upload`, {
      method: 'POST',
      headers: { authorization: `bearer ${node.token}` },
      body: form,
    })
    assert.equal(response.status, 200, await response.text())
  }

  /** Whom a token proves here. */
  async signsIn(token: string): Promise<boolean> {
    const response = await fetch(`${this.process?.http}/api/flist/me`, {
      headers: { authorization: `bearer ${token}` },
    })
    await response.arrayBuffer()
    return response.status === 200
  }
}

async function folders(context: TestContext, count: number): Promise<Folder[]> {
  const root = await mkdtemp(join(tmpdir(), 'zhub-realm-'))
  const all = Array.from({ length: count }, (_, at) => new Folder(join(root, String(at))))
  context.after(async () => {
    for (const folder of all) await folder.stop()
    await rm(root, { recursive: true, force: true })
  })
  return all
}

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const byMs = Date.now() + 30_000
  while (!(await check())) {
    assert.ok(Date.now() < byMs, what)
    await sleep(100)
  }
}

describe('a farm', () => {
  it('is made by three commands while nodes run: content comes along, tokens are good everywhere, and void', async (context) => {
    const [a, b] = (await folders(context, 2)) as [Folder, Folder]
    const [onA, onB] = [await a.start(), await b.start()]
    await a.put('one', 'a')
    await b.put('two', 'b')
    const early = await a.attempt('realm', 'invite')
    assert.match(early.stderr, /realm create/)
    await a.zhub('realm', 'create', 'farm', '--as', 'first')
    const invite = await a.zhub('realm', 'invite')
    assert.match(invite, /^zhub1:[\w-]+$/)
    await b.zhub('realm', 'join', invite, '--as', 'second')
    const [viewA, viewB] = [await a.view(), await b.view()]
    assert.equal(viewB?.realm, viewA?.realm)
    assert.equal(viewB?.name, 'farm')
    assert.deepEqual(viewA?.members.map(({ name }) => name).sort(), ['first', 'second'])
    assert.ok((await b.list()).includes('two.flist'))
    await b.fsck()

    const token = await a.zhub('token', 'create', 'alice')
    await until('a token of A is good on B', () => b.signsIn(token))
    assert.ok(await b.signsIn(onA.token))
    assert.ok(await a.signsIn(onB.token))
    await until('everything is on both', async () => {
      const [left, right] = [await a.list(), await b.list()]
      return left.length === 2 && right.length === 2
    })
    await a.zhub('token', 'revoke', 'alice')
    await until('what A revoked is void on B', async () => !(await b.signsIn(token)))

    const again = await b.attempt('realm', 'join', invite)
    assert.equal(again.code, 1)
    assert.match(again.stderr, /in that realm already/)
    assert.equal((await b.attempt('realm', 'cut', 'first')).code, 4)

    await a.zhub('realm', 'cut', 'second')
    await until('the tokens of a node that was cut are void', async () => !(await a.signsIn(onB.token)))
    assert.equal((await a.view())?.members.find(({ name }) => name === 'second')?.state, 'cut')
    await a.zhub('realm', 'uncut', 'second')
    assert.ok(await a.signsIn(onB.token))
  })

  it('takes a node in that was told before it ran, once its inviter answers; an invite is good once', async (context) => {
    const [a, b, c] = (await folders(context, 3)) as [Folder, Folder, Folder]
    await a.start()
    await a.zhub('realm', 'create', 'farm')
    const invite = await a.zhub('realm', 'invite')
    const stored = await b.attempt('realm', 'join', invite)
    assert.match(stored.stderr, /zhub serve joins/)
    await b.start()
    await until('B joins', async () => (await b.view())?.name === 'farm')
    await a.zhub('realm', 'invite')
    await c.start()
    const used = await c.attempt('realm', 'join', invite)
    assert.equal(used.code, 4)
    assert.match(used.stderr, /was used, or has ended/)
    assert.equal((await c.view())?.name, '')
  })

  it('is left by a node with all it holds, and lets it come back', async (context) => {
    const [a, b] = (await folders(context, 2)) as [Folder, Folder]
    await a.start()
    await b.start()
    await a.zhub('realm', 'create', 'farm', '--as', 'first')
    await a.put('one', 'a')
    await b.zhub('realm', 'join', await a.zhub('realm', 'invite'), '--as', 'second')
    await until('B has what A has', async () => (await b.list()).length === 1)
    await until('B holds it', async () => ((await b.status())?.counts.chunks ?? 0) > 0)
    await b.zhub('realm', 'leave')
    assert.notEqual((await b.view())?.realm, (await a.view())?.realm)
    assert.deepEqual(await b.list(), ['one.flist'])
    await b.fsck()
    await until(
      'A knows',
      async () => (await a.view())?.members.some(({ state }) => state === 'left') === true,
    )
    await b.zhub('realm', 'join', await a.zhub('realm', 'invite'), '--as', 'second')
    assert.equal((await b.view())?.realm, (await a.view())?.realm)
    await b.fsck()
    assert.equal((await a.attempt('realm', 'leave')).code, 1)
  })

  it('gives a node another key, under which it goes on', async (context) => {
    const [a] = (await folders(context, 1)) as [Folder]
    await a.start()
    await a.zhub('realm', 'create', 'farm', '--as', 'first')
    await a.put('one', 'a')
    const before = await a.view()
    await a.zhub('realm', 'rotate')
    const after = await a.view()
    assert.notEqual(after?.node, before?.node)
    assert.deepEqual(await a.list(), ['one.flist'])
    await a.put('two', 'b')
    await a.fsck()
    await a.stop()
    await a.start()
    assert.equal((await a.view())?.node, after?.node)
    assert.equal((await a.list()).length, 2)
  })
})
