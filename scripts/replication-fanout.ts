/** One image to many nodes over slow lines, as each would like to have it at once. */
import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { rm } from 'node:fs/promises'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { FarmNodes, type FarmNode } from '../test/integration/farm-nodes.ts'
import type { Hosts } from '../test/doubles/hosts.ts'
import { cpuShare, progress } from './figures.ts'
import type { Figure } from './figures.ts'
import { IMAGE, randomFile, type ImageOptions } from './image-farm.ts'

const MIB = 2 ** 20
const POLL_MS = 250
const LINE_MS = 60_000

export interface FanOutOptions extends ImageOptions {
  readonly nodes: number
  readonly rateMbit: number
}

export async function fanOut({ nodes, mib, rateMbit, place }: FanOutOptions): Promise<Figure[]> {
  const farm = await FarmNodes.open({ sites: [nodes + 1], rateMbit, place })
  const folder = await randomFile(place, mib)
  try {
    const goodput = await measureLine(farm.hosts, (rateMbit * MIB) / 4)
    const boundS = (mib * MIB) / goodput
    progress(`a line of ${rateMbit} Mbit/s carries ${(goodput / 1e6).toFixed(2)} MB/s`)
    await farm.found()
    const [seed, ...others] = farm.all
    if (seed === undefined) return []
    progress(`${nodes + 1} nodes are a farm`)
    const before = farm.hosts.at(0).traffic().sentBytes
    await seed.zhub('put', folder, IMAGE)
    progress(`${mib} MiB are on the first`)
    const cpu = cpuShare()
    const startedMs = performance.now()
    const patienceMs = 60_000 + 4000 * boundS
    const seconds = await Promise.all(others.map((node) => untilComplete(node, startedMs, patienceMs)))
    const busy = cpu()
    const sent = (farm.hosts.at(0).traffic().sentBytes - before) / (mib * MIB)
    const sorted = seconds.toSorted((x, y) => x - y)
    const what = `${mib} MiB to ${nodes} nodes, ${rateMbit} Mbit/s each way`
    const took = (name: string, tookS: number, most: number): Figure => ({
      what: `${what}: ${name}`,
      measured: `${tookS.toFixed(1)} s = ${(tookS / boundS).toFixed(2)} × (CPU ${(100 * busy).toFixed(0)} %)`,
      bound: `${most} × ${boundS.toFixed(1)} s`,
      isKept: tookS <= most * boundS,
    })
    return [
      took('median', sorted[sorted.length >> 1] ?? NaN, 1.15),
      took('slowest', sorted.at(-1) ?? NaN, 1.5),
      {
        what: `${what}: sent by the first`,
        measured: `${sent.toFixed(2)} images`,
        bound: '1.5',
        isKept: sent <= 1.5,
      },
    ]
  } finally {
    await farm.close()
    await rm(folder, { recursive: true, force: true })
  }
}

/** Seconds since `startedMs` until a node has all of the image; `Infinity` when it has it not in time. */
async function untilComplete(node: FarmNode, startedMs: number, patienceMs: number): Promise<number> {
  for (;;) {
    const { status, headers } = await node.get(`/${IMAGE}.flist.md5`)
    const tookMs = performance.now() - startedMs
    if (status === 200 && headers['x-hub-complete'] === 'true') {
      progress(`${node.name} has it after ${(tookMs / 1000).toFixed(1)} s`)
      return tookMs / 1000
    }
    if (tookMs > patienceMs) return Infinity
    await sleep(POLL_MS)
  }
}

/** Bytes a second that plain TCP gets from the second host to the third, once it flows. */
async function measureLine(hosts: Hosts, bytes: number): Promise<number> {
  const sink = `
    require('node:net').createServer((socket) => {
      let got = 0, first = 0, skipped = 0
      socket.on('data', (piece) => {
        got += piece.length
        if (got < ${bytes} / 4) { skipped = got; first = performance.now() }
        else if (got >= ${bytes}) {
          console.log('rate', (got - skipped) / (performance.now() - first) * 1000)
          process.exit()
        }
      })
    }).listen(7000, '0.0.0.0', () => console.log('listens'))`
  const receiver = hosts.at(2).spawn(process.execPath, ['-e', sink], { stdio: ['ignore', 'pipe', 'inherit'] })
  const source = `require('node:net').connect(7000, '${hosts.at(2).address}').end(Buffer.alloc(${bytes}))`
  let sender: ChildProcess | undefined
  const late = setTimeout(() => receiver.kill(), LINE_MS)
  try {
    for await (const line of createInterface({ input: receiver.stdout ?? assert.fail() })) {
      const [word, rate] = line.split(' ')
      if (word === 'rate') return Number(rate)
      sender = hosts.at(1).spawn(process.execPath, ['-e', source], { stdio: 'ignore' })
    }
    throw new Error('nothing goes over the line')
  } finally {
    clearTimeout(late)
    receiver.kill()
    sender?.kill()
  }
}
