import { withSuffix } from '../repo/names.ts'
import { changeNames, JSON_OPTION } from './change-names.ts'
import { UsageError, type Command } from './command.ts'
import { parseReference, parseTarget } from './flist-reference.ts'

export const mv: Command = {
  name: 'mv',
  usage: '<repo/name> <[repo/]NAME>',
  summary: 'rename a flist or a link within its repository',
  options: [JSON_OPTION],
  takes: [2, 2],
  remote: true,
  run(context) {
    const { repository, name } = parseReference(context.args[0] ?? '')
    const target = parseTarget(context.args[1] ?? '')
    if (target.repository !== undefined && target.repository !== repository)
      throw new UsageError('a name stays in its repository; `zhub promote` copies it into another')
    const segments = [name, 'rename', target.name]
    return changeNames(context, { repository, segments, made: withSuffix(target.name) })
  },
}
