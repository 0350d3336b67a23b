import { LimitError, MalformedError } from '../errors.ts'
import { CHUNK_ID_BYTES } from '../format/chunk.ts'
import { decodeSpecial, directoryKey, encodeSpecial, ROOT_KEY } from '../format/flist-v1.ts'
import type { Directory, Inode, InodeContent } from '../format/flist-v1.ts'
import { EMPTY, toLatin1 } from '../util/bytes.ts'
import { MIB } from '../util/units.ts'
import type { AclTable } from './acl-table.ts'
import { FlistBuilder } from './build.ts'
import type { FlistCounts } from './entry.ts'
import { joinPath } from './entry-name.ts'
import type { FlistLimits } from './limits.ts'
import { FlistReader } from './reader.ts'

export interface MergedFlist {
  readonly bytes: Uint8Array
  readonly counts: FlistCounts
  /** The ids of its chunks, 16 bytes each; of a chunk as often as it is used. */
  readonly chunkIds: Uint8Array<ArrayBuffer>
}

/** Databases of all sources together, in multiples of what one may have: they lie on the disk while they are merged. */
const MAX_DATABASES = 4
/** Of databases that are kept in memory, first come; others are read from files. */
const MEMORY_BYTES = 64 * MIB

/**
 * Several flists as one (hub-api.md §8.3): of each path the first source that has it counts, with all attributes; only
 * directories are looked through in every source. What a later source adds to a directory follows what is there,
 * special files last (hub-departures 25). Metadata are the first source's, without `backend`: who merges has the
 * chunks. Equal sources give equal bytes. Synchronous, for a worker; rows are read when their directory is reached,
 * so what it takes in memory are the paths still to be visited and the ids of the chunks.
 */
export class FlistMerge {
  readonly #options: { readonly temporaryDirectory: string; readonly limits: FlistLimits }
  readonly #sources: Source[] = []
  #databaseBytes = 0
  #memoryBytes = MEMORY_BYTES

  constructor(options: { readonly temporaryDirectory: string; readonly limits: FlistLimits }) {
    this.#options = options
  }

