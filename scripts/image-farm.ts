/** What the benchmarks of replication begin with: an image of noise, and two nodes of which the first has it. */
import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { noise } from '../test/doubles/noise.ts'
import { FarmNodes, type FarmNode } from '../test/integration/farm-nodes.ts'
import { progress } from './figures.ts'

const MIB = 2 ** 20
export const IMAGE = 'Administrator/image'

export interface ImageOptions {
  readonly mib: number
  readonly place: string
}

export interface Pair {
  readonly farm: FarmNodes
  readonly a: FarmNode
  readonly b: FarmNode
  /** Of the image. */
  readonly folder: string
}

/** On one line, which goes when `work` has ended. */
export async function withPair<T>(
  { mib, place }: ImageOptions,
  work: (pair: Pair) => Promise<T>,
): Promise<T> {
  const folder = await randomFile(place, mib)
  const farm = await FarmNodes.open({ sites: [2], place })
  try {
    await farm.found()
    const [a, b] = [farm.at(0), farm.at(1)]
    await a.zhub('put', folder, IMAGE)
    progress(`${mib} MiB are on the first`)
    return await work({ farm, a, b, folder })
  } finally {
    await farm.close()
    await rm(folder, { recursive: true, force: true })
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

/** Of all chunks that a node holds. */
export async function heldBytes(node: FarmNode): Promise<number> {
  const { counts } = await node.getJson<{ counts: { bytes: number } }>('/api/v1/status')
  return counts.bytes
}
