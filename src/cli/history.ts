import { formatSize } from '../util/parse.ts'
import type { Command } from './command.ts'
import { parsePlace, placePath } from './flist-reference.ts'
import { formatTime, writeJson, writeTable } from './output.ts'
import { allItems } from './pages.ts'

/** One version of a name, as the API gives it. */
export interface Version {
  readonly op: string
  readonly author: string
  readonly node: string
  readonly time: number
  readonly kind: string
  readonly md5: string | null
  readonly size: number | null
  readonly state: string
}

export const history: Command = {
  name: 'history',
  usage: '<repo/name>',
  summary: 'list the versions of a name, newest first; repo/tags/tag/name is an entry of a tag',
  options: [{ name: 'json', help: '{items: [{op, author, node, time, kind, md5, size, state}], next}' }],
  takes: [1, 1],
  remote: true,
  async run({ args, options, client, stdout }) {
    const path = `/api/v1/history/${placePath(parsePlace(args[0] ?? ''))}`
    const items = await allItems<Version>(await client(), path)
    if (options.flag('json')) await writeJson(stdout, { items, next: null })
    else {
      const head = ['VERSION', 'TIME', 'WHAT', 'SIZE', 'BY', 'ON NODE', 'STATE']
      const rows = items.map((version) => [...versionCells(version), version.state])
      await writeTable(stdout, head, rows)
    }
    return 0
  },
}

/** Version, time, kind, size, author, node. */
export function versionCells({ op, time, kind, size, author, node }: Version): string[] {
  const bytes = size === null || size === undefined ? '-' : formatSize(size)
  return [op.slice(0, 8), formatTime(time), kind, bytes, author, node.slice(0, 8)]
}
