import { withSuffix } from '../repo/names.ts'
import { changeNames, JSON_OPTION } from './change-names.ts'
import { UsageError, type Command } from './command.ts'
import { parseReference, parseTarget } from './flist-reference.ts'

export const tag: Command = {
  name: 'tag',
  usage: '<repo/name> <[repo/]tags/TAG[/NAME]>',
  summary: 'put a flist into a tag, under its name or another',
  options: [JSON_OPTION],
  takes: [2, 2],
  remote: true,
  run(context) {
    const source = parseReference(context.args[0] ?? '')
    const entry = parseTagEntry(context.args[1] ?? '')
    const name = withSuffix(entry.name ?? source.name)
    return changeNames(context, {
      repository: entry.repository,
      segments: [entry.tag, name, 'tag', source.repository, source.name],
      made: `tags/${entry.tag}/${name}`,
    })
  },
}

export const untag: Command = {
  name: 'untag',
  usage: '<[repo/]tags/TAG/NAME>',
  summary: 'take an entry out of a tag; with its last entry the tag goes',
  options: [JSON_OPTION],
  takes: [1, 1],
  remote: true,
  run(context) {
    const { repository, tag, name } = parseTagEntry(context.args[0] ?? '')
    if (name === undefined) throw new UsageError('expected [repo/]tags/TAG/NAME: which entry?')
    // The API wants a source in the URL, and looks at the entry alone.
    return changeNames(context, { method: 'DELETE', repository, segments: [tag, name, 'tag', 'any', 'any'] })
  },
}

export const crosstag: Command = {
  name: 'crosstag',
  usage: '<repo/tags/TAG> <[repo/]NAME>',
  summary: 'link a name to a tag, of any repository',
  options: [JSON_OPTION],
  takes: [2, 2],
  remote: true,
  run(context) {
    const source = parseTagEntry(context.args[0] ?? '')
    const { repository, name } = parseTarget(context.args[1] ?? '')
    if (source.repository === undefined || source.name !== undefined)
      throw new UsageError('expected repo/tags/TAG: a whole tag, and whose')
    const segments = [name, 'crosstag', source.repository, source.tag]
    return changeNames(context, { repository, segments, made: name })
  },
}

interface TagEntry {
  readonly repository: string | undefined
  readonly tag: string
  readonly name: string | undefined
}

/** `[repo/]tags/TAG[/NAME]`; no repository is called `tags`. @throws {UsageError} */
function parseTagEntry(text: string): TagEntry {
  const parts = text.split('/')
  const repository = parts[0] === 'tags' ? undefined : parts.shift()
  const [tags, tag = '', name, ...more] = parts
  if (tags !== 'tags' || tag === '' || name === '' || repository === '' || more.length > 0)
    throw new UsageError(`expected [repo/]tags/TAG[/NAME], got ${JSON.stringify(text)}`)
  return { repository, tag, name }
}
