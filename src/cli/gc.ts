import { formatSize } from '../util/parse.ts'
import type { Command } from './command.ts'
import { counted, writeJson } from './output.ts'
import { Progress } from './progress.ts'

interface Collected {
  readonly chunks: number
  readonly bytes: number
}

export const gc: Command = {
  name: 'gc',
  usage: '[--grace 24h] [--keep-versions 10] [--dry-run]',
  summary: 'delete chunks that no flist, upload or lease holds any more',
  options: [
    {
      name: 'grace',
      value: 'DURATION',
      help: 'keep chunks used within this time; default as the node is set',
    },
    {
      name: 'keep-versions',
      value: 'COUNT',
      help: 'versions of a name whose chunks stay; default as the node is set',
    },
    { name: 'dry-run', help: 'only say what would be deleted' },
    { name: 'json', help: 'the report of the collector' },
  ],
  takes: [0, 0],
  remote: true,
  async run({ options, client, stdout, stderr }) {
    const dryRun = options.flag('dry-run')
    const wishes = { graceS: options.seconds('grace'), keepVersions: options.count('keep-versions'), dryRun }
    const node = await client()
    const progress = new Progress(stderr, { label: 'gc', unit: 'chunks' })
    const report = (await node
      .follow('/api/v1/gc', wishes, ({ done, total, unit }) => progress.set(done, total, unit))
      .finally(() => progress.end())) as Collected
    const { chunks, bytes } = report
    const verb = dryRun ? 'would free' : 'freed'
    if (options.flag('json')) await writeJson(stdout, report)
    else await stdout.write(`${verb} ${counted(chunks, 'chunk')}, ${bytes} bytes (${formatSize(bytes)})\n`)
    return 0
  },
}
