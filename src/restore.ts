/** `zhub restore`: a backup becomes the data folder of a node that does not exist yet. */
import { chmod, cp, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { InvalidInputError } from './errors.ts'
import { restoreDatabase } from './store/backup.ts'
import { makeFolder } from './util/make-folder.ts'

/**
 * Copies beside the data folder first and moves it into place as one step: what is interrupted is no data folder.
 * @throws {InvalidInputError} when `backup` is none.
 */
export async function restoreDataFolder(backup: string, data: string, signal: AbortSignal): Promise<object> {
  const fresh = `${data}.restoring`
  await rm(fresh, { recursive: true, force: true })
  await makeFolder(fresh)
  try {
    await restoreDatabase(backup, fresh, { signal })
    signal.throwIfAborted()
    await copyKeys(backup, fresh)
    await rm(data, { recursive: true, force: true }) // empty, or not there: the command has looked
    await rename(fresh, data)
  } catch (error) {
    await rm(fresh, { recursive: true, force: true })
    throw error
  }
  return { data, from: backup }
}

async function copyKeys(backup: string, fresh: string): Promise<void> {
  try {
    await cp(join(backup, 'keys'), join(fresh, 'keys'), { recursive: true })
    await cp(join(backup, 'admin.token'), join(fresh, 'admin.token'))
  } catch (cause) {
    throw new InvalidInputError(`${backup} is no backup: it has no keys`, { cause })
  }
  await chmod(join(fresh, 'keys'), 0o700)
}
