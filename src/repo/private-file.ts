import { randomBytes } from 'node:crypto'
import { chmod, link, open, readFile, rename, stat, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'

/** Files of secrets: mode 0600, whole or absent, durable when a promise here resolves. */
export async function readPrivateFile(path: string): Promise<Uint8Array | undefined> {
  try {
    const bytes = await readFile(path)
    if (((await stat(path)).mode & 0o077) !== 0) await chmod(path, 0o600)
    return bytes
  } catch (error) {
    if (isCode(error, 'ENOENT')) return undefined
    throw error
  }
}

/** False, and nothing changes, when there is one already. */
export async function createPrivateFile(path: string, bytes: Uint8Array): Promise<boolean> {
  const fresh = await writeFresh(path, bytes)
  try {
    await link(fresh, path) // unlike rename, it never replaces
    return true
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false
    throw error
  } finally {
    await unlink(fresh)
    await syncDirectory(dirname(path))
  }
}

export async function replacePrivateFile(path: string, bytes: Uint8Array): Promise<void> {
  await rename(await writeFresh(path, bytes), path)
  await syncDirectory(dirname(path))
}

async function writeFresh(path: string, bytes: Uint8Array): Promise<string> {
  const fresh = `${path}.${randomBytes(6).toString('hex')}.new`
  const file = await open(fresh, 'wx', 0o600)
  try {
    await file.writeFile(bytes)
    await file.sync()
  } finally {
    await file.close()
  }
  return fresh
}

async function syncDirectory(path: string): Promise<void> {
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

export function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