  /** The next source; errors about it say its name. @throws {MalformedError | LimitError} */
  add(name: string, bytes: Uint8Array): undefined {
    const options = { ...this.#options, maxMemoryBytes: this.#memoryBytes }
    const reader = named(name, () => new FlistReader(bytes, options))
    if (reader.databaseBytes <= this.#memoryBytes) this.#memoryBytes -= reader.databaseBytes
    this.#sources.push({ name, reader, acls: reader.acls(), aclKeys: new Map() })
    this.#databaseBytes += reader.databaseBytes
    const most = MAX_DATABASES * this.#options.limits.maxDatabaseBytes
    if (this.#databaseBytes > most) throw new LimitError('databases of the flists to merge', most, 'bytes')
  }

  /**
   * The flist of all sources, which are used up; `onChunks` is told the ids of its chunks before it is packed.
   * @throws {MalformedError | LimitError}
   */
  run(onChunks: (ids: Uint8Array<ArrayBuffer>) => void = () => {}): MergedFlist {
    const builder = new FlistBuilder({ limits: this.#options.limits })
    try {
      const tree = new MergedTree(this.#sources, builder, this.#options.limits)
      tree.run()
      onChunks(tree.chunkIds())
      const [first] = this.#sources
      if (first !== undefined) copyMetadata(first, builder)
      this.#close() // what they keep in memory is not needed beside the result
      return { ...builder.finish(), counts: tree.counts, chunkIds: tree.chunkIds() }
    } finally {
      this.#close()
    }
  }

  #close(): void {
    for (const { reader } of this.#sources.splice(0)) reader.close()
  }
}

interface Source {
  readonly name: string
  readonly reader: FlistReader
  readonly acls: AclTable
  /** By its key of an ACL, that of the result. */
  readonly aclKeys: Map<string, string>
}

/** A directory of the result, and where it stands in those sources that have it, the first one first. */
interface Folder {
  readonly path: Uint8Array
  readonly parent: Uint8Array
  readonly depth: number
  readonly parts: Part[]
}

interface Part {
  readonly source: Source
  readonly key: string
}

/** A name of the result: the inode of the first source that has it. */
interface Merged {
  readonly source: Source
  readonly inode: Inode
  /** Of a directory. */
  readonly parts: Part[] | undefined
  /** That has the name: what has it twice counts with the first. */
  lastSource: Source
}

class MergedTree {
  readonly #sources: readonly Source[]
  readonly #builder: FlistBuilder
  readonly #limits: FlistLimits
  readonly #ids = new IdList()
  readonly counts = { regular: 0, symlink: 0, directory: 0, special: 0, failure: 0, fullSize: 0 }

  constructor(sources: readonly Source[], builder: FlistBuilder, limits: FlistLimits) {
    this.#sources = sources
    this.#builder = builder
    this.#limits = limits
  }

  chunkIds(): Uint8Array<ArrayBuffer> {
    return this.#ids.bytes()
  }

  /** Depth first, a directory before what is in it. */
  run(): void {
    const parts = this.#sources.map((source) => ({ source, key: ROOT_KEY }))
    const stack: Folder[] = [{ path: EMPTY, parent: EMPTY, depth: 0, parts }]
    for (let folder = stack.pop(); folder !== undefined; folder = stack.pop()) {
      for (const below of this.#addFolder(folder).toReversed()) stack.push(below)
    }
  }

  /** Answers the folders in it. */
  #addFolder(folder: Folder): Folder[] {
    const { path, parent, depth } = folder
    if (depth > this.#limits.maxDepth) {
      throw new LimitError('nesting of folders in a flist', this.#limits.maxDepth, 'levels')
    }
    const { first, entries } = mergeFolder(folder)
    const folders: Folder[] = []
    const inodes = entries.map(({ source, inode, parts }) => {
      const { name } = inode
      if (parts === undefined) return this.#leaf(source, inode, path)
      const below = joinPath(path, Buffer.from(name)) // a view would keep its whole row in memory
      folders.push({ path: below, parent: path, depth: depth + 1, parts })
      this.counts.directory++
      const content: InodeContent = { kind: 'directory', key: directoryKey(below) }
      return { ...inode, content, aclKey: this.#acl(source, inode, path) }
    })
    const { source, directory } = first
    const row = {
      ...directory,
      name: path.subarray(path.lastIndexOf(SLASH) + 1),
      location: path,
      parentKey: directoryKey(parent),
      aclKey: this.#acl(source, directory, path),
      inodes,
    }
    this.#builder.addDirectory(row, { hasNamesChecked: true })
    return folders
  }

  #leaf(source: Source, inode: Inode, folder: Uint8Array): Inode {
    const { name, sizeBytes, modifiedS, changedS } = inode // field by field: a spread for each file takes long
    const aclKey = this.#acl(source, inode, folder)
    return { name, sizeBytes, aclKey, modifiedS, changedS, content: this.#content(source, inode, folder) }
  }

  #content({ acls }: Source, { content, aclKey, sizeBytes }: Inode, folder: Uint8Array): InodeContent {
    switch (content.kind) {
      case 'file':
        this.counts.regular++
        this.counts.fullSize += sizeBytes
        for (const { id } of content.blocks) this.#ids.add(id)
        return content
      case 'special': {
        this.counts.special++
        const { typeBits } = acls.get(aclKey, folder)
        if (typeBits === 0) return content
        const { special, major, minor } = decodeSpecial(content, typeBits) // our ACLs have no type any more
        return encodeSpecial(special, major, minor)
      }
      case 'link':
        this.counts.symlink++
        return content
      case 'directory':
        throw new Error('a directory is no leaf')
    }
  }

  #acl({ acls, aclKeys }: Source, { aclKey }: Pick<Inode, 'aclKey'>, path: Uint8Array): string {
    let key = aclKeys.get(aclKey)
    if (key === undefined) aclKeys.set(aclKey, (key = this.#builder.addAcl(acls.get(aclKey, path))))
    return key
  }
}

const SLASH = 0x2f

/** Ids one behind the other: a set of strings took most of a merge's memory. */
class IdList {
  #bytes = new Uint8Array(4096 * CHUNK_ID_BYTES)
  #length = 0

  add(id: Uint8Array): void {
    if (this.#length === this.#bytes.length) {
      const larger = new Uint8Array(2 * this.#length)
      larger.set(this.#bytes)
      this.#bytes = larger
    }
    this.#bytes.set(id, this.#length)
    this.#length += CHUNK_ID_BYTES
  }

  bytes(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length)
  }
}

/** The first source's row, and what all of them have in that directory. */
function mergeFolder({ path, parts }: Folder): {
  first: { source: Source; directory: Directory }
  entries: Merged[]
} {
  let first: { source: Source; directory: Directory } | undefined
  const entries = new Map<string, Merged>()
  for (const { source, key } of parts) {
    const directory = named(source.name, () => source.reader.directory(path, key))
    first ??= { source, directory }
    for (const inode of directory.inodes) addInode(entries, source, inode)
  }
  if (first === undefined) throw new Error('a directory that no source has')
  return { first, entries: specialsLast(entries.values()) }
}

function specialsLast(entries: Iterable<Merged>): Merged[] {
  const others: Merged[] = []
  const specials: Merged[] = []
  for (const entry of entries) (entry.inode.content.kind === 'special' ? specials : others).push(entry)
  for (const special of specials) others.push(special)
  return others
}

function addInode(entries: Map<string, Merged>, source: Source, inode: Inode): void {
  const { content } = inode
  const part = content.kind === 'directory' ? { source, key: content.key } : undefined
  const name = toLatin1(inode.name)
  const known = entries.get(name)
  if (known === undefined) entries.set(name, { source, inode, parts: part && [part], lastSource: source })
  else if (known.lastSource !== source) {
    known.lastSource = source
    if (part !== undefined) known.parts?.push(part)
  }
}

function copyMetadata({ name, reader }: Source, builder: FlistBuilder): void {
  for (const [key, text] of named(name, () => reader.metadataRows())) {
    if (toLatin1(key) !== 'backend') builder.setMetadata(key, text)
  }
}

/** What is wrong with a source, with its name. */
function named<T>(name: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    if (!(cause instanceof MalformedError)) throw cause
    throw new MalformedError(cause.format, `${name}: ${cause.message}`, { cause })
  }
}
