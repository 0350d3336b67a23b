import { formatSize } from '../util/parse.ts'
import type { Command } from './command.ts'
import { formatDuration, formatTime, writeJson, writeTable } from './output.ts'
import { allItems } from './pages.ts'

export interface Peer {
  readonly node: string
  readonly name: string
  readonly connected: boolean
  readonly addrs?: readonly string[]
  readonly lagOps: number
  readonly missingBytes: number
  readonly etaSeconds: number | null
  readonly lastSeen: number | null
}

export const peers: Command = {
  name: 'peers',
  usage: '',
  summary: 'list the other nodes of the realm: who is connected, and what this node still lacks of each',
  options: [
    {
      name: 'json',
      help: '{items: [{node, name, connected, addrs, lagOps, missingBytes, etaSeconds, lastSeen}], next}',
    },
  ],
  takes: [0, 0],
  remote: true,
  async run({ options, client, stdout, stderr }) {
    const items = await allItems<Peer>(await client(), '/api/v1/peers')
    if (options.flag('json')) {
      await writeJson(stdout, { items, next: null })
      return 0
    }
    if (items.length === 0) await stderr.write('this node has no peers: zhub realm create, invite and join\n')
    const head = ['NODE', 'NAME', 'LINE', 'OPS TO COME', 'BYTES TO COME', 'DONE IN', 'LAST SEEN', 'ADDRESSES']
    await writeTable(stdout, head, items.map(peerRow))
    return 0
  },
}

function peerRow({ node, name, connected, addrs, lagOps, missingBytes, ...rest }: Peer): string[] {
  const doneIn =
    missingBytes === 0 ? '-' : rest.etaSeconds === null ? 'waits' : formatDuration(rest.etaSeconds)
  return [
    node.slice(0, 16),
    name === '' ? '-' : name,
    connected ? 'connected' : 'away',
    String(lagOps),
    formatSize(missingBytes),
    doneIn,
    formatTime(rest.lastSeen, 'never'),
    addrs === undefined || addrs.length === 0 ? '-' : addrs.join(' '),
  ]
}
