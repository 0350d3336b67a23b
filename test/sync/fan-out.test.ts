/**
 * One image to many nodes at once, on a simulated network: lines of 50 Mbit/s both ways and 128 MiB in chunks of 512 KiB,
 * all bytes divided by eight, so that questions would weigh eight times as much: they weigh nothing.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { describe, it } from 'node:test'
import { blake2b128 } from '../../src/format/blake2b.ts'
import { ChunkFetcher } from '../../src/sync/chunk-fetcher.ts'
import { ChunkServer } from '../../src/sync/chunk-server.ts'
import { keyOf as nameOf } from '../../src/sync/fetch-item.ts'
import type { FetchItem } from '../../src/sync/fetch-item.ts'
import { toHex } from '../../src/util/bytes.ts'
import { SILENT } from '../../src/util/logger.ts'
import { KIB, SECOND_MS } from '../../src/util/units.ts'
import { noise } from '../doubles/noise.ts'
import { SimulatedNetwork } from '../doubles/simulated-network.ts'
import type { SimulatedHost } from '../doubles/simulated-network.ts'
import { Simulation } from '../doubles/simulation.ts'
import { keyOf } from './simulated-node.ts'

const NODES = 8
const CHUNKS = 256
const CHUNK_BYTES = 64 * KIB
const BYTES_PER_MS = 6250 / 8

class Node {
  readonly host: SimulatedHost
  readonly fetcher: ChunkFetcher
  readonly chunks = new Map<string, Uint8Array>()
  sentBytes = 0
  completeMs = Infinity

  constructor(network: SimulatedNetwork, seed: number) {
    this.host = network.host(keyOf(seed).publicKey)
    const shared = { host: this.host, scheduler: network.simulation, log: SILENT, isMember: () => true }
    const server = new ChunkServer({
      ...shared,
      rateUp: 0,
      held: {
        has: (naming, id) => this.chunks.has(nameOf({ naming, id })),
        read: (naming, id) => {
          const bytes = this.chunks.get(nameOf({ naming, id }))
          this.sentBytes += bytes?.length ?? 0
          return bytes
        },
      },
    })
    this.fetcher = new ChunkFetcher({
      ...shared,
      rateDown: 0,
      keep: async (arrived) => {
        for (const [item, bytes] of arrived) this.chunks.set(nameOf(item), bytes)
      },
    })
    server.start()
    this.fetcher.start()
  }
}

/** Every node has all of it in the end; when, and what the first one sent. */
async function fanOut(seed: number) {
  const simulation = new Simulation(seed)
  const network = new SimulatedNetwork(simulation)
  network.quality = { minMs: 0.2, maxMs: 1, loss: 0, bytesPerMs: BYTES_PER_MS, freeBytes: CHUNK_BYTES }
  const nodes = Array.from({ length: NODES + 1 }, (_, at) => new Node(network, at + 1))
  const [first, ...others] = nodes
  assert.ok(first)
  const items = Array.from({ length: CHUNKS }, (_, at): FetchItem => {
    const bytes = Buffer.alloc(CHUNK_BYTES, noise(at + 1, 1024))
    const id = blake2b128(bytes)
    const sha256 = createHash('sha256').update(bytes).digest()
    first.chunks.set(nameOf({ naming: 'chunk', id }), bytes)
    return { naming: 'chunk', id, lengthBytes: bytes.length, sha256 }
  })
  for (const { host } of nodes) await host.start()
  for (const { host } of nodes)
    for (const other of nodes) if (other.host !== host) await host.connect(`/sim/${toHex(other.host.key)}`)
  await simulation.run(SECOND_MS)
  const startMs = simulation.now()
  const fetched = others.map(async (node) => {
    await node.fetcher.fetch(items)
    node.completeMs = simulation.now() - startMs
  })
  const boundMs = (CHUNKS * CHUNK_BYTES) / BYTES_PER_MS
  while (simulation.now() - startMs < 3 * boundMs && others.some(({ completeMs }) => completeMs === Infinity))
    await simulation.run(SECOND_MS)
  const times = others.map(({ completeMs }) => completeMs / boundMs).sort((a, b) => a - b)
  assert.ok(times.every(Number.isFinite), 'some did not come to an end')
  await Promise.all(fetched)
  const stopped = Promise.all(nodes.map(({ fetcher }) => fetcher.stop()))
  await simulation.run(SECOND_MS)
  await stopped
  return {
    median: times[NODES >> 1] ?? NaN,
    slowest: times.at(-1) ?? NaN,
    /** Images that were sent. */
    bySeed: first.sentBytes / (CHUNKS * CHUNK_BYTES),
    byAll: nodes.reduce((sum, { sentBytes }) => sum + sentBytes, 0) / (CHUNKS * CHUNK_BYTES),
  }
}

describe('one image to eight nodes at once', () => {
  it('takes little longer than over the line of one, and the first sends it hardly more than once', async () => {
    const { median, slowest, bySeed, byAll } = await fanOut(1)
    const found = `median ${median}, slowest ${slowest} of the bound; sent by the first ${bySeed}, by all ${byAll}`
    assert.ok(median < 1.2 && slowest < 1.3, found)
    assert.ok(bySeed < 1.25, found)
    assert.ok(byAll < 1.05 * NODES, found)
  })
})
