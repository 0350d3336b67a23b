/** Two halves that could not reach each other, both of which were written to: how long until all agree. */
import { setTimeout as sleep } from 'node:timers/promises'
import { FarmNodes, type FarmNode } from '../test/integration/farm-nodes.ts'
import { tarGzOf } from '../test/integration/archives.ts'
import { progress } from './figures.ts'
import type { Figure } from './figures.ts'

/** How long the line is down beyond the time that the writes take. */
const CUT_MS = 15_000
const PATIENCE_MS = 2 * 60_000

export interface HealOptions {
  readonly nodes: number
  /** On each side. */
  readonly writes: number
  readonly rounds: number
  readonly place: string
}

export async function heal({ nodes, writes, rounds, place }: HealOptions): Promise<Figure[]> {
  const half = nodes >> 1
  const farm = await FarmNodes.open({ sites: [half, nodes - half], place })
  try {
    await farm.found()
    progress(`${nodes} nodes are a farm`)
    const seconds: number[] = []
    let [listed, due] = [0, 0]
    for (let round = 0; round < rounds; round++) {
      farm.hosts.setTrunk(false)
      const before = await conflicts(farm.at(0))
      await Promise.all([
        write(farm.at(0), writes, round, 'left'),
        write(farm.at(nodes - 1), writes, round, 'right'),
      ])
      await sleep(CUT_MS)
      farm.hosts.setTrunk(true)
      const startedMs = performance.now()
      const each = await Promise.all(farm.all.map((node) => untilAll(node, writes, round, startedMs)))
      seconds.push(...each)
      const found = await Promise.all(farm.all.map((node) => conflicts(node)))
      listed += Math.min(...found) - before
      due += writes / 10
      progress(`round ${round + 1} of ${rounds}: all agree after ${Math.max(...each).toFixed(1)} s`)
    }
    const sorted = seconds.toSorted((a, b) => a - b)
    const p99 = sorted[Math.ceil(0.99 * sorted.length) - 1] ?? NaN
    const what = `${nodes} nodes in two halves, ${writes} writes on each side, healed ${rounds} times`
    return [
      {
        what: `${what}: all names on all nodes, p99`,
        measured: `${p99.toFixed(1)} s`,
        bound: '10 s',
        isKept: p99 <= 10,
      },
      {
        what: `${what}: conflicts on every node`,
        measured: String(listed),
        bound: String(due),
        isKept: listed === due,
      },
    ]
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
