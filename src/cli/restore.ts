import { readdir } from 'node:fs/promises'
import { resolve } from 'node:path'
import { ConflictError } from '../errors.ts'
import type { Command } from './command.ts'
import { printable, writeJson } from './output.ts'

/** Works on the data folder itself: an empty folder has no running node. */
export const restore: Command = {
  name: 'restore',
  usage: '<DIR>',
  summary: 'make the data folder from a backup; it must be empty or not exist',
  options: [{ name: 'json', help: 'the report of the copy' }],
  takes: [1, 1],
  async run({ args, options, offline, stdout }) {
    const { data, restore: copy } = offline()
    if (!(await isEmptyFolder(data))) {
      throw new ConflictError(`${data} is not empty: restore makes a data folder, it never changes one`)
    }
    const report = await copy(resolve(args[0] ?? ''))
    if (options.flag('json')) await writeJson(stdout, report ?? {})
    else await stdout.write(`${printable(data)}\n`)
    return 0
  },
}

/** True for a folder without anything in it, and for one that does not exist. */
async function isEmptyFolder(path: string): Promise<boolean> {
  try {
    return (await readdir(path)).length === 0
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return true
    throw error
  }
}
