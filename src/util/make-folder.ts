import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { UnavailableError } from '../errors.ts'

/**
 * Makes a folder and those above it, each private to this user; one that is there stays as it is. Node's own recursive
 * mkdir goes round for ever where the system says ENOENT below a folder that exists, as in /proc.
 * @throws {UnavailableError} that says which folder cannot be made, and why.
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await make(path)
  } catch (cause) {
    const { code, path: where = path } = cause as NodeJS.ErrnoException
    throw new UnavailableError(`cannot make the folder ${where}: ${WHY[code ?? ''] ?? String(code)}`, {
      cause,
    })
  }
}

const WHY: Readonly<Record<string, string>> = {
  EACCES: 'not allowed',
  EPERM: 'not allowed',
  EROFS: 'the file system is read-only',
  ENOSPC: 'the disk is full',
  EEXIST: 'a file is there',
  ENOTDIR: 'a file is there',
  ENOENT: 'the system has no folders there',
}

async function make(path: string, isRetry = false): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'EEXIST' && (await stat(path)).isDirectory()) return
    if (code !== 'ENOENT' || isRetry || dirname(path) === path) throw error
    await make(dirname(path))
    await make(path, true)
  }
}
