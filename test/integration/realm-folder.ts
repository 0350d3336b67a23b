import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestContext } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { gzipSync } from 'node:zlib'
import { member, tarOf } from '../doubles/tar-bytes.ts'
import { cleanEnvironment, PROGRAM, startNode, type NodeProcess } from './node-process.ts'

const SETTINGS = { ZHUB_MIN_FREE: '0', ZHUB_P2P: '/ip4/127.0.0.1/tcp/0', ZHUB_MDNS: 'off' }

export interface RealmView {
  readonly realm: string
  readonly name: string
  readonly node: string
  readonly joining: boolean
  readonly members: ReadonlyArray<{ readonly name: string; readonly state: string; readonly roles: string[] }>
}

/** A data folder, the node that runs in it, and the commands that its operator types. */
export class Folder {
  readonly data: string
  process: NodeProcess | undefined

  constructor(data: string) {
    this.data = data
  }

  async start(settings: Readonly<Record<string, string>> = {}): Promise<NodeProcess> {
    this.process = await startNode(this.data, { ...SETTINGS, ...settings })
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
    const headers = { authorization: `bearer ${this.process?.token}` }
    const response = await fetch(`${this.process?.http}${path}`, { headers })
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

  /** Is another node connected with this one? */
  async hasPeers(): Promise<boolean> {
    const page = await this.#json<{ items: Array<{ connected: boolean }> }>('/api/v1/peers')
    return page?.items.some(({ connected }) => connected) === true
  }

  async status(): Promise<{ counts: { chunks: number }; cut: boolean } | undefined> {
    return this.#json('/api/v1/status')
  }

  async fsck(): Promise<void> {
    const report = JSON.parse(await this.zhub('fsck', '--json')) as { ok: boolean; problems: unknown }
    assert.ok(report.ok, JSON.stringify(report.problems))
  }

  async put(name: string, content: string): Promise<void> {
    const { status, text } = await this.upload(name, content)
    assert.equal(status, 200, text)
  }

  async upload(name: string, content: string): Promise<{ readonly status: number; readonly text: string }> {
    const form = new FormData()
    const archive = gzipSync(tarOf(member({ path: 'etc/hostname', content })))
    form.append('file', new Blob([archive]), `${name}.tar.gz`)
    const node = this.process ?? assert.fail('not running')
    const response = await fetch(`${node.http}/api/flist/me/upload`, {
      method: 'POST',
      headers: { authorization: `bearer ${node.token}` },
      body: form,
    })
    return { status: response.status, text: await response.text() }
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

export async function folders(context: TestContext, count: number): Promise<Folder[]> {
  const root = await mkdtemp(join(tmpdir(), 'zhub-realm-'))
  const all = Array.from({ length: count }, (_, at) => new Folder(join(root, String(at))))
  context.after(async () => {
    for (const folder of all) await folder.process?.kill()
    await rm(root, { recursive: true, force: true })
  })
  return all
}

export async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const byMs = Date.now() + 30_000
  while (!(await check())) {
    assert.ok(Date.now() < byMs, what)
    await sleep(100)
  }
}
