import { MalformedError, LimitError } from '../errors.ts'
import { BLOCK_BYTES } from '../format/chunk.ts'
import { BLOCK_PAGES, decodeDirectory, decodeSpecial, directoryKey, ROOT_KEY } from '../format/flist-v1.ts'
import type { Directory, Inode, InodeContent } from '../format/flist-v1.ts'
import { EMPTY, equalBytes, toLatin1 } from '../util/bytes.ts'
import { AclTable } from './acl-table.ts'
import { unpackFlist } from './container.ts'
import { pagesInFile, pagesInMemory } from './database-pages.ts'
import { DatabaseReader } from './database-reader.ts'
import type { EntryContent, FlistEntry } from './entry.ts'
import { joinPath, nameProblem, show } from './entry-name.ts'
import { FLIST_LIMITS } from './limits.ts'
import type { FlistLimits } from './limits.ts'
import { FlistProblems } from './problems.ts'
import type { UseOfDatabase } from './database-writer.ts'

export interface FlistReaderOptions {
  /** An existing folder; what is put there is removed by `close`. */
  readonly temporaryDirectory: string
  readonly limits?: FlistLimits
  /** Of a database that is kept in memory; a larger one lies in a file, for who has many open. */
  readonly maxMemoryBytes?: number
}

/**
 * Reads a flist of anybody, synchronously: for a worker, for hostile ones take long or break SQLite.
 * What must not be throws: names that are none, directories without a row or under a key that is not their path's,
 * anything over a limit. What the reference tools are known to do wrong is read past and kept in `problems`.
 */
export class FlistReader {
  readonly problems = new FlistProblems()
  readonly databaseBytes: number
  readonly #database: DatabaseReader
  readonly #limits: FlistLimits

  /** @throws {MalformedError | LimitError} */
  constructor(
    bytes: Uint8Array,
    { temporaryDirectory, limits = FLIST_LIMITS, maxMemoryBytes = Infinity }: FlistReaderOptions,
  ) {
    this.#limits = limits
    const database = unpackFlist(bytes, limits)
    this.databaseBytes = database.length
    const isSmall = database.length <= maxMemoryBytes
    const pages = isSmall ? pagesInMemory(database) : pagesInFile(database, temporaryDirectory)
    this.#database = new DatabaseReader(pages)
  }

  close(): void {
    this.#database.close()
  }

  /** In key order. @throws {MalformedError | LimitError} */
  metadata(): Array<[key: string, text: string]> {
    return this.#database.metadata()
  }

  /** The same as they are: text of strangers need not be UTF-8. */
  metadataRows(): Array<[key: Uint8Array, text: Uint8Array]> {
    return this.#database.metadataRows()
  }

