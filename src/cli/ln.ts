import { withSuffix } from '../repo/names.ts'
import { changeNames, JSON_OPTION } from './change-names.ts'
import type { Command } from './command.ts'
import { parseReference, parseTarget } from './flist-reference.ts'

export const ln: Command = {
  name: 'ln',
  usage: '<repo/name> <[repo/]LINK>',
  summary: 'link a name to a flist, of the same repository or of another',
  options: [JSON_OPTION],
  takes: [2, 2],
  remote: true,
  run(context) {
    const source = parseReference(context.args[0] ?? '')
    const link = parseTarget(context.args[1] ?? '')
    const repository = link.repository ?? source.repository
    const segments =
      repository === source.repository
        ? [source.name, 'link', link.name]
        : [link.name, 'crosslink', source.repository, source.name]
    return changeNames(context, { repository, segments, made: withSuffix(link.name) })
  },
}
