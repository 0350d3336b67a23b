import type { TarKind } from '../format/tar.ts'
import type { MemberPath } from './member-path.ts'

/** A member of an archive on its way into the tree. Texts hold one byte a character. */
export interface ArchiveEntry extends MemberPath {
  /**
   * `implied`: a directory that something lies in, without a member of its own so far. Of layers alone: `whiteout`
   * hides that name and all below it in the layers before its own, `opaque` only what lies in that directory.
   */
  readonly kind: TarKind | 'implied' | 'whiteout' | 'opaque'
  /** Place among the members of all layers, from 1; of marks and implied directories, before those of their layer. */
  readonly order: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly userName: string
  readonly groupName: string
  /** Unix seconds, u32. */
  readonly modifiedS: number
  readonly sizeBytes: number
  /** Of a link, as it stands there; of a hard link, a joined path. */
  readonly target: string
  readonly major: number
  readonly minor: number
  /** Of a file's content in the BlockTable; known once it has all come. */
  firstBlock: number
  blockCount: number
}

/** In the order of directories, then names, then members of one name as they came. */
export function compareEntries(a: ArchiveEntry, b: ArchiveEntry): number {
  if (a.parent !== b.parent) return a.parent < b.parent ? -1 : 1
  if (a.name !== b.name) return a.name < b.name ? -1 : 1
  return a.order - b.order
}

export function isDirectory({ kind }: Pick<ArchiveEntry, 'kind'>): boolean {
  return kind === 'directory' || kind === 'implied'
}

/** A mark of a layer, and nothing to be seen. */
export function isMark({ kind }: Pick<ArchiveEntry, 'kind'>): boolean {
  return kind === 'whiteout' || kind === 'opaque'
}

/** What a directory without a member gets: security.md and interfaces.md, limits. */
export function impliedDirectory(path: MemberPath, order = 0): ArchiveEntry {
  return {
    ...path,
    kind: 'implied',
    order,
    mode: 0o755,
    uid: 0,
    gid: 0,
    userName: 'root',
    groupName: 'root',
    modifiedS: 0,
    sizeBytes: 0,
    target: '',
    major: 0,
    minor: 0,
    firstBlock: 0,
    blockCount: 0,
  }
}
