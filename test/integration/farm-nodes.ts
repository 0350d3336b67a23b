/** Nodes of one realm, each a process of its own on a host of its own, run by the commands that an operator types. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { request, type RequestOptions } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Hosts, type Host, type HostsOptions } from '../doubles/hosts.ts'
import type { Mounted } from './mount.ts'
import { cleanEnvironment, PROGRAM, startNode, type NodeProcess } from './node-process.ts'

const MOUNT = fileURLToPath(new URL('mount.js', import.meta.url))
/** Asking a node again what it does not show yet. */
const POLL_MS = 100
/** For one command, or one answer: none of them may hold up a test for ever. */
const COMMAND_MS = 90_000
/** Of a node's log, what a report shows; characters. */
const LOG_TAIL = 6000

export interface FarmNodesOptions extends HostsOptions {
  readonly settings?: Readonly<Record<string, string>>
  /** Where the data folders are made; by default with the temporary files. */
  readonly place?: string
}

export class FarmNode {
  readonly name: string
  readonly host: Host
  readonly data: string
  readonly #settings: Readonly<Record<string, string>>
  /** Of the processes that have ended. */
  readonly #logs: string[] = []
  process: NodeProcess | undefined

  constructor(name: string, host: Host, data: string, settings: Readonly<Record<string, string>>) {
    this.name = name
    this.host = host
    this.data = data
    this.#settings = { ZHUB_P2P: `/ip4/${host.address}/tcp/9901`, ...settings }
  }

  async start(): Promise<void> {
    const settings = { ZHUB_HTTP: '127.0.0.1:5555', ZHUB_RESP: '127.0.0.1:9900', ...this.#settings }
    this.process = await startNode(this.data, settings, (command, args, options) =>
      this.host.spawn(command, args, options),
    )
  }

  async stop(): Promise<void> {
    await this.#end((running) => running.stop())
  }

  async kill(): Promise<void> {
    await this.#end((running) => running.kill())
  }

  async #end(how: (running: NodeProcess) => Promise<unknown>): Promise<void> {
    const running = this.process
    if (running === undefined) return
    await how(running)
    this.#logs.push(running.log())
    this.process = undefined
  }

  /** A command on this node's data folder; answers its stdout. */
  async zhub(...words: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.attempt(...words)
    assert.equal(code, 0, `${this.name}: zhub ${words.join(' ')}: ${stderr}${this.process?.log() ?? ''}`)
    return stdout
  }

  attempt(...words: readonly string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    const env = cleanEnvironment({ ZHUB_DATA: this.data, ZHUB_MIN_FREE: '0', ...this.#settings })
    return new Promise((resolve) => {
      execFile(
        process.execPath,
        [PROGRAM, ...words],
        { env, timeout: COMMAND_MS },
        (error, stdout, stderr) => {
          resolve({ code: error === null ? 0 : Number(error.code ?? 1), stdout, stderr })
        },
      )
    })
  }

  /** `zhub status`, the names it lists, and the end of its log. */
  async report(): Promise<string> {
    const said = this.process === undefined ? 'it does not run' : (await this.attempt('status')).stdout
    const names = (await this.attempt('ls')).stdout.trim().split('\n').join(' ')
    const log = this.#logs
      .concat(this.process?.log() ?? '')
      .join('--- started again\n')
      .slice(-LOG_TAIL)
    return `=== ${this.name}\n${said}lists: ${names}\nlog:\n${log}`
  }

  async json<T>(...words: readonly string[]): Promise<T> {
    return JSON.parse(await this.zhub(...words, '--json')) as T
  }

  /** What the API answers to the local operator, over the socket in the data folder. */
  get(path: string): Promise<Answer> {
    return send({ socketPath: join(this.data, 'control.sock'), path })
  }

  async getJson<T>(path: string): Promise<T> {
    const { status, body } = await this.get(path)
    assert.equal(status, 200, `${this.name}: ${path}: ${body.toString()}`)
    return JSON.parse(body.toString()) as T
  }

  /** As the local operator, over the socket. */
  async upload(name: string, archive: Uint8Array): Promise<void> {
    const form = new FormData()
    form.set('file', new Blob([Uint8Array.from(archive)]), name)
    const encoded = new Response(form)
    const body = Buffer.from(await encoded.arrayBuffer())
    const headers = {
      'content-type': encoded.headers.get('content-type') ?? '',
      'content-length': String(body.length),
    }
    const options = { method: 'POST', socketPath: join(this.data, 'control.sock'), headers }
    const answer = await send({ ...options, path: '/api/flist/me/upload' }, body)
    assert.equal(answer.status, 200, `${this.name}: ${name}: ${answer.body.toString()}`)
  }

  /** Everything this node lists, as a client in its network mounts it. */
  async mount(): Promise<Mounted> {
    return JSON.parse(await this.#client([MOUNT, 'http://127.0.0.1:5555', '127.0.0.1:9900'])) as Mounted
  }

  /** The status that the API answers in its network to whoever has this token. */
  async statusWith(token: string, path: string): Promise<number> {
    const ask =
      'fetch(process.argv[1],{headers:{authorization:`Bearer ${process.argv[2]}`}}).then(a=>console.log(a.status))'
    return Number(await this.#client(['-e', ask, `http://127.0.0.1:5555${path}`, token]))
  }

  /** Stdout of a program of Node's on this host. */
  async #client(args: readonly string[]): Promise<string> {
    const child = this.host.spawn(process.execPath, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: COMMAND_MS,
    })
    let [stdout, stderr] = ['', '']
    child.stdout?.on('data', (piece) => (stdout += String(piece)))
    child.stderr?.on('data', (piece) => (stderr += String(piece)))
    const code = await new Promise((resolve) => child.once('close', resolve))
    assert.equal(code, 0, `${this.name}: ${stderr}`)
    return stdout
  }
}

const SIGNALS = ['SIGINT', 'SIGTERM'] as const

interface Answer {
  readonly status: number
  readonly headers: Record<string, unknown>
  readonly body: Buffer
}

function send(options: RequestOptions, body?: Buffer): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const sent = request(options, (response) => {
      const pieces: Buffer[] = []
      response.on('data', (piece: Buffer) => pieces.push(piece))
      response.on('error', reject)
      response.on('end', () => {
        const { statusCode: status = 0, headers } = response
        resolve({ status, headers, body: Buffer.concat(pieces) })
      })
    })
    sent.on('error', reject)
    sent.setTimeout(COMMAND_MS, () => sent.destroy(new Error(`${options.path}: no answer`)))
    sent.end(body)
  })
}

