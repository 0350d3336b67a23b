import { LimitError, MalformedError } from '../errors.ts'
import { MAX_MESSAGE_BYTES } from '../format/capnp.ts'
import { BLOCK_PAGES, DIRECTORY_SIZE_BYTES, directoryKey, encodeSpecial } from '../format/flist-v1.ts'
import type { Inode, InodeContent } from '../format/flist-v1.ts'
import type { ArchiveEntry } from './archive-entry.ts'
import { isDirectory, isMark } from './archive-entry.ts'
import type { ArchiveTree } from './archive-tree.ts'
import type { BlockRange, BlockTable } from './block-table.ts'
import { sortContents } from './build.ts'
import type { FlistBuilder } from './build.ts'
import type { FlistCounts } from './entry.ts'
import { show } from './entry-name.ts'
import { HiddenTargets, visibleEntries } from './layer-view.ts'
import { joinPath, pathBytes } from './member-path.ts'

/** A lower bound of what an inode, and a block, take in a directory's row. */
const INODE_BYTES = 48
const BLOCK_REF_BYTES = 48

/** Adds the tree of an archive to a flist, directory by directory, depth first. Ids of blocks must be known. */
export class TreeBuild {
  readonly #tree: ArchiveTree
  readonly #blocks: BlockTable
  readonly #builder: FlistBuilder
  /** By first block: hard links have those of what they name. */
  readonly #used = new Map<number, BlockRange>()
  readonly #aclKeys = new Map<string, string>()
  #targets: Versions = NO_VERSIONS
  #counts = { regular: 0, symlink: 0, directory: 0, special: 0, failure: 0, fullSize: 0 }

  constructor(tree: ArchiveTree, blocks: BlockTable, builder: FlistBuilder) {
    this.#tree = tree
    this.#blocks = blocks
    this.#builder = builder
  }

  get counts(): FlistCounts {
    return this.#counts
  }

  /** Ids of the blocks in it, as `BlockTable.idsOf`; those of a file once, however many names it has. */
  chunkIds(): Uint8Array<ArrayBuffer> | undefined {
    return this.#blocks.idsOf([...this.#used.values()])
  }

