import type { Command } from './command.ts'
import { counted, printable, writeJson } from './output.ts'
import { Progress } from './progress.ts'

interface Report {
  readonly ok: boolean
  readonly checked: { readonly chunks: number; readonly flists: number; readonly ops: number }
  readonly problems: ReadonlyArray<{ readonly kind: string; readonly id: string; readonly detail: string }>
}

export const fsck: Command = {
  name: 'fsck',
  usage: '',
  summary: 'check everything the node keeps, and name what does not fit',
  options: [{ name: 'json', help: '{ok, checked: {chunks, flists, ops}, problems: [{kind, id, detail}]}' }],
  takes: [0, 0],
  remote: true,
  async run({ options, client, stdout, stderr }) {
    const node = await client()
    const progress = new Progress(stderr, { label: 'fsck', unit: 'chunks' })
    const report = (await node
      .follow('/api/v1/fsck', {}, ({ done, total, unit }) => progress.set(done, total, unit))
      .finally(() => progress.end())) as Report
    if (options.flag('json')) await writeJson(stdout, report)
    else await stdout.write(reportText(report))
    return report.ok ? 0 : 1
  },
}

function reportText({ ok, checked, problems }: Report): string {
  const lines = problems.map(({ kind, id, detail }) => printable(`${kind}  ${id}  ${detail}`))
  const found = ok ? 'no problems' : counted(problems.length, 'problem')
  const { chunks, flists, ops } = checked
  const all = [counted(chunks, 'chunk'), counted(flists, 'flist'), counted(ops, 'operation')].join(', ')
  lines.push(`checked ${all}: ${found}`)
  return lines.join('\n') + '\n'
}
