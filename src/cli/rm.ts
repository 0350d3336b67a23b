import { actingRepository } from './acting-repository.ts'
import type { Command } from './command.ts'
import { parseReference } from './flist-reference.ts'
import { writeJson } from './output.ts'

export const rm: Command = {
  name: 'rm',
  usage: '<repo/name>',
  summary: 'take a name out of its repository; its history stays',
  options: [{ name: 'json', help: 'the answer as the standard API gives it' }],
  takes: [1, 1],
  remote: true,
  async run({ args, options, client, stdout }) {
    const reference = parseReference(args[0] ?? '')
    const node = await client()
    const repository = await actingRepository(node, reference.repository)
    const answer = await node.call('DELETE', `/api/flist/me/${encodeURIComponent(reference.name)}`, {
      actingRepository: repository,
    })
    if (options.flag('json')) await writeJson(stdout, answer)
    return 0
  },
}
