import { formatSize } from '../util/parse.ts'
import type { Command } from './command.ts'
import { counted, formatDuration, printable, writeJson, writeTable, type Output } from './output.ts'
import { allItems } from './pages.ts'
import type { Peer } from './peers.ts'

interface Status {
  readonly version: string
  readonly node: string
  readonly realm: string
  readonly readonly: boolean
  /** Its realm has cut it: what it signs counts nowhere. A node of the first release does not say. */
  readonly cut?: boolean
  readonly uptime: number
  readonly frontierAge: number
  readonly counts: {
    readonly repositories: number
    readonly flists: number
    readonly chunks: number
    readonly bytes: number
  }
  readonly disk: { readonly free: number; readonly low: number }
}

interface Held {
  readonly name: string
  readonly held: boolean
  readonly missingFlists: number
  readonly missingChunks: number
  readonly missingBytes: number
}

export const status: Command = {
  name: 'status',
  usage: '',
  summary: 'tell how the node is: what it holds, what its repositories lack, who is connected',
  options: [
    {
      name: 'json',
      help: '{version, node, realm, readonly, cut, uptime, frontierAge, counts, disk}; the rest: zhub peers --json',
    },
  ],
  takes: [0, 0],
  remote: true,
  async run({ options, client, stdout }) {
    const node = await client()
    const found = (await node.call('GET', '/api/v1/status')) as Status
    if (options.flag('json')) {
      await writeJson(stdout, found)
      return 0
    }
    const repositories = await allItems<Held>(node, '/api/v1/repositories')
    const peers = await allItems<Peer>(node, '/api/v1/peers')
    await stdout.write(factsText([...factsOf(found), ...farmFacts(found, peers)]))
    await writeMissing(stdout, repositories, peers)
    return 0
  },
}

type Fact = readonly [key: string, value: string]

function writesOf({ readonly, cut }: Pick<Status, 'readonly' | 'cut'>): string {
  if (cut === true)
    return 'refused: this node was cut from its realm; an administrator uncuts it, or it leaves'
  return readonly ? 'refused: the node is read-only' : 'taken'
}

function factsOf({ version, node, realm, uptime, counts, disk, ...found }: Status): Fact[] {
  const isLow = disk.free < disk.low
  return [
    ['version', version],
    ['node', node],
    ['realm', realm],
    ['up', formatDuration(uptime)],
    ['writes', writesOf(found)],
    ['holds', `${counted(counts.flists, 'flist')} in ${counts.repositories} repositories`],
    ['chunks', `${counts.chunks}, ${formatSize(counts.bytes)}`],
    ['disk', `${formatSize(disk.free)} free${isLow ? `, below the mark of ${formatSize(disk.low)}` : ''}`],
  ]
}

function farmFacts({ frontierAge }: Status, peers: readonly Peer[]): Fact[] {
  if (peers.length === 0) return [['peers', 'none']]
  const connected = peers.filter((peer) => peer.connected).length
  return [
    ['peers', `${connected} of ${peers.length} connected`],
    ['heard', `${formatDuration(frontierAge)} ago`],
  ]
}

function factsText(facts: readonly Fact[]): string {
  return facts.map(([key, value]) => `${key.padEnd(8)} ${printable(value)}\n`).join('')
}

/** What is not here yet, and when it will be. */
async function writeMissing(
  stdout: Output,
  repositories: readonly Held[],
  peers: readonly Peer[],
): Promise<void> {
  const lacking = repositories.filter(
    ({ missingFlists, missingChunks }) => missingFlists > 0 || missingChunks > 0,
  )
  const etas = peers.flatMap(({ etaSeconds, missingBytes }) => (missingBytes > 0 ? [etaSeconds] : []))
  const known = etas.filter((eta) => eta !== null)
  if (lacking.length === 0) return
  const when = known.length === 0 ? 'nothing is coming' : `here in ${formatDuration(Math.max(...known))}`
  await stdout.write(`missing  ${counted(lacking.length, 'repository', 'repositories')}, ${when}\n`)
  await writeTable(
    stdout,
    ['REPOSITORY', 'FLISTS TO COME', 'CHUNKS TO COME', 'BYTES TO COME'],
    lacking.map(({ name, missingFlists, missingChunks, missingBytes }) => [
      name,
      String(missingFlists),
      String(missingChunks),
      formatSize(missingBytes),
    ]),
  )
}