  /** ACLs by their keys. */
  acls(): AclTable {
    return new AclTable(this.#database, this.problems)
  }

  /**
   * The row of a directory alone, each of its names checked; a name may come twice, and then the first counts. `key` is
   * what its parent calls it.
   * @throws {MalformedError | LimitError}
   */
  directory(path: Uint8Array, key: string): Directory {
    const { directory } = this.#visit(path, key)
    for (const { name } of directory.inodes) this.#checkName(path, name)
    return directory
  }

  /** The database with these metadata rows set or, where `null`, dropped; its other rows as they are. */
  rewrite<T>(changes: ReadonlyMap<string, string | null>, use: UseOfDatabase<T>): T {
    return this.#database.rewrite(changes, use)
  }

  /**
   * The root, then everything below it: depth first, each directory's entries in stored order. Of entries with one
   * name the first counts. A directory's attributes are those of its own row, as mounts show them; its size is the
   * one its parent tells, as dumps do. Arrays are views of messages, not to be changed.
   * @throws {MalformedError | LimitError}
   */
  *walk(): Generator<FlistEntry> {
    const acls = this.acls()
    const stack = [this.#visit(EMPTY, ROOT_KEY)]
    const root = stack[0]?.directory
    if (root !== undefined) yield directoryEntry(EMPTY, root, root.sizeBytes, acls)
    let entries = 0

    for (let top = stack.at(-1); top !== undefined; top = stack.at(-1)) {
      const inode = top.directory.inodes[top.next++]
      if (inode === undefined) {
        stack.pop()
        continue
      }
      const path = this.#pathOf(top, inode)
      if (path === undefined) continue
      if (++entries > this.#limits.maxEntries) {
        throw new LimitError('flist', this.#limits.maxEntries, 'entries')
      }
      if (inode.content.kind === 'directory') {
        if (stack.length > this.#limits.maxDepth) {
          throw new LimitError('nesting of folders in a flist', this.#limits.maxDepth, 'levels')
        }
        const below = this.#visit(path, inode.content.key)
        stack.push(below)
        yield directoryEntry(path, below.directory, inode.sizeBytes, acls)
      } else {
        yield this.#leaf(path, inode, inode.content, acls)
      }
    }
    this.#reportStrayRows()
  }

  /** The entry at `path`, found by its parent's row, as a mount finds it: without reading the rest. */
  find(path: Uint8Array): FlistEntry | undefined {
    const acls = this.acls()
    if (path.length === 0) {
      const { directory } = this.#visit(EMPTY, ROOT_KEY)
      return directoryEntry(EMPTY, directory, directory.sizeBytes, acls)
    }
    const slash = path.lastIndexOf(0x2f)
    const parent = path.subarray(0, Math.max(slash, 0))
    const name = path.subarray(slash + 1)
    if (slash === 0 || nameProblem(name) !== undefined) return undefined
    const key = directoryKey(parent)
    if (this.#database.value(key) === undefined) return undefined
    const inode = this.#visit(parent, key).directory.inodes.find((one) => equalBytes(one.name, name))
    if (inode === undefined) return undefined
    if (inode.content.kind !== 'directory') return this.#leaf(path, inode, inode.content, acls)
    return directoryEntry(path, this.#visit(path, inode.content.key).directory, inode.sizeBytes, acls)
  }

  /** The path of a directory's entry, or `undefined` for a name that was there before. */
  #pathOf(visit: Visit, { name }: Inode): Uint8Array | undefined {
    this.#checkName(visit.path, name)
    const path = joinPath(visit.path, name)
    const before = visit.names.size
    if (visit.names.add(toLatin1(name)).size > before) return path
    this.problems.add('duplicate-name', path, 'stands there twice; the first counts')
    return undefined
  }

  #checkName(folder: Uint8Array, name: Uint8Array): void {
    const problem = nameProblem(name)
    if (problem !== undefined) throw malformed(folder, `holds ${problem}`)
    const { maxPathBytes } = this.#limits
    const pathBytes = folder.length === 0 ? name.length : folder.length + 1 + name.length
    if (pathBytes > maxPathBytes) throw new LimitError('path in a flist', maxPathBytes, 'bytes')
  }

  /** Reads the row of a directory, which must be under the key of its path: so no two paths share one, and none is below itself. */
  #visit(path: Uint8Array, key: string): Visit {
    if (key !== directoryKey(path))
      throw malformed(
        path,
        `is named by the key ${JSON.stringify(key.slice(0, 64))}, which is not its path's`,
      )
    const row = this.#database.value(key)
    if (row === undefined) throw malformed(path, 'has no row')
    if (row === null) throw malformed(path, 'is lost: its row holds no message')
    const directory = decode(path, row)
    if (!equalBytes(directory.location, path)) {
      this.problems.add('wrong-location', path, `calls itself ${show(directory.location)}`)
    }
    return { path, directory, next: 0, names: new Set() }
  }

  #leaf(path: Uint8Array, inode: Inode, content: LeafContent, acls: AclTable): FlistEntry {
    const { typeBits, ...owner } = acls.get(inode.aclKey, path)
    if (content.kind === 'file') this.#checkBlocks(path, inode.sizeBytes, content)
    return {
      path,
      content: entryContent(content, typeBits),
      sizeBytes: inode.sizeBytes,
      ...owner,
      modifiedS: inode.modifiedS,
    }
  }

  /** Whether the blocks can add up; what is in them only decoding shows. */
  #checkBlocks(path: Uint8Array, sizeBytes: number, { blockPages, blocks }: FileContent): void {
    if (blocks.length > 0 && blockPages !== BLOCK_PAGES) {
      this.problems.add('block-size', path, `has blocks of ${blockPages} pages; readers take ${BLOCK_PAGES}`)
    }
    const expected = Math.ceil(sizeBytes / BLOCK_BYTES)
    if (blocks.length === expected) return
    const lost = blocks.length === expected - 1 ? ': its last block is lost' : ''
    this.problems.add(
      'block-count',
      path,
      `has ${blocks.length} blocks where its ${sizeBytes} bytes take ${expected}${lost}`,
    )
  }

  #reportStrayRows(): void {
    const stray = this.#database.strayRows()
    if (stray > 0) this.problems.add('stray-row', EMPTY, `has ${stray} rows that are no text with a message`)
  }
}

type LeafContent = Exclude<InodeContent, { kind: 'directory' }>
type FileContent = Extract<InodeContent, { kind: 'file' }>

interface Visit {
  readonly path: Uint8Array
  readonly directory: Directory
  readonly names: Set<string>
  next: number
}

function decode(path: Uint8Array, row: Uint8Array): Directory {
  try {
    return decodeDirectory(row)
  } catch (cause) {
    if (cause instanceof MalformedError) throw malformed(path, `does not read: ${cause.message}`, { cause })
    throw cause
  }
}

function directoryEntry(
  path: Uint8Array,
  directory: Directory,
  sizeBytes: number,
  acls: AclTable,
): FlistEntry {
  const { typeBits: _, ...owner } = acls.get(directory.aclKey, path)
  return { path, content: { kind: 'directory' }, sizeBytes, ...owner, modifiedS: directory.modifiedS }
}

function entryContent(content: LeafContent, typeBits: number): EntryContent {
  switch (content.kind) {
    case 'file':
      return { kind: 'file', blocks: content.blocks }
    case 'link':
      return { kind: 'link', target: content.target }
    case 'special':
      return { kind: 'special', ...decodeSpecial(content, typeBits) }
  }
}

function malformed(path: Uint8Array, reason: string, options?: ErrorOptions): MalformedError {
  return new MalformedError('flist', `not a flist: the directory ${show(path)} ${reason}`, options)
}
