import type { Command } from './command.ts'
import { versionCells, type Version } from './history.ts'
import { writeJson, writeTable } from './output.ts'
import { allItems } from './pages.ts'

interface Conflict {
  readonly name: string
  readonly winner: Version | null
  readonly others: readonly Version[]
}

export const conflicts: Command = {
  name: 'conflicts',
  usage: '[repo] [--past]',
  summary: 'list names that two nodes wrote at the same time, with every version',
  options: [
    { name: 'past', help: 'those that were settled, with the versions that lost' },
    { name: 'json', help: '{items: [{name, winner, others: [version]}], next}' },
  ],
  takes: [0, 1],
  remote: true,
  async run({ args, options, client, stdout, stderr }) {
    const [repository] = args
    const path = `/api/v1/conflicts${repository === undefined ? '' : `/${encodeURIComponent(repository)}`}`
    const query = options.flag('past') ? { past: '1' } : {}
    const items = await allItems<Conflict>(await client(), path, query)
    if (options.flag('json')) {
      await writeJson(stdout, { items, next: null })
      return 0
    }
    const rows = items.flatMap((item) => rowsOf(item, repository))
    await writeTable(stdout, ['NAME', '', 'VERSION', 'TIME', 'WHAT', 'SIZE', 'BY', 'ON NODE'], rows)
    if (items.length > 0 && stdout.isTerminal && !options.flag('past')) {
      await stderr.write('zhub resolve NAME VERSION settles one; so does any later write\n')
    }
    return 0
  },
}

/** The version that is shown first. */
function rowsOf({ name, winner, others }: Conflict, repository: string | undefined): string[][] {
  const full = repository === undefined ? name : `${repository}/${name}`
  const shown = winner === null ? [] : [[full, 'shown', ...versionCells(winner)]]
  return [...shown, ...others.map((version) => [full, 'other', ...versionCells(version)])]
}
