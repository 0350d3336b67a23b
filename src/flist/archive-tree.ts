import { LimitError, MalformedError } from '../errors.ts'
import { toLatin1 } from '../util/bytes.ts'
import type { ArchiveEntry } from './archive-entry.ts'
import { impliedDirectory } from './archive-entry.ts'
import type { BlockRange } from './block-table.ts'
import { show } from './entry-name.ts'
import { EntrySpool } from './entry-spool.ts'
import type { RunStore } from './entry-spool.ts'
import type { IngestLimits } from './ingest-limits.ts'
import type { LayerMark } from './layer-mark.ts'
import type { MemberPath } from './member-path.ts'
import { joinPath, PathReader, ROOT_PATH, splitPath } from './member-path.ts'
import type { TarMember } from './tar-member.ts'

const PERMISSIONS = 0o7777
/** Longest target of a symbolic link: PATH_MAX without its NUL. */
const MAX_TARGET_BYTES = 4095
/** Folders remembered, to not imply them again; forgetting one costs an entry. */
const MAX_REMEMBERED = 262_144
const MAX_INTERNED = 4096
const NO_BLOCKS: BlockRange = { firstBlock: 0, blockCount: 0 }

type TreeLimits = Pick<IngestLimits, 'maxEntries' | 'maxEntriesInMemory' | 'maxPathBytes' | 'maxDepth'>

/**
 * The members of an archive, or of layers one over the other: each checked by itself as it comes; what they are
 * together, `TreeBuild` sees.
 */
export class ArchiveTree {
  readonly #limits: TreeLimits
  readonly #paths: PathReader
  readonly #spool: EntrySpool
  readonly #folders = new Set<string>([''])
  readonly #names = new Map<string, string>()
  readonly #targets = new Set<string>()
  readonly #layerStarts: number[] = [0]
  #root: ArchiveEntry = impliedDirectory(ROOT_PATH)
  #layerStart = 0
  #impliedOrder = 0
  #rootFloor = 0
  #hasMarks = false
  #members = 0
  #entries = 0

  constructor(limits: TreeLimits, runs: RunStore) {
    this.#limits = limits
    this.#paths = new PathReader(limits)
    this.#spool = new EntrySpool(limits.maxEntriesInMemory, runs)
  }

  get isEmpty(): boolean {
    return this.#members === 0
  }

  get root(): ArchiveEntry {
    return this.#root
  }

  /** False: nothing in it hides anything. */
  get isLayered(): boolean {
    return this.#hasMarks || this.#layerStarts.length > 1
  }

  /** The order at which each layer starts, ascending; one of a single archive. */
  get layerStarts(): readonly number[] {
    return this.#layerStarts
  }

  /** Entries of the root of a lower order are hidden by a mark of the root itself. */
  get rootFloor(): number {
    return this.#rootFloor
  }

  /** What comes from now on lies over what came before. */
  nextLayer(): void {
    this.#layerStart = ++this.#members
    this.#impliedOrder = ++this.#members // after the layer's marks, which hide what is before
    this.#layerStarts.push(this.#layerStart)
    this.#folders.clear() // each layer implies its own
    this.#folders.add('')
  }

  /** Joined paths that hard links name. */
  get hardLinkTargets(): ReadonlySet<string> {
    return this.#targets
  }

  /** Everything but the root, in order. */
  sorted(): AsyncGenerator<readonly ArchiveEntry[]> {
    return this.#spool.sorted()
  }

  /** The entry of a member, not yet added: a file's blocks are told by `add`. @throws {MalformedError} */
  read(member: TarMember): ArchiveEntry {
    this.#members++
    const { parent, name } = this.#paths.read(member.path)
    const { kind, uid, gid } = member
    // Field by field: spreading so many made objects of a slow shape, 15 µs and 700 bytes a member.
    return {
      parent,
      name,
      kind,
      order: this.#members,
      mode: member.mode & PERMISSIONS,
      uid,
      gid,
      userName: this.#ownerName(member.userName, uid),
      groupName: this.#ownerName(member.groupName, gid),
      modifiedS: secondsOf(member.modifiedS),
      sizeBytes: member.sizeBytes,
      target: this.#target(member),
      major: member.major,
      minor: member.minor,
      firstBlock: 0,
      blockCount: 0,
    }
  }

