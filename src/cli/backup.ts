import { resolve } from 'node:path'
import type { Command } from './command.ts'
import { printable, writeJson } from './output.ts'
import { Progress } from './progress.ts'

export const backup: Command = {
  name: 'backup',
  usage: '<DIR>',
  summary: 'copy everything the node keeps, keys included, to a folder of this machine',
  options: [{ name: 'json', help: 'the report of the copy' }],
  takes: [1, 1],
  async run({ args, options, client, stdout, stderr }) {
    const directory = resolve(args[0] ?? '')
    const node = await client()
    const progress = new Progress(stderr, { label: 'backup', unit: 'bytes' })
    const report = await node
      .follow('/api/v1/backup', { directory }, ({ done, total, unit }) => progress.set(done, total, unit))
      .finally(() => progress.end())
    if (options.flag('json')) await writeJson(stdout, report)
    else await stdout.write(`${printable(directory)}\n`)
    return 0
  },
}
