/** A node for benchmarks, started as its operator starts it: the program's first line says how Node is to be run. */
import { spawn } from 'node:child_process'
import { chmod, readFile } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { cleanEnvironment, PROGRAM } from '../test/integration/node-process.ts'

export interface BenchNode {
  readonly http: string
  readonly token: string
  /** VmHWM: the largest resident set so far, in MiB. */
  peakMib(): Promise<number>
  stop(): Promise<void>
}

export async function startBenchNode(data: string): Promise<BenchNode> {
  const env = cleanEnvironment({
    ZHUB_DATA: data,
    ZHUB_HTTP: '127.0.0.1:0',
    ZHUB_RESP: '127.0.0.1:0',
    ZHUB_P2P: '/ip4/127.0.0.1/tcp/0',
    ZHUB_MDNS: 'off',
    ZHUB_LOG: 'warn',
  })
  await chmod(PROGRAM, 0o755) // the compiler leaves it plain
  const child = spawn(PROGRAM, ['serve', '--json'], { env, stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  for await (const line of createInterface({ input: child.stdout })) {
    const { http, tokenFile } = JSON.parse(line) as { http: string; tokenFile: string }
    return {
      http,
      token: (await readFile(tokenFile, 'utf8')).trim(),
      peakMib: async () => {
        const status = await readFile(`/proc/${child.pid ?? 0}/status`, 'utf8')
        return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? NaN) / 1024
      },
      stop: async () => {
        child.kill('SIGTERM')
        await exited
      },
    }
  }
  throw new Error('the node did not start')
}

export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
}
