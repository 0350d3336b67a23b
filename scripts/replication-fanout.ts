/** One image to many nodes over slow lines, as each would like to have it at once. */
import { once } from 'node:events'
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { FarmNodes, type FarmNode } from '../test/integration/farm-nodes.ts'
import type { Hosts } from '../test/doubles/hosts.ts'
import { noise } from '../test/doubles/noise.ts'

const MIB = 2 ** 20
const NAME = 'Administrator/image'
const POLL_MS = 250
/** After which a node counts as never. */
const PATIENCE_MS = 20 * 60_000

export interface FanOutOptions {
  readonly nodes: number
  readonly mib: number
  readonly rateMbit: number
  readonly place: string
}

export async function fanOut({ nodes, mib, rateMbit, place }: FanOutOptions): Promise<void> {
  const farm = await FarmNodes.open({ sites: [nodes + 1], rateMbit, place })
  try {
    const goodput = await measureLine(farm.hosts, 8 * MIB)
    const boundS = (mib * MIB) / goodput
    console.log(
      `lines of ${rateMbit} Mbit/s carry ${(goodput / 1e6).toFixed(2)} MB/s: ${mib} MiB take ${boundS.toFixed(1)} s at least, and ${(nodes * boundS).toFixed(0)} s from one server alone`,
    )
    await farm.found()
    const [seed, ...others] = farm.all
    if (seed === undefined) return
    const folder = await randomFile(place, mib)
    const before = farm.hosts.at(0).traffic().sentBytes
    await seed.zhub('put', folder, NAME)
    const startedMs = performance.now()
    const seconds = await Promise.all(others.map((node) => untilComplete(node, startedMs)))
    const uploaded = farm.hosts.at(0).traffic().sentBytes - before
    await rm(folder, { recursive: true })
    const sorted = seconds.toSorted((x, y) => x - y)
    const median = sorted[sorted.length >> 1] ?? NaN
    const slowest = sorted.at(-1) ?? NaN
    console.log(
      `median   ${median.toFixed(1)} s = ${(median / boundS).toFixed(2)} × the bound (at most 1.15)`,
    )
    console.log(
      `slowest  ${slowest.toFixed(1)} s = ${(slowest / boundS).toFixed(2)} × the bound (at most 1.5)`,
    )
    console.log(
      `the seed sent ${(uploaded / MIB).toFixed(0)} MiB = ${(uploaded / (mib * MIB)).toFixed(2)} × the image (at most 1.5)`,
    )
  } finally {
    await farm.close()
  }
}

/** A folder with one file that nothing can compress. */
export async function randomFile(place: string, mib: number): Promise<string> {
  const folder = join(place, `zhub-image-${process.pid}`)
  await mkdir(folder, { recursive: true })
  const file = await open(join(folder, 'file'), 'w')
  for (let at = 0; at < mib; at++) await file.write(noise(at + 1, MIB))
  await file.close()
  return folder
}

/** Seconds since `startedMs` until a node has all of the image. */
async function untilComplete(node: FarmNode, startedMs: number): Promise<number> {
  for (;;) {
    const { status, headers } = await node.get(`/${NAME}.flist.md5`)
    const tookMs = performance.now() - startedMs
    if (status === 200 && headers['x-hub-complete'] === 'true') return tookMs / 1000
    if (tookMs > PATIENCE_MS) return Infinity
    await sleep(POLL_MS)
  }
}

/** Bytes a second that plain TCP gets from the second host to the third. */
async function measureLine(hosts: Hosts, bytes: number): Promise<number> {
  const sink = `
    require('node:net').createServer((socket) => {
      let got = 0
      socket.on('data', (piece) => { got += piece.length; if (got >= ${bytes}) { console.log('got'); process.exit() } })
    }).listen(7000, '0.0.0.0', () => console.log('listens'))`
  const receiver = hosts.at(2).spawn(process.execPath, ['-e', sink], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(receiver.stdout ?? receiver, 'data')
  const source = `require('node:net').connect(7000, '${hosts.at(2).address}').end(Buffer.alloc(${bytes}))`
  const startedMs = performance.now()
  hosts.at(1).spawn(process.execPath, ['-e', source], { stdio: 'ignore' })
  await once(receiver, 'exit')
  return bytes / ((performance.now() - startedMs) / 1000)
}
