/** What goes over the line when one byte of a large image has changed, and when nothing has. */
import { open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FarmNode, FarmNodes } from '../test/integration/farm-nodes.ts'
import { progress } from './figures.ts'
import type { Figure } from './figures.ts'
import { heldBytes, IMAGE, randomFile, withPair, type ImageOptions } from './image-farm.ts'

const MIB = 2 ** 20
const KIB = 2 ** 10
const REPOSITORIES = 20
const PATIENCE_MS = 3 * 60_000

export function delta(options: ImageOptions): Promise<Figure[]> {
  return withPair(options, async ({ farm, a, b, folder }) => {
    const { mib } = options
    await settled(a, b)
    progress('and on the second')
    const heldBefore = await heldBytes(a)
    const wireBefore = wire(farm)
    await changeOneByte(join(folder, 'file'), mib)
    await a.zhub('put', folder, IMAGE)
    await settled(a, b)
    await sleep(2000)
    const onWire = wire(farm) - wireBefore
    // New chunks, the parts of the new flist among them.
    const added = (await heldBytes(a)) - heldBefore
    const bound = 1.05 * added + 64 * KIB
    return [
      {
        what: `one byte changed in place in ${mib} MiB, on the wire`,
        measured: kib(onWire),
        bound: `${kib(bound)} = 1.05 × ${kib(added)} + 64 KiB`,
        isKept: onWire <= bound,
      },
      await nothing(farm, a, b),
    ]
  })
}

/** A node that comes back and finds nothing new, with a few repositories. */
async function nothing(farm: FarmNodes, a: FarmNode, b: FarmNode): Promise<Figure> {
  const folder = await randomFile('/tmp', 1)
  for (let at = 0; at < REPOSITORIES; at++) await a.zhub('put', folder, `repository-${at}/image`)
  await rm(folder, { recursive: true })
  await settled(a, b, `repository-${REPOSITORIES - 1}/image`)
  progress(`${REPOSITORIES} more repositories are on both`)
  await b.stop()
  const before = wire(farm)
  await b.start()
  await sleep(10_000)
  const each = (wire(farm) - before) / (REPOSITORIES + 1)
  return {
    what: `nothing changed, a node comes back: for each of ${REPOSITORIES + 1} repositories, handshake and all`,
    measured: kib(each),
    bound: '2.0 KiB',
    isKept: each <= 2 * KIB,
  }
}

async function settled(a: FarmNode, b: FarmNode, name = IMAGE): Promise<void> {
  const wanted = (await a.get(`/${name}.flist.md5`)).body.toString()
  for (const endMs = performance.now() + PATIENCE_MS; performance.now() < endMs; await sleep(200)) {
    const { body, headers } = await b.get(`/${name}.flist.md5`)
    if (body.toString() === wanted && headers['x-hub-complete'] === 'true') return
  }
  throw new Error(`${name} did not come`)
}

async function changeOneByte(path: string, mib: number): Promise<void> {
  const file = await open(path, 'r+')
  const at = Math.floor(mib * MIB * 0.117)
  const byte = Buffer.alloc(1)
  await file.read(byte, 0, 1, at)
  byte[0] = (byte[0] ?? 0) ^ 1
  await file.write(byte, 0, 1, at)
  await file.close()
}

/** Both ways, over the second host's line. */
function wire(farm: FarmNodes): number {
  const { sentBytes, receivedBytes } = farm.hosts.at(1).traffic()
  return sentBytes + receivedBytes
}

function kib(bytes: number): string {
  return bytes > 10 * MIB ? `${(bytes / MIB).toFixed(1)} MiB` : `${(bytes / KIB).toFixed(1)} KiB`
}
