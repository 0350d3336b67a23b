/** The data folder of a node: its places and their modes. */
import { createHash } from 'node:crypto'
import { lstat, readdir, rm } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { ForbiddenError } from './errors.ts'
import { makeFolder } from './util/make-folder.ts'

/** Longest path a unix socket takes on Linux and macOS, bytes, the closing NUL aside. */
const MAX_SOCKET_PATH_BYTES = 103

export interface DataFolder {
  readonly root: string
  readonly keys: string
  readonly temporary: string
  readonly tokenFile: string
  readonly controlSocket: string
}

export function dataFolder(root: string): DataFolder {
  return {
    root,
    keys: join(root, 'keys'),
    temporary: join(root, 'tmp'),
    tokenFile: join(root, 'admin.token'),
    controlSocket: controlSocketPath(root),
  }
}

/** Makes what is missing, private to this user, and empties the temporary folder. */
export async function prepareDataFolder(folder: DataFolder): Promise<void> {
  await makeFolder(folder.root)
  await makeFolder(folder.keys)
  await makeFolder(folder.temporary)
  await prepareSocketFolder(dirname(folder.controlSocket))
  for (const name of await readdir(folder.temporary)) {
    await rm(join(folder.temporary, name), { recursive: true, force: true })
  }
}

/** @throws {ForbiddenError} when somebody else made the folder first: who owns it could take our commands. */
async function prepareSocketFolder(path: string): Promise<void> {
  await makeFolder(path)
  const { uid } = await lstat(path)
  if (uid !== userInfo().uid) throw new ForbiddenError(`${path} belongs to another user`)
}

/** In the data folder, or, where that path is too long for a socket, in a folder of this user's for sockets. */
function controlSocketPath(root: string): string {
  const path = join(root, 'control.sock')
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES) return path
  const name = createHash('sha256').update(root).digest('hex').slice(0, 24)
  return join(tmpdir(), `zhub-${userInfo().uid}`, `${name}.sock`)
}
