/** A real node in a process of its own, as an operator would run it. */
import { spawn, type ChildProcess, type SpawnOptions } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'

export const PROGRAM = fileURLToPath(new URL('../../src/main.js', import.meta.url))

export interface Banner {
  readonly http: string
  readonly resp: string
  readonly data: string
  readonly tokenFile: string
  readonly p2p?: readonly string[]
}

/** As node's own `spawn`; a test that has hosts starts its nodes on one of them. */
export type Spawn = (command: string, args: readonly string[], options: SpawnOptions) => ChildProcess

export interface NodeProcess extends Banner {
  readonly token: string
  readonly pid: number
  /** SIGKILL; resolves once the process is gone. */
  kill(): Promise<void>
  /** SIGTERM; resolves to the exit code, `null` for a node that had to be killed. */
  stop(): Promise<number | null>
  /** What the node wrote to stderr so far. */
  log(): string
}

/** Environment without settings of whoever runs the tests. */
export function cleanEnvironment(settings: Readonly<Record<string, string>> = {}): NodeJS.ProcessEnv {
  const inherited = Object.entries(process.env).filter(([name]) => !name.startsWith('ZHUB_'))
  return { ...Object.fromEntries(inherited), ...settings }
}

/** Starts `zhub serve --json` on free ports of loopback and waits for its first line. */
export async function startNode(
  data: string,
  settings: Readonly<Record<string, string>> = {},
  spawnWith: Spawn = spawn,
): Promise<NodeProcess> {
  const environment = cleanEnvironment({
    ZHUB_DATA: data,
    ZHUB_HTTP: '127.0.0.1:0',
    ZHUB_RESP: '127.0.0.1:0',
    ZHUB_LOG: 'warn',
    ZHUB_MIN_FREE: '0',
    ZHUB_P2P: '/ip4/127.0.0.1/tcp/0',
    ZHUB_MDNS: 'off',
    ...settings,
  })
  const child = spawnWith(process.execPath, [PROGRAM, 'serve', '--json'], {
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let log = ''
  child.stderr?.on('data', (piece: Buffer) => (log += piece.toString()))

  const line = await firstLine(child)
  const banner = readBanner(line)
  if (typeof banner === 'string') {
    child.kill('SIGKILL')
    throw new Error(`node did not start: ${banner}\n${log}`)
  }
  const token = (await readFile(banner.tokenFile, 'utf8')).trim()
  return {
    ...banner,
    token,
    pid: child.pid ?? 0,
    log: () => log,
    kill: async () => {
      await end(child, 'SIGKILL')
    },
    stop: () => end(child, 'SIGTERM'),
  }
}

/** Why there is none, as text. */
function readBanner(line: string | undefined): Banner | string {
  if (line === undefined) return 'no line on stdout'
  const banner = JSON.parse(line) as Partial<Banner> & { error?: { message: string } }
  const isWhole = [banner.http, banner.resp, banner.data, banner.tokenFile].every((one) => one !== undefined)
  return isWhole ? (banner as Banner) : (banner.error?.message ?? line)
}

/** Far more than a node needs (interfaces.md: 10 s): a test of one that does not end fails, and does not hang. */
const END_WITHIN_MS = 30_000

async function end(child: ChildProcess, signal: NodeJS.Signals): Promise<number | null> {
  if (child.exitCode === null && child.signalCode === null) {
    const exited = once(child, 'exit')
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), END_WITHIN_MS)
    await exited
    clearTimeout(timer)
  }
  return child.exitCode
}

async function firstLine(child: ChildProcess): Promise<string | undefined> {
  if (child.stdout === null) return undefined
  for await (const line of createInterface({ input: child.stdout })) return line
  return undefined
}
