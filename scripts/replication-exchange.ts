/** One image from one node to one other on this machine, beside what a raw libp2p stream and the store alone do here. */
import { execFile } from 'node:child_process'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { FarmNode } from '../test/integration/farm-nodes.ts'
import { progress } from './figures.ts'
import type { Figure } from './figures.ts'
import { heldBytes, IMAGE, withPair, type ImageOptions } from './image-farm.ts'

const MIB = 2 ** 20
const LEAST = 200
const SHARE = 0.8
const POLL_MS = 20
const PATIENCE_MS = 2 * 60_000
/** Of the image: how it begins is the time of a hint, how it ends that of the last chunks. */
const [FROM, TO] = [0.1, 0.9]

export async function exchange(options: ImageOptions): Promise<Figure[]> {
  const { mib, place } = options
  const raw = await rateOf('bench-net.js', ['--mib', String(mib), '--rounds', '3'], /raw\s+(\d+) MB\/s/)
  const store =
    (await rateOf(
      'bench-store.js',
      ['--mib', String(mib), '--rows', '1'],
      /300 KiB chunks.*?([\d.]+) MiB\/s/,
      place,
    )) *
    (MIB / 1e6)
  progress(`a raw stream takes ${raw.toFixed(0)} MB/s, the store ${store.toFixed(0)}`)
  return withPair(options, async ({ b }) => {
    const rate = await rateInto(b, mib * MIB)
    const slower = Math.min(raw, store)
    return [
      {
        what: `${mib} MiB from one node to one other, verified and stored`,
        measured: `${rate.toFixed(0)} MB/s = ${(rate / slower).toFixed(2)} × the slower`,
        bound: `${LEAST} MB/s; ${SHARE} × the slower of a raw stream (${raw.toFixed(0)}) and the store (${store.toFixed(0)})`,
        isKept: rate >= LEAST && rate >= SHARE * slower,
      },
    ]
  })
}

async function rateOf(
  script: string,
  args: readonly string[],
  pattern: RegExp,
  place?: string,
): Promise<number> {
  const path = fileURLToPath(new URL(script, import.meta.url))
  const env = { ...process.env, ...(place !== undefined && { TMPDIR: place }) }
  const { stdout } = await promisify(execFile)(process.execPath, [path, ...args], {
    env,
    timeout: PATIENCE_MS,
  })
  const rate = Number(pattern.exec(stdout)?.[1])
  if (!(rate > 0)) throw new Error(`${script} says no rate:\n${stdout}`)
  return rate
}

/** MB/s while most of the image comes; waits until all of it is held. */
async function rateInto(node: FarmNode, bytes: number): Promise<number> {
  let [begin, end] = [
    { ms: 0, bytes: 0 },
    { ms: 0, bytes: 0 },
  ]
  for (const endMs = performance.now() + PATIENCE_MS; performance.now() < endMs; await sleep(POLL_MS)) {
    const now = { bytes: await heldBytes(node), ms: performance.now() }
    if (now.bytes < FROM * bytes) begin = now
    if (now.bytes < TO * bytes) end = now
    const { headers } = await node.get(`/${IMAGE}.flist.md5`)
    if (headers['x-hub-complete'] === 'true') {
      if (end.ms > begin.ms && begin.ms > 0) return (end.bytes - begin.bytes) / 1000 / (end.ms - begin.ms)
      throw new Error('it came before anybody looked: give more MiB')
    }
  }
  throw new Error('it did not come')
}
