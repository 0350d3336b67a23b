import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { NotFoundError } from '../errors.ts'
import { KIB } from '../util/units.ts'
import { actingRepository } from './acting-repository.ts'
import type { NodeClient } from './client.ts'
import { UsageError, type Command, type CommandContext } from './command.ts'
import { parseTarget } from './flist-reference.ts'
import { printable, writeJson } from './output.ts'
import { Progress } from './progress.ts'

interface Published {
  readonly name: string
  readonly files: unknown
}

export const docker: Command = {
  name: 'docker',
  usage: '<IMAGE> [[repo/]NAME]',
  summary: 'publish a docker or OCI image of a registry, or of an archive (./FILE.tar, - = stdin)',
  options: [
    {
      name: 'platform',
      value: 'OS/ARCH',
      help: 'of an image of several platforms; default: the setting of the node',
    },
    { name: 'json', help: '{repository, name, files}' },
  ],
  takes: [1, 2],
  remote: true,
  async run(context) {
    const { args, options, stdout } = context
    const image = args[0] ?? ''
    const target = args[1] === undefined ? undefined : parseTarget(args[1])
    const fields = {
      ...(target === undefined ? {} : { name: target.name }),
      ...(options.text('platform') === undefined ? {} : { platform: options.text('platform') ?? '' }),
    }
    const node = await context.client()
    const repository = await actingRepository(node, target?.repository)
    const convert = isArchive(image) ? sendArchive : followPull
    const { name, files } = await convert(image, { fields, repository, node, context })
    if (options.flag('json')) await writeJson(stdout, { repository, name, files })
    else await stdout.write(printable(`${repository}/${name}`) + '\n')
    return 0
  },
}

interface Conversion {
  readonly fields: Readonly<Record<string, string>>
  readonly repository: string
  readonly node: NodeClient
  readonly context: CommandContext
}

/** A path, and no name of an image. */
function isArchive(image: string): boolean {
  return image === '-' || /^\.{0,2}\//.test(image) || /\.(?:tar|tgz|tar\.gz|tar\.zst)$/.test(image)
}

async function followPull(
  image: string,
  { fields, repository, node, context }: Conversion,
): Promise<Published> {
  const progress = new Progress(context.stderr, { label: 'docker', unit: 'bytes' })
  const body = { image, ...fields }
  const answer = await node
    .follow('/api/v1/docker', body, ({ done, total, unit }) => progress.set(done, total, unit), {
      actingRepository: repository,
    })
    .finally(() => progress.end())
  return answer as Published
}

const READ_BYTES = 256 * KIB

async function sendArchive(
  path: string,
  { fields, repository, node, context }: Conversion,
): Promise<Published> {
  if (path === '-' && fields['name'] === undefined) throw new UsageError('an image of stdin needs a name')
  const { bytes, lengthBytes } = await openArchive(path, context)
  const progress = new Progress(context.stderr, { label: 'docker', unit: 'bytes', total: lengthBytes })
  const form = {
    fileField: 'image',
    filename: 'image.tar',
    headers: {},
    file: progress.counted(bytes),
    fields: { name: bareName(path), ...fields },
  }
  const answer = await node
    .upload('/api/flist/me/docker', form, { actingRepository: repository })
    .finally(() => progress.end())
  return (answer as { payload: Published }).payload
}

async function openArchive(
  path: string,
  { stdin }: CommandContext,
): Promise<{ bytes: AsyncIterable<Uint8Array>; lengthBytes?: number }> {
  if (path === '-') return { bytes: stdin }
  const { size } = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    throw cause.code === 'ENOENT' ? new NotFoundError(`no such file: ${path}`, { cause }) : cause
  })
  return { bytes: createReadStream(path, { highWaterMark: READ_BYTES }), lengthBytes: size }
}

function bareName(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1).replace(/\.(?:tar\.gz|tar\.zst|tgz|tar)$/, '')
}