  /** Resolves when there is room for more. @throws {MalformedError | LimitError} */
  async add(entry: ArchiveEntry, blocks: BlockRange = NO_BLOCKS): Promise<void> {
    if (entry.name === '') return this.#setRoot(entry)
    await this.#addFolders(entry.parent)
    if (entry.kind === 'directory') this.#remember(joinPath(entry))
    if (entry.kind === 'hardlink') this.#targets.add(entry.target)
    entry.firstBlock = blocks.firstBlock
    entry.blockCount = blocks.blockCount
    await this.#put(entry)
  }

  #put(entry: ArchiveEntry): Promise<void> | undefined {
    const { maxEntries } = this.#limits
    if (++this.#entries > maxEntries) throw new LimitError('members of an archive', maxEntries, 'entries')
    return this.#spool.add(entry)
  }

  #setRoot(entry: ArchiveEntry): void {
    if (entry.kind !== 'directory') {
      throw new MalformedError('tar', `the member "." is refused: it is a ${entry.kind}, and no directory`)
    }
    this.#root = entry
  }

  /**
   * A mark of a layer: what it hides of the layers before. It makes no directory: where a file replaces one, some
   * tools write whiteouts of all that was in it beside the file. @throws {LimitError}
   */
  async addMark({ path, kind }: LayerMark): Promise<void> {
    this.#hasMarks = true
    if (kind === 'opaque' && path.name === '') this.#rootFloor = this.#layerStart
    else await this.#put({ ...impliedDirectory(path, this.#layerStart), kind })
  }

  /** The folders on the way, unless they are known. */
  async #addFolders(path: string): Promise<void> {
    for (let folder = path; !this.#folders.has(folder); folder = splitPath(folder).parent) {
      this.#remember(folder)
      await this.#put(impliedDirectory(splitPath(folder), this.#impliedOrder))
    }
  }

  #remember(folder: string): void {
    if (this.#folders.size >= MAX_REMEMBERED) {
      this.#folders.clear()
      this.#folders.add('')
    }
    this.#folders.add(folder)
  }

  #target({ kind, path, linkTarget }: TarMember): string {
    if (kind === 'link') {
      if (linkTarget.length === 0 || linkTarget.length > MAX_TARGET_BYTES || linkTarget.includes(0)) {
        throw refused(path, `its target has ${linkTarget.length} bytes; 1 to ${MAX_TARGET_BYTES} are taken`)
      }
      return toLatin1(linkTarget)
    }
    return kind === 'hardlink' ? this.#hardLinkTarget(path, linkTarget) : ''
  }

  #hardLinkTarget(path: Uint8Array, target: Uint8Array): string {
    let read: MemberPath
    try {
      read = new PathReader(this.#limits).read(target)
    } catch (cause) {
      if (!(cause instanceof MalformedError)) throw cause
      throw new MalformedError('tar', `the hard link ${show(path)} to ${show(target)} leads nowhere`, {
        cause,
      })
    }
    return joinPath(read)
  }

  /** As in the archive, else the number, as `%d` prints it (flist-v1.md §7). */
  #ownerName(name: Uint8Array, id: number): string {
    const text = name.length === 0 ? String(id | 0) : toLatin1(name)
    const known = this.#names.get(text)
    if (known !== undefined) return known
    if (this.#names.size >= MAX_INTERNED) this.#names.clear()
    this.#names.set(text, text)
    return text
  }
}

/** The low 32 bits, as the reference keeps times: −1 is 4294967295 (flist-v1.md §6). */
function secondsOf(seconds: number): number {
  return ((seconds % 2 ** 32) + 2 ** 32) % 2 ** 32
}

function refused(path: Uint8Array, reason: string): MalformedError {
  return new MalformedError('tar', `the member ${show(path)} is refused: ${reason}`)
}
