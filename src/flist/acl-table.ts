import { MalformedError } from '../errors.ts'
import { decodeAcl } from '../format/flist-v1.ts'
import type { Acl } from '../format/flist-v1.ts'
import { EMPTY, toLatin1 } from '../util/bytes.ts'
import type { FlistEntry } from './entry.ts'
import type { FlistProblems } from './problems.ts'
import type { DatabaseReader } from './database-reader.ts'

export interface Owner extends Pick<FlistEntry, 'mode' | 'uid' | 'gid' | 'userName' | 'groupName'> {
  /** `st_mode & 0170000` where an old writer left it, else 0. */
  readonly typeBits: number
}

/** What 0-fs shows where an ACL is missing, and where an old one gives a name it does not know: flist-v1.md §7, §12. */
const UNKNOWN_ID = 1000
const MISSING: Owner = {
  mode: 0o400,
  uid: UNKNOWN_ID,
  gid: UNKNOWN_ID,
  userName: EMPTY,
  groupName: EMPTY,
  typeBits: 0,
}

/** The ACLs of a flist, each read once. */
export class AclTable {
  readonly #database: DatabaseReader
  readonly #problems: FlistProblems
  readonly #known = new Map<string, Owner>()

  constructor(database: DatabaseReader, problems: FlistProblems) {
    this.#database = database
    this.#problems = problems
  }

  /** A missing one is reported at the first path that names it. */
  get(key: string, path: Uint8Array): Owner {
    const known = this.#known.get(key)
    if (known !== undefined) return known
    const owner = this.#read(key)
    if (owner === undefined)
      this.#problems.add(
        'missing-acl',
        path,
        `names the ACL ${JSON.stringify(key.slice(0, 64))}, which is not there`,
      )
    this.#known.set(key, owner ?? MISSING)
    return owner ?? MISSING
  }

  #read(key: string): Owner | undefined {
    const row = this.#database.value(key)
    if (row === undefined || row === null) return undefined
    try {
      return ownerOf(decodeAcl(row))
    } catch (error) {
      if (error instanceof MalformedError) return undefined
      throw error
    }
  }
}

function ownerOf({ userName, groupName, mode, typeBits, uid, gid }: Acl): Owner {
  return {
    mode,
    typeBits,
    userName,
    groupName,
    uid: uid ?? idOfName(userName),
    gid: gid ?? idOfName(groupName),
  }
}

/** Old writers gave names alone, and the decimal id where the host had no name for it. */
function idOfName(name: Uint8Array): number {
  const text = toLatin1(name)
  if (text === 'root') return 0
  const id = /^\d{1,10}$/.test(text) ? Number(text) : UNKNOWN_ID
  return id <= 0xffffffff ? id : UNKNOWN_ID
}