/** A realm of nodes on hosts. `close` stops what runs and takes everything away. */
export class FarmNodes {
  readonly hosts: Hosts
  readonly all: readonly FarmNode[]
  readonly #folder: string

  /** Whoever ends the test before its time leaves no process and no host behind either. */
  readonly #interrupted = () => void this.close().finally(() => process.exit(1))

  private constructor(hosts: Hosts, folder: string, settings: Readonly<Record<string, string>>) {
    this.hosts = hosts
    this.#folder = folder
    for (const signal of SIGNALS) process.on(signal, this.#interrupted)
    this.all = hosts.all.map((host, at) => {
      const name = String.fromCharCode(65 + at)
      return new FarmNode(name, host, join(folder, name), settings)
    })
  }

  static async open({ settings = {}, place = tmpdir(), ...options }: FarmNodesOptions): Promise<FarmNodes> {
    const folder = await mkdtemp(join(place, 'zhub-farm-'))
    return new FarmNodes(Hosts.open(options), folder, settings)
  }

  at(index: number): FarmNode {
    return this.all[index] ?? assert.fail(`no node ${index}`)
  }

  /** Starts all; the first one's realm, which the others join by its invites. */
  async found(name = 'farm'): Promise<void> {
    await Promise.all(this.all.map((node) => node.start()))
    const first = this.at(0)
    await first.zhub('realm', 'create', name)
    const joining: Array<Promise<string>> = []
    for (const node of this.all.slice(1)) {
      const invite = await first.zhub('realm', 'invite')
      joining.push(node.zhub('realm', 'join', invite.trim()))
    }
    await Promise.all(joining)
  }

  /** What every node says of itself and has logged, for whoever reads why a test failed. */
  async report(): Promise<string> {
    return (await Promise.all(this.all.map((node) => node.report()))).join('\n')
  }

  async close(): Promise<void> {
    await Promise.all(this.all.map((node) => node.kill()))
    this.hosts.close()
    await rm(this.#folder, { recursive: true, force: true })
    for (const signal of SIGNALS) process.off(signal, this.#interrupted)
  }
}

/** Asks until what comes is right, for `withinMs` at most. @throws what the last asking threw. */
export async function eventually<T>(ask: () => Promise<T>, withinMs = 30_000): Promise<T> {
  for (const untilMs = performance.now() + withinMs; ;) {
    try {
      return await ask()
    } catch (error) {
      if (performance.now() > untilMs) throw error
      await sleep(POLL_MS)
    }
  }
}
