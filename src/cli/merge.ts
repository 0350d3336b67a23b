import { hasFlistSuffix } from '../format/name-rule.ts'
import { actingRepository } from './acting-repository.ts'
import type { Command } from './command.ts'
import { parseReference, parseTarget } from './flist-reference.ts'
import { printable, writeJson } from './output.ts'

/** More are the node's to refuse. */
const MAX_ARGUMENTS = 10_000

export const merge: Command = {
  name: 'merge',
  usage: '<repo/name>... <[repo/]NAME>',
  summary: 'publish several flists as one: of each path the first that has it',
  options: [{ name: 'json', help: '{repository, name}' }],
  takes: [2, MAX_ARGUMENTS],
  remote: true,
  async run({ args, options, client, stdout }) {
    const target = parseTarget(args.at(-1) ?? '')
    const sources = args.slice(0, -1).map((text) => {
      const { repository, name } = parseReference(text)
      return `${repository}/${name}`
    })
    const node = await client()
    const repository = await actingRepository(node, target.repository)
    await node.call('POST', `/api/flist/me/merge/${encodeURIComponent(target.name)}`, {
      json: sources,
      actingRepository: repository,
    })
    const name = hasFlistSuffix(target.name) ? target.name : `${target.name}.flist`
    if (options.flag('json')) await writeJson(stdout, { repository, name })
    else await stdout.write(printable(`${repository}/${name}`) + '\n')
    return 0
  },
}
