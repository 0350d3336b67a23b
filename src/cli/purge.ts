import { NotFoundError } from '../errors.ts'
import { formatSize } from '../util/parse.ts'
import type { Command, CommandContext } from './command.ts'
import { agrees, requireAnswer, YES } from './confirm.ts'
import { parseReference, referencePath, type FlistReference } from './flist-reference.ts'
import type { Version } from './history.ts'
import { counted, formatTime, printable, writeJson } from './output.ts'
import { allItems } from './pages.ts'

interface Purged {
  readonly op: string
  readonly flist: string
  readonly names: readonly string[]
  readonly chunks: number
  readonly bytes: number
  readonly kept: number
}

interface Wanted {
  readonly path: string
  readonly version: Version
}

export const purge: Command = {
  name: 'purge',
  usage: '<repo/name[~VERSION]> [--yes]',
  summary: 'remove the content of a version from every node of the realm for good; that it was done stays',
  options: [YES, { name: 'json', help: '{op, flist, names, chunks, bytes, kept}' }],
  takes: [1, 1],
  remote: true,
  async run(context) {
    const { args, options, client, stdout, stderr } = context
    requireAnswer(context)
    const wanted = await find(context, parseReference(args[0] ?? ''))
    if (!(await agrees(context, question(context, wanted)))) {
      await stderr.write('nothing was removed\n')
      return 1
    }
    const { op } = wanted.version
    const report = (await (
      await client()
    ).call('POST', `/api/v1/purge/${wanted.path}`, {
      json: { op },
    })) as Purged
    if (options.flag('json')) await writeJson(stdout, report)
    else await stdout.write(reportText(report))
    return 0
  },
}

/** A stored name wins over the form with a version. @throws {NotFoundError}. */
async function find({ client }: CommandContext, reference: FlistReference): Promise<Wanted> {
  const node = await client()
  const [, base = '', hash = '', suffix = ''] =
    /^(.+)~([0-9a-f]{8,64})(\.flist|\.fl)?$/.exec(reference.name) ?? []
  const whole = referencePath(reference)
  const current = await allItems<Version>(node, `/api/v1/history/${whole}`).catch((error: unknown) => {
    if (base === '' || !(error instanceof NotFoundError)) throw error
  })
  if (current !== undefined) {
    const version = current.find(({ state }) => state === 'current')
    if (version !== undefined && version.kind !== 'delete') return { path: whole, version }
    throw new NotFoundError('this name is deleted: name a version, as in repo/name~VERSION')
  }
  const path = referencePath({ ...reference, name: base + suffix })
  const items = await allItems<Version>(node, `/api/v1/history/${path}`)
  const version = items.find(({ op }) => op.startsWith(hash))
  if (version === undefined) throw new NotFoundError(`no version ${hash}: zhub history lists them`)
  return { path, version }
}

function question({ args }: CommandContext, { version }: Wanted): string {
  const { op, kind, size, author, time } = version
  const what = `${kind}${size === null ? '' : ` of ${formatSize(size)}`}`
  return (
    `${printable(args[0] ?? '')}: version ${op.slice(0, 8)}, ${what} by ${printable(author)}, ${formatTime(time)}\n` +
    'Its content goes from every node of the realm, and nobody can bring it back.'
  )
}

function reportText({ names, chunks, bytes, kept }: Purged): string {
  const lines = names.map((name) => `took away ${printable(name)}\n`)
  lines.push(`freed ${counted(chunks, 'chunk')}, ${bytes} bytes (${formatSize(bytes)})\n`)
  if (kept > 0)
    lines.push(`${counted(kept, 'chunk')} stay: other flists have the same content, or are on their way\n`)
  return lines.join('')
}
