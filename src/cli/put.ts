import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { ConflictError, NotFoundError } from '../errors.ts'
import { KIB } from '../util/units.ts'
import { actingRepository } from './acting-repository.ts'
import { UsageError, type Command, type CommandContext } from './command.ts'
import { parseTarget } from './flist-reference.ts'
import { printable, writeJson, type Output } from './output.ts'
import { measureFolder, packFolder } from './pack.ts'
import { Progress } from './progress.ts'

export const put: Command = {
  name: 'put',
  usage: '<SRC> <[repo/]NAME>',
  summary: 'publish a folder, a tar archive (- = stdin) or an .flist under a name',
  options: [
    { name: 'one-file-system', help: 'of a folder: leave out what is mounted below it' },
    { name: 'json', help: '{repository, name, files}' },
  ],
  takes: [2, 2],
  remote: true,
  async run(context) {
    const { args, options, stdout, stderr } = context
    const target = parseTarget(args[1] ?? '')
    const source = await openSource(args[0] ?? '', context)
    const node = await context.client()
    const repository = await actingRepository(node, target.repository)
    const progress = new Progress(stderr, { label: 'put', unit: 'bytes', total: source.progressBytes })
    const form = {
      filename: `upload${source.suffix}`,
      headers: { 'X-Original-Name': headerName(target.name, source.suffix) },
      file: progress.counted(source.bytes),
      fileBytes: source.lengthBytes,
    }
    const answer = await node
      .upload(source.route, form, { actingRepository: repository })
      .finally(() => progress.end())
    const { name, files } = (answer as { payload: { name: string; files?: unknown } }).payload
    if (options.flag('json')) await writeJson(stdout, { repository, name, files })
    else await stdout.write(printable(`${repository}/${name}`) + '\n')
    return 0
  },
}

interface Source {
  readonly route: string
  /** What the node is told it is; of an archive the bytes decide. */
  readonly suffix: '.tar' | '.flist' | '.fl'
  readonly bytes: AsyncIterable<Uint8Array>
  /** Exactly, when that is known before it is read. */
  readonly lengthBytes?: number
  /** About, for the bar. */
  readonly progressBytes?: number
}

const UPLOAD = '/api/flist/me/upload'
const UPLOAD_FLIST = '/api/flist/me/upload-flist'

async function openSource(path: string, { stdin, stderr, options }: CommandContext): Promise<Source> {
  if (path === '-') return { route: UPLOAD, suffix: '.tar', bytes: stdin }
  const status = await stat(path).catch((cause: NodeJS.ErrnoException) => {
    throw cause.code === 'ENOENT' ? new NotFoundError(`no such file: ${path}`, { cause }) : cause
  })
  const oneFileSystem = options.flag('one-file-system')
  if (status.isDirectory()) {
    const onNote = (sentence: string) => void tell(stderr, sentence)
    return {
      route: UPLOAD,
      suffix: '.tar',
      bytes: packFolder(path, { oneFileSystem, onNote }),
      ...(stderr.isTerminal ? { progressBytes: measureFolder(path, { oneFileSystem }) } : {}),
    }
  }
  const suffix = path.endsWith('.flist') ? '.flist' : path.endsWith('.fl') ? '.fl' : '.tar'
  const route = suffix === '.tar' ? UPLOAD : UPLOAD_FLIST
  const bytes = createReadStream(path, { highWaterMark: READ_BYTES })
  if (!status.isFile()) return { route, suffix, bytes }
  const { size } = status
  return { route, suffix, bytes: exactly(size, bytes, path), lengthBytes: size, progressBytes: size }
}
const READ_BYTES = 256 * KIB

/** The length was announced: a file that changes meanwhile must not be waited for, nor go on into the next bytes. */
async function* exactly(
  length: number,
  source: AsyncIterable<Uint8Array>,
  path: string,
): AsyncGenerator<Uint8Array> {
  let left = length
  for await (const piece of source) {
    if (piece.length > left) break
    yield piece
    left -= piece.length
  }
  if (left > 0) throw new ConflictError(`${path} changed while it was read: nothing is published`)
}

function tell(stderr: Output, sentence: string): Promise<void> {
  return stderr.write(`zhub: ${printable(sentence)}\n`).catch(() => {})
}

/** The name as UTF-8 in a header, with the suffix that the node takes off again. */
function headerName(name: string, suffix: string): string {
  if (/\p{Cc}/u.test(name)) throw new UsageError('a name holds no control characters')
  const bare = name.replace(suffix === '.fl' ? /\.fl(?:ist)?$/ : /\.flist$/, '')
  return Buffer.from(bare + suffix, 'utf8').toString('latin1')
}
