import { formatSize } from '../util/parse.ts'
import type { Command } from './command.ts'
import { parseReference, referencePath } from './flist-reference.ts'
import { formatTime, printable, writeJson } from './output.ts'

interface Info {
  readonly repository: string
  readonly name: string
  readonly type: string
  readonly target?: string
  readonly updated: number
  readonly op: string
  readonly conflicts: number
  readonly flist?: FlistInfo
}

interface FlistInfo {
  readonly id: string
  readonly format: string
  readonly size: number
  readonly md5: string
  readonly sha256: string
  readonly chunks: number
  readonly chunkBytes: number
  readonly files: number
  readonly served?: { readonly size: number; readonly md5: string }
  readonly counts?: Readonly<Record<string, number>>
  readonly metadata?: Readonly<Record<string, unknown>>
}

interface Version {
  readonly time: number
  readonly author: string
  readonly kind: string
  readonly state: string
  readonly size?: number | null
  readonly md5?: string | null
}

/** How many versions the text shows; `--json` has them all. */
const VERSIONS_SHOWN = 5

export const info: Command = {
  name: 'info',
  usage: '<repo/name>',
  summary: 'tell sizes, sums, counts, metadata and history of what is published',
  options: [
    {
      name: 'json',
      help: 'the same with every version: {…, history: [{op, author, time, kind, md5, size, state}]}',
    },
  ],
  takes: [1, 1],
  remote: true,
  async run({ args, options, client, stdout }) {
    const path = referencePath(parseReference(args[0] ?? ''))
    const node = await client()
    const found = (await node.call('GET', `/api/v1/info/${path}`)) as Info
    const { items } = (await node.call('GET', `/api/v1/history/${path}`)) as { items: readonly Version[] }
    if (options.flag('json')) await writeJson(stdout, { ...found, history: items })
    else await stdout.write(infoText(found, items))
    return 0
  },
}

function infoText(found: Info, history: readonly Version[]): string {
  const rows: Array<readonly [string, string]> = [
    ['name', `${found.repository}/${found.name}`],
    ['type', found.target === undefined ? found.type : `${found.type} to ${found.target}`],
    ['updated', formatTime(found.updated)],
    ['operation', found.op],
  ]
  if (found.conflicts > 0) rows.push(['conflicts', String(found.conflicts)])
  if (found.flist !== undefined) rows.push(...flistRows(found.flist))
  rows.push(['versions', String(history.length)])
  for (const version of history.slice(0, VERSIONS_SHOWN)) rows.push(['', versionText(version)])
  if (history.length > VERSIONS_SHOWN) rows.push(['', `… ${history.length - VERSIONS_SHOWN} more in --json`])
  return rows.map(([key, value]) => `${key.padEnd(11)} ${printable(value)}\n`).join('')
}

function flistRows(flist: FlistInfo): Array<readonly [string, string]> {
  const rows: Array<readonly [string, string]> = [
    ['format', flist.format],
    ['size', sizeText(flist.size)],
    ['md5', flist.md5],
    ['sha256', flist.sha256],
    ['id', flist.id],
    ['chunks', `${flist.chunks}, ${sizeText(flist.chunkBytes)} stored`],
  ]
  if (flist.served !== undefined)
    rows.push(['served', `${sizeText(flist.served.size)}, md5 ${flist.served.md5}`])
  const { fullsize, ...counts } = flist.counts ?? {}
  if (fullsize !== undefined) rows.push(['content', `${sizeText(fullsize)} in ${flist.files} files`])
  if (Object.keys(counts).length > 0) {
    rows.push([
      'inodes',
      Object.entries(counts)
        .map(([kind, count]) => `${count} ${kind}`)
        .join(', '),
    ])
  }
  for (const [key, value] of Object.entries(flist.metadata ?? {})) {
    rows.push([`  ${key}`, typeof value === 'string' ? value : JSON.stringify(value)])
  }
  return rows
}

function versionText({ time, author, kind, state, size }: Version): string {
  const bytes = typeof size === 'number' ? ` ${formatSize(size)}` : ''
  return `${formatTime(time)}  ${kind}${bytes} by ${author}, ${state}`
}

function sizeText(bytes: number): string {
  return bytes < 1024 ? `${bytes} bytes` : `${formatSize(bytes)} (${bytes} bytes)`
}
