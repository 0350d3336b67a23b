import { withSuffix } from '../repo/names.ts'
import { changeNames, JSON_OPTION } from './change-names.ts'
import type { Command } from './command.ts'
import { parseReference, parseTarget } from './flist-reference.ts'

export const promote: Command = {
  name: 'promote',
  usage: '<repo/name> <[repo/]NAME>',
  summary: 'publish a flist of one repository in another',
  options: [JSON_OPTION],
  takes: [2, 2],
  remote: true,
  run(context) {
    const source = parseReference(context.args[0] ?? '')
    const target = parseTarget(context.args[1] ?? '')
    const segments = ['promote', source.repository, source.name, target.name]
    return changeNames(context, { repository: target.repository, segments, made: withSuffix(target.name) })
  },
}
