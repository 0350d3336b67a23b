import { resolve } from 'node:path'
import type { ByteAnswer, NodeClient } from './client.ts'
import { UsageError, type Command, type CommandContext } from './command.ts'
import { parseReference, referencePath } from './flist-reference.ts'
import { FolderWriter, type LeftOut } from './folder-writer.ts'
import { counted, printable, writeJson } from './output.ts'
import { Progress } from './progress.ts'
import { readMembers } from './tar-members.ts'

export const extract: Command = {
  name: 'extract',
  usage: '<repo/name> [DIR or -]',
  summary: 'write an image as a tar stream to stdout, or as files into a folder',
  options: [
    { name: 'force', help: 'also into a folder that is not empty; its files are replaced' },
    { name: 'json', help: 'into a folder: {directory, files, leftOut: {owners, devices, specialModes}}' },
  ],
  takes: [1, 2],
  remote: true,
  async run(context) {
    const { args, options, client, stdout } = context
    const reference = referencePath(parseReference(args[0] ?? ''))
    const target = args[1] ?? '-'
    if (target === '-' && stdout.isTerminal) {
      throw new UsageError(
        'stdout is a terminal: name a folder, or send the tar stream into a file or a program',
      )
    }
    if (target === '-' && options.flag('json'))
      throw new UsageError('--json needs a folder: stdout is the tar stream')
    const node = await client()
    const open = () => node.stream(`/api/v1/tar/${reference}`)
    const progress = await progressOf(node, reference, context)
    try {
      if (target === '-') await toStdout(await open(), progress, context)
      else await toFolder(open, resolve(target), progress, context)
    } finally {
      progress.end()
    }
    return 0
  },
}

/** On a terminal the bar knows the whole; elsewhere that is not worth a question. */
async function progressOf(
  node: NodeClient,
  reference: string,
  { stderr }: CommandContext,
): Promise<Progress> {
  if (!stderr.isTerminal) return new Progress(stderr, { label: 'extract', unit: 'bytes' })
  const info = (await node.call('GET', `/api/v1/info/${reference}`)) as {
    flist?: { counts?: { fullsize?: number } }
  }
  return new Progress(stderr, { label: 'extract', unit: 'bytes', total: info.flist?.counts?.fullsize })
}

async function toStdout(
  { bytes }: ByteAnswer,
  progress: Progress,
  { stdout }: CommandContext,
): Promise<void> {
  for await (const piece of progress.counted(bytes)) await stdout.write(piece)
}

async function toFolder(
  open: () => Promise<ByteAnswer>,
  directory: string,
  progress: Progress,
  { options, stdout, stderr }: CommandContext,
): Promise<void> {
  const { bytes } = await open() // first: a name that does not exist leaves no folder behind
  const writer = new FolderWriter(directory, {
    force: options.flag('force'),
    uid: process.getuid?.() ?? 0,
    gid: process.getgid?.() ?? 0,
  })
  try {
    for await (const member of readMembers(progress.counted(bytes))) await writer.write(member)
  } finally {
    writer.close()
  }
  progress.end()
  const text = leftOutText(writer.leftOut)
  if (text !== undefined) await stderr.write(`zhub: left out: ${text}\n`)
  if (options.flag('json')) {
    await writeJson(stdout, { directory, files: writer.files, leftOut: writer.leftOut })
  } else if (stdout.isTerminal) {
    await stdout.write(`${printable(directory)}: ${counted(writer.files, 'file')}\n`)
  }
}

function leftOutText({ owners, devices, specialModes }: LeftOut): string | undefined {
  const parts = [
    owners > 0 ? `the owners of ${counted(owners, 'file')}` : '',
    devices > 0 ? counted(devices, 'device') : '',
    specialModes > 0 ? `the setuid and setgid bits of ${counted(specialModes, 'file')} of other owners` : '',
  ].filter((part) => part !== '')
  return parts.length === 0 ? undefined : parts.join(', ')
}
