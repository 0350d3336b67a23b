/** The data folder of a node: its places, its modes, and the note that says where the running node answers. */
import { createHash, randomBytes } from 'node:crypto'
import { chmod, lstat, mkdir, open, readdir, readFile, rename, rm, unlink } from 'node:fs/promises'
import { tmpdir, userInfo } from 'node:os'
import { dirname, join } from 'node:path'
import { ForbiddenError } from './errors.ts'

/** Longest path a unix socket takes on Linux and macOS, bytes, the closing NUL aside. */
const MAX_SOCKET_PATH_BYTES = 103

export interface DataFolder {
  readonly root: string
  readonly keys: string
  readonly temporary: string
  readonly tokenFile: string
  readonly noteFile: string
  readonly controlSocket: string
}

/** What a running node tells about itself to commands on the same machine. */
export interface NodeNote {
  readonly pid: number
  readonly controlSocket: string
  readonly http: readonly string[]
  readonly resp: readonly string[]
}

export function dataFolder(root: string): DataFolder {
  return {
    root,
    keys: join(root, 'keys'),
    temporary: join(root, 'tmp'),
    tokenFile: join(root, 'admin.token'),
    noteFile: join(root, 'node.json'),
    controlSocket: controlSocketPath(root),
  }
}

/** Makes what is missing, private to this user, and empties the temporary folder. */
export async function prepareDataFolder(folder: DataFolder): Promise<void> {
  await mkdir(folder.root, { recursive: true, mode: 0o700 })
  await mkdir(folder.keys, { recursive: true, mode: 0o700 })
  await mkdir(folder.temporary, { recursive: true, mode: 0o700 })
  await prepareSocketFolder(dirname(folder.controlSocket))
  for (const name of await readdir(folder.temporary)) {
    await rm(join(folder.temporary, name), { recursive: true, force: true })
  }
}

/** @throws {ForbiddenError} when somebody else made the folder first: who owns it could take our commands. */
async function prepareSocketFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o700 })
  const { uid } = await lstat(path)
  if (uid !== userInfo().uid) throw new ForbiddenError(`${path} belongs to another user`)
}

export async function writeNote(folder: DataFolder, note: NodeNote): Promise<void> {
  await writePrivateFile(folder.noteFile, JSON.stringify(note) + '\n')
}

/** What the last node of this folder wrote, whether it still runs or not. */
export async function readNote(folder: DataFolder): Promise<NodeNote | undefined> {
  try {
    return JSON.parse(await readFile(folder.noteFile, 'utf8')) as NodeNote
  } catch {
    return undefined
  }
}

export async function removeNote(folder: DataFolder): Promise<void> {
  await unlink(folder.noteFile).catch(() => {})
}

/** Replaces a file of this user's as one step, durably: readers see the old bytes or the new ones, mode 0600. */
export async function writePrivateFile(path: string, text: string): Promise<void> {
  const fresh = `${path}.${randomBytes(4).toString('hex')}`
  const file = await open(fresh, 'wx', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await chmod(fresh, 0o600)
  await rename(fresh, path)
}

/** In the data folder, or, where that path is too long for a socket, in a folder of this user's for sockets. */
function controlSocketPath(root: string): string {
  const path = join(root, 'control.sock')
  if (Buffer.byteLength(path) <= MAX_SOCKET_PATH_BYTES) return path
  const name = createHash('sha256').update(root).digest('hex').slice(0, 24)
  return join(tmpdir(), `zhub-${userInfo().uid}`, `${name}.sock`)
}
