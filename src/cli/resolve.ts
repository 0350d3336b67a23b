import { InvalidInputError, NotFoundError } from '../errors.ts'
import { UsageError, type Command } from './command.ts'
import { parsePlace, placePath } from './flist-reference.ts'
import type { Version } from './history.ts'
import type { NodeClient } from './client.ts'
import { writeJson } from './output.ts'
import { allItems } from './pages.ts'

export const resolve: Command = {
  name: 'resolve',
  usage: '<repo/name> <VERSION>',
  summary: 'settle a conflict for one version, or bring an old one back',
  options: [{ name: 'json', help: 'the answer of the API' }],
  takes: [2, 2],
  remote: true,
  async run({ args, options, client, stdout }) {
    const path = placePath(parsePlace(args[0] ?? ''))
    const hash = parseVersion(args[1] ?? '')
    const node = await client()
    const { op } = await findVersion(node, path, hash)
    const answer = await node.call('POST', `/api/v1/conflicts/${path}`, { json: { op } })
    if (options.flag('json')) await writeJson(stdout, answer)
    return 0
  },
}

/** The first digits of an operation's hash. @throws {UsageError} for fewer than 8, and for anything else. */
export function parseVersion(text: string): string {
  if (!/^[0-9a-f]{8,64}$/i.test(text)) {
    throw new UsageError(`expected the version as zhub history shows it, got ${JSON.stringify(text)}`)
  }
  return text.toLowerCase()
}

/** @throws {NotFoundError} for none of that beginning; {InvalidInputError} for several. */
export async function findVersion(node: NodeClient, path: string, hash: string): Promise<Version> {
  const items = await allItems<Version>(node, `/api/v1/history/${path}`)
  const [version, other] = items.filter(({ op }) => op.startsWith(hash))
  if (version === undefined) throw new NotFoundError(`no version ${hash}: zhub history lists them`)
  if (other !== undefined)
    throw new InvalidInputError(`several versions begin with ${hash}: give more digits`)
  return version
}
