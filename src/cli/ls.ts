import type { Command } from './command.ts'
import { printable, writeJson } from './output.ts'

export const ls: Command = {
  name: 'ls',
  usage: '[repo]',
  summary: 'list what is published, one repo/name a line',
  options: [{ name: 'json', help: 'the list as the standard API gives it' }],
  takes: [0, 1],
  remote: true,
  async run({ args, options, client, stdout }) {
    const [repository] = args
    const node = await client()
    const path = repository === undefined ? '/api/flist' : `/api/flist/${encodeURIComponent(repository)}`
    const list = (await node.call('GET', path)) as ReadonlyArray<string | { name: string }>
    if (options.flag('json')) {
      await writeJson(stdout, list)
      return 0
    }
    const lines = list.map((item) =>
      printable(typeof item === 'string' ? item : `${repository}/${item.name}`),
    )
    if (lines.length > 0) await stdout.write(lines.join('\n') + '\n')
    return 0
  },
}
