import { InvalidInputError, LimitError } from '../errors.ts'
import { aclKey, encodeAcl, encodeDirectory, directoryKey, ROOT_KEY } from '../format/flist-v1.ts'
import type { Acl, Directory, Inode } from '../format/flist-v1.ts'
import { compareBytes, toLatin1 } from '../util/bytes.ts'
import { packFlist } from './container.ts'
import { nameProblem, show } from './entry-name.ts'
import { FLIST_LIMITS } from './limits.ts'
import type { FlistLimits } from './limits.ts'
import { DatabaseWriter } from './database-writer.ts'

export interface FlistBuilderOptions {
  readonly limits?: Partial<FlistLimits>
}

/**
 * Makes a flist, row by row, synchronously: for a worker. Rows stand in the order of the calls, so callers that walk
 * a tree in one order get one sequence of bytes, on every node. Walking depth-first, a directory before what is in
 * it, makes neighbours alike and the file a sixth smaller than rows sorted by key.
 */
export class FlistBuilder {
  readonly #writer: DatabaseWriter
  readonly #limits: FlistLimits
  #entries = 0
  readonly #acls = new Map<string, string>()
  readonly #aclKeys = new Set<string>()
  readonly #directories = new Set<string>()
  /** Referenced, and not added yet. */
  readonly #awaited = new Set<string>([ROOT_KEY])

  constructor({ limits }: FlistBuilderOptions = {}) {
    this.#limits = { ...FLIST_LIMITS, ...limits }
    this.#writer = new DatabaseWriter(this.#limits.maxDatabaseBytes)
  }

  /** Keeps an ACL, equal ones once, and answers the key by which directories and inodes name it. */
  addAcl(acl: Omit<Acl, 'typeBits'>): string {
    const { userName, groupName, mode, uid, gid } = acl
    const identity = `${toLatin1(userName)}\0${toLatin1(groupName)}\0${mode}\0${uid}\0${gid}`
    const known = this.#acls.get(identity)
    if (known !== undefined) return known
    const key = aclKey(acl)
    this.#acls.set(identity, key)
    if (!this.#aclKeys.has(key)) this.#writer.entry(key, encodeAcl({ ...acl, typeBits: 0 }))
    this.#aclKeys.add(key)
    return key
  }

  /**
   * Adds the row of a directory with its inodes in the order given (see `sortContents`). Its ACLs must be there.
   * `hasNamesChecked`: the caller has seen that every name is one, and there once.
   * @throws {InvalidInputError} for names that no filesystem has, or has twice, and for ACLs that nobody added.
   * @throws {LimitError} when the flist grows too large.
   */
  addDirectory(directory: Directory, { hasNamesChecked = false } = {}): void {
    const key = directoryKey(directory.location)
    if (this.#directories.has(key)) throw invalid(directory, 'is added twice')
    this.#checkAcl(directory, directory.aclKey)
    this.#entries += directory.inodes.length
    const { maxEntries } = this.#limits
    if (this.#entries > maxEntries) throw new LimitError('flist', maxEntries, 'entries')
    if (!hasNamesChecked) checkNames(directory)
    for (const inode of directory.inodes) {
      this.#checkAcl(directory, inode.aclKey)
      const { content } = inode
      if (content.kind === 'directory' && !this.#directories.has(content.key)) this.#awaited.add(content.key)
    }
    this.#writer.entry(key, encodeDirectory(directory))
    this.#directories.add(key)
    this.#awaited.delete(key)
  }

  /** A row of the metadata table; the last one of a key stays. */
  setMetadata(key: string | Uint8Array, text: string | Uint8Array): void {
    this.#writer.metadata(key, text)
  }

  /**
   * The flist; the builder is used up.
   * @throws {InvalidInputError} when the root, or a directory that another names, was never added.
   */
  finish(): { bytes: Uint8Array } {
    if (this.#awaited.size > 0) {
      throw new InvalidInputError(`${this.#awaited.size} directories of this flist are missing`)
    }
    const bytes = this.#writer.finish(packFlist)
    const { maxFileBytes } = this.#limits
    if (bytes.length > maxFileBytes) throw new LimitError('flist', maxFileBytes, 'bytes')
    return { bytes }
  }

  #checkAcl(directory: Directory, key: string): void {
    if (!this.#aclKeys.has(key)) throw invalid(directory, `names the unknown ACL ${key}`)
  }
}

function checkNames(directory: Directory): void {
  const names = new Set<string>()
  for (const { name } of directory.inodes) {
    const problem = nameProblem(name)
    if (problem !== undefined) throw invalid(directory, `has ${problem}`)
    names.add(toLatin1(name))
  }
  if (names.size < directory.inodes.length) throw invalid(directory, 'has two entries of one name')
}

function invalid({ location }: Directory, problem: string): InvalidInputError {
  return new InvalidInputError(`the directory ${show(location)} ${problem}`)
}

const RANK = { directory: 0, file: 1, link: 1, special: 2 } as const

/**
 * The order of a directory's entries: directories, then files and links, then special files, each by the bytes of
 * the name. Siblings after a special file are found wrongly by g8ufs of rfs v1.1 (hub-departures 25).
 */
export function sortContents<T extends Pick<Inode, 'name'> & { content: { kind: keyof typeof RANK } }>(
  inodes: readonly T[],
): T[] {
  return inodes.toSorted(
    (a, b) => RANK[a.content.kind] - RANK[b.content.kind] || compareBytes(a.name, b.name),
  )
}
