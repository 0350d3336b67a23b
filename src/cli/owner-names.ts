/** Names of users and groups of this machine, from the files that say them; other directories are not asked. */
import { readFileSync } from 'node:fs'
import { EMPTY } from '../util/bytes.ts'

export interface OwnerNames {
  /** Empty where nobody has the number. */
  user(uid: number): Uint8Array
  group(gid: number): Uint8Array
}

export function readOwnerNames(usersFile = '/etc/passwd', groupsFile = '/etc/group'): OwnerNames {
  const users = namesIn(usersFile)
  const groups = namesIn(groupsFile)
  return { user: (uid) => users.get(uid) ?? EMPTY, group: (gid) => groups.get(gid) ?? EMPTY }
}

/** `name:password:number:…`, the first line of a number wins, as in getpwuid(3). */
function namesIn(file: string): ReadonlyMap<number, Uint8Array> {
  const names = new Map<number, Uint8Array>()
  for (const line of readIfThere(file).split('\n')) {
    const [name = '', , id = ''] = line.split(':')
    if (/^\d+$/.test(id) && !names.has(Number(id))) names.set(Number(id), Buffer.from(name, 'latin1'))
  }
  return names
}

function readIfThere(file: string): string {
  try {
    return readFileSync(file, 'latin1')
  } catch {
    return '' // then numbers alone say who
  }
}
