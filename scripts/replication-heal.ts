/** Two halves that could not reach each other, both of which were written to: how long until all agree. */
import { setTimeout as sleep } from 'node:timers/promises'
import { FarmNodes, type FarmNode } from '../test/integration/farm-nodes.ts'
import { tarGzOf } from '../test/integration/archives.ts'

/** How long the line is down beyond the time that the writes take. */
const CUT_MS = 15_000
const PATIENCE_MS = 5 * 60_000

export interface HealOptions {
  readonly nodes: number
  /** On each side. */
  readonly writes: number
  readonly rounds: number
  readonly place: string
}

export async function heal({ nodes, writes, rounds, place }: HealOptions): Promise<void> {
  const half = nodes >> 1
  const farm = await FarmNodes.open({ sites: [half, nodes - half], place })
  try {
    await farm.found()
    const seconds: number[] = []
    for (let round = 0; round < rounds; round++) {
      farm.hosts.setTrunk(false)
      const conflictsBefore = await conflicts(farm.at(0))
      await Promise.all([
        write(farm.at(0), writes, round, 'left'),
        write(farm.at(nodes - 1), writes, round, 'right'),
      ])
      await sleep(CUT_MS)
      farm.hosts.setTrunk(true)
      const startedMs = performance.now()
      const each = await Promise.all(farm.all.map((node) => untilAll(node, writes, round, startedMs)))
      seconds.push(...each)
      const found = (await conflicts(farm.at(1))) - conflictsBefore
      console.log(
        `round ${round + 1}: all ${nodes} nodes show all ${2 * writes - writes / 10} names after ${Math.max(...each).toFixed(1)} s; ${found} conflicts listed of ${writes / 10}`,
      )
    }
    const sorted = seconds.toSorted((a, b) => a - b)
    const p99 = sorted[Math.ceil(0.99 * sorted.length) - 1] ?? NaN
    console.log(`p99 ${p99.toFixed(1)} s (at most 10)`)
  } finally {
    await farm.close()
  }
}

/** Every tenth name is written on both sides. */
async function write(node: FarmNode, count: number, round: number, side: string): Promise<void> {
  for (let at = 0; at < count; at++) {
    const name = at % 10 === 0 ? `both-${round}-${at}` : `${side}-${round}-${at}`
    await node.upload(`${name}.tar.gz`, await tarGzOf([{ name: 'by', content: `${side} ${round} ${at}` }]))
  }
}

async function untilAll(node: FarmNode, writes: number, round: number, startedMs: number): Promise<number> {
  for (;;) {
    const names = await node.getJson<string[]>('/api/flist')
    const ofRound = names.filter((name) => new RegExp(`/(?:both|left|right)-${round}-`).test(name))
    const tookMs = performance.now() - startedMs
    if (ofRound.length === 2 * writes - writes / 10) return tookMs / 1000
    if (tookMs > PATIENCE_MS) return Infinity
    await sleep(200)
  }
}

async function conflicts(node: FarmNode): Promise<number> {
  return (await node.getJson<{ items: unknown[] }>('/api/v1/conflicts')).items.length
}
