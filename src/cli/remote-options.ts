import { open } from 'node:fs/promises'
import { InvalidInputError, NotFoundError } from '../errors.ts'
import { KIB } from '../util/units.ts'
import type { OptionRow, Options } from './arguments.ts'
import { UsageError } from './command.ts'

/** Every command that talks to a node may talk to another one than that of its data folder. */
export const REMOTE_OPTIONS: readonly OptionRow[] = [
  { name: 'url', value: 'URL', help: 'a node somewhere else, instead of the one of --data' },
  {
    name: 'token-file',
    value: 'FILE',
    help: 'a file with the token that says who you are there; or ZHUB_TOKEN',
  },
  {
    name: 'token',
    value: 'TOKEN',
    help: 'the token itself, which others on this machine see in its process list',
  },
]

/** The name in the environment that is no setting of a node: the token for --url. */
export const TOKEN_VARIABLE = 'ZHUB_TOKEN'

/** Ours; a token has less than 1 KiB. */
const MAX_TOKEN_FILE_BYTES = 16 * KIB

export interface Remote {
  readonly url: string
  readonly token: string | undefined
}

/**
 * The node that a command line names, or `undefined` for that of the data folder. What is written on the command line
 * wins over `environmentToken`.
 * @throws {UsageError} for a token without a node; {NotFoundError} and {InvalidInputError} for a file without one.
 */
export async function remoteOf(
  options: Options,
  environmentToken: string | undefined,
): Promise<Remote | undefined> {
  const url = options.text('url')
  const token = options.text('token')
  const file = options.text('token-file')
  if (url === undefined) {
    for (const name of ['token', 'token-file'])
      if (options.text(name) !== undefined) throw new UsageError(`--${name} goes with --url`)
    return undefined
  }
  if (token !== undefined && file !== undefined) throw new UsageError('--token or --token-file, not both')
  if (file !== undefined) return { url, token: await readToken(file) }
  return { url, token: token ?? (environmentToken === '' ? undefined : environmentToken) }
}

/** The text of a file but the line end after it. */
async function readToken(path: string): Promise<string> {
  const file = await open(path).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'ENOENT') throw new NotFoundError(`no such file: ${path}`, { cause })
    throw new InvalidInputError(`cannot read the token in ${path}: ${cause.message}`, { cause })
  })
  try {
    const { buffer, bytesRead } = await file.read({ buffer: Buffer.alloc(MAX_TOKEN_FILE_BYTES) })
    const token = buffer.toString('latin1', 0, bytesRead).trim()
    if (token === '' || bytesRead === MAX_TOKEN_FILE_BYTES)
      throw new InvalidInputError(`${path} holds no token`)
    return token
  } catch (cause) {
    if (cause instanceof InvalidInputError) throw cause
    throw new InvalidInputError(`cannot read the token in ${path}: ${(cause as Error).message}`, { cause })
  } finally {
    await file.close()
  }
}