  /** @throws {MalformedError | LimitError} for members that make no tree together. */
  async run(): Promise<void> {
    this.#targets = await collectTargets(this.#tree)
    const folders = inFolders(seenEntries(this.#tree))
    let next = await folders.next()
    const stack: ArchiveEntry[] = [this.#tree.root]
    for (let folder = stack.pop(); folder !== undefined; folder = stack.pop()) {
      const path = joinPath(folder)
      let contents: readonly ArchiveEntry[] = []
      if (next.done !== true && next.value.parent === path) {
        contents = this.#addFolder(folder, path, next.value.entries)
        next = await folders.next()
      } else this.#addFolder(folder, path, [])
      stack.push(...contents.toReversed())
    }
    if (next.done !== true) throw new Error('entries without a folder')
  }

  /** Answers the folders in it, in order. */
  #addFolder(folder: ArchiveEntry, path: string, entries: readonly ArchiveEntry[]): ArchiveEntry[] {
    const resolved = entries.map((entry) => this.#resolve(entry))
    // Before any of it is made: a hard link costs the archive a header, and the flist every block of a file.
    checkRowBytes(
      path,
      resolved.reduce((sum, entry) => sum + rowBytes(entry), 0),
    )
    const location = pathBytes(path)
    const directory = {
      name: Buffer.from(folder.name, 'latin1'),
      location,
      parentKey: directoryKey(pathBytes(folder.name === '' ? '' : folder.parent)),
      sizeBytes: DIRECTORY_SIZE_BYTES,
      modifiedS: folder.modifiedS,
      changedS: folder.modifiedS,
      inodes: sortContents(resolved.map((entry) => this.#inode(entry))),
      aclKey: this.#aclKey(folder),
    }
    // Each path was read name by name, and `inFolders` has one entry of a name.
    this.#builder.addDirectory(directory, { hasNamesChecked: true })
    return resolved.filter(isDirectory)
  }

  /** A hard link is what it names was, when the link was made. */
  #resolve(entry: ArchiveEntry): ArchiveEntry {
    return entry.kind === 'hardlink' ? resolveHardLink(entry, this.#targets) : entry
  }

  #inode(entry: ArchiveEntry): Inode {
    return {
      name: Buffer.from(entry.name, 'latin1'),
      content: this.#content(entry),
      sizeBytes: sizeOf(entry),
      aclKey: this.#aclKey(entry),
      modifiedS: entry.modifiedS,
      changedS: entry.modifiedS,
    }
  }

  #content(entry: ArchiveEntry): InodeContent {
    switch (entry.kind) {
      case 'directory':
      case 'implied':
        this.#counts.directory++
        return { kind: 'directory', key: directoryKey(pathBytes(joinPath(entry))) }
      case 'file':
        return this.#file(entry)
      case 'link':
        this.#counts.symlink++
        return { kind: 'link', target: Buffer.from(entry.target, 'latin1') }
      case 'char':
      case 'block':
      case 'fifo':
        this.#counts.special++
        return encodeSpecial(entry.kind, entry.major, entry.minor)
      case 'hardlink':
      case 'whiteout':
      case 'opaque':
        throw new Error(`a ${entry.kind} that was not resolved`)
    }
  }

  #file(entry: ArchiveEntry): InodeContent {
    this.#counts.regular++
    this.#counts.fullSize += entry.sizeBytes
    if (entry.blockCount > 0) this.#used.set(entry.firstBlock, entry)
    return { kind: 'file', blockPages: BLOCK_PAGES, blocks: this.#blocks.blocks(entry) }
  }

  #aclKey({ mode, uid, gid, userName, groupName }: ArchiveEntry): string {
    const identity = `${mode},${uid},${gid},${userName}\0${groupName}`
    let key = this.#aclKeys.get(identity)
    if (key === undefined) {
      const names = { userName: Buffer.from(userName, 'latin1'), groupName: Buffer.from(groupName, 'latin1') }
      key = this.#builder.addAcl({ mode, uid, gid, ...names })
      this.#aclKeys.set(identity, key)
    }
    return key
  }
}

function sizeOf({ kind, sizeBytes, target }: ArchiveEntry): number {
  if (kind === 'file') return sizeBytes
  if (kind === 'link') return target.length
  return kind === 'directory' || kind === 'implied' ? DIRECTORY_SIZE_BYTES : 0
}

/** An archive alone hides nothing. */
function seenEntries(tree: ArchiveTree): AsyncIterable<readonly ArchiveEntry[]> {
  return tree.isLayered ? visibleEntries(tree.sorted(), tree) : tree.sorted()
}

interface Versions {
  readonly byPath: ReadonlyMap<string, readonly ArchiveEntry[]>
  readonly hidden: HiddenTargets | undefined
}
const NO_VERSIONS: Versions = { byPath: new Map(), hidden: undefined }

/** Every version of what hard links name, by joined path, in order; hard links among them are resolved. */
async function collectTargets(tree: ArchiveTree): Promise<Versions> {
  if (tree.hardLinkTargets.size === 0) return NO_VERSIONS
  const targets = new Map<string, ArchiveEntry[]>()
  const hidden = tree.isLayered ? new HiddenTargets(tree.hardLinkTargets, tree) : undefined
  const links: Array<{ link: ArchiveEntry; versions: ArchiveEntry[]; at: number }> = []
  for await (const entries of tree.sorted()) {
    for (const entry of entries) {
      hidden?.see(entry)
      const path = joinPath(entry)
      if (!tree.hardLinkTargets.has(path) || isMark(entry)) continue
      let versions = targets.get(path)
      if (versions === undefined) targets.set(path, (versions = []))
      if (entry.kind === 'hardlink') links.push({ link: entry, versions, at: versions.length })
      versions.push(entry)
    }
  }
  links.sort((a, b) => a.link.order - b.link.order)
  const all = { byPath: targets, hidden }
  for (const { link, versions, at } of links) versions[at] = resolveHardLink(link, all)
  return all
}

/** @throws {MalformedError} when no member before it has that name, or a directory has. */
function resolveHardLink(link: ArchiveEntry, targets: Versions): ArchiveEntry {
  const { byPath, hidden } = targets
  let target = lastBefore(byPath.get(link.target) ?? [], link.order)
  if (target !== undefined && hidden?.isHidden(link.target, target.order, link.order) === true)
    target = undefined
  if (target !== undefined && !isDirectory(target)) {
    const { parent, name, order } = link
    return { ...target, parent, name, order }
  }
  const reason = target === undefined ? 'there is no earlier member of that name' : 'that is a directory'
  throw malformed(
    `the hard link ${showPath(joinPath(link))} to ${showPath(link.target)} is refused: ${reason}`,
  )
}

function lastBefore(versions: readonly ArchiveEntry[], order: number): ArchiveEntry | undefined {
  let [low, high] = [0, versions.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((versions[middle]?.order ?? 0) < order) low = middle + 1
    else high = middle
  }
  return versions[low - 1]
}

/** At least. */
function rowBytes({ blockCount }: ArchiveEntry): number {
  return INODE_BYTES + blockCount * BLOCK_REF_BYTES
}

function checkRowBytes(path: string, bytes: number): void {
  if (bytes > MAX_MESSAGE_BYTES)
    throw new LimitError(`directory ${showPath(path)}`, MAX_MESSAGE_BYTES, 'bytes')
}

interface Folder {
  readonly parent: string
  /** By name, each once. */
  readonly entries: ArchiveEntry[]
}

/** @throws {MalformedError | LimitError} for a folder that cannot be one. */
async function* inFolders(sorted: AsyncIterable<readonly ArchiveEntry[]>): AsyncGenerator<Folder> {
  let folder: Folder | undefined
  let bytes = 0
  for await (const entries of sorted) {
    for (const entry of entries) {
      if (folder?.parent !== entry.parent) {
        if (folder !== undefined) yield folder
        folder = { parent: entry.parent, entries: [] }
        bytes = 0
      }
      bytes += rowBytes(entry)
      checkRowBytes(entry.parent, bytes)
      const last = folder.entries.at(-1)
      if (last?.name === entry.name) folder.entries[folder.entries.length - 1] = later(last, entry)
      else folder.entries.push(entry)
    }
  }
  if (folder !== undefined) yield folder
}

/** The last member of a name counts; an implied directory only where there is none. */
function later(before: ArchiveEntry, after: ArchiveEntry): ArchiveEntry {
  if (isDirectory(before) === isDirectory(after)) return after.kind === 'implied' ? before : after
  throw malformed(
    `the member ${showPath(joinPath(after))} is refused: it is a directory and something else in one archive`,
  )
}

function showPath(path: string): string {
  return show(pathBytes(path))
}

function malformed(message: string): MalformedError {
  return new MalformedError('tar', message)
}
