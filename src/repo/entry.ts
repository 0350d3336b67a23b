import type { Target } from '../format/effect.ts'

/** On whose behalf an operation was signed (replication.md, Settled points: who signs what). */
export interface User {
  readonly sub: string
  readonly idp: '3bot' | 'jwt' | 'token' | 'guest' | 'none' | 'local' | 'mirror'
}

export type { Target }

/** The winning version of one name: what listings and reads use. */
export interface Entry {
  readonly repository: string
  /** Set for an entry of a tag; then `name` is the name within the tag. */
  readonly tag?: string
  readonly name: string
  readonly target: Target
  /** Unix seconds of the operation; a rename keeps the file's. */
  readonly updatedS: number
  /** Hash of the operation that made it, 32 bytes. */
  readonly operation: Uint8Array
  /** Other live heads of the name: concurrent writes nobody settled. */
  readonly conflicts: number
}

export type Change =
  | {
      readonly type: 'put'
      readonly name: string
      readonly tag?: string
      readonly target: Target
      readonly updatedS?: number
    }
  | { readonly type: 'delete'; readonly name: string; readonly tag?: string }

/**
 * `superseded in conflict`: it lost when a conflict was settled. `quarantined`: signed by a node that was cut, after the
 * last operation of it that counts; kept, and counted nowhere.
 */
export type VersionState = 'current' | 'conflict' | 'superseded' | 'superseded in conflict' | 'quarantined'

/** A name, or an entry of a tag. */
export interface NamePlace {
  readonly name: string
  readonly tag?: string
}

/** One version in a name's history, newest first. */
export interface HistoryItem {
  readonly operation: Uint8Array
  readonly author: string
  readonly node: Uint8Array
  readonly timeS: number
  readonly kind: Target['kind'] | 'delete' | 'resolve'
  readonly target: Target | undefined
  readonly state: VersionState
}

/** Where a chain of links ends. */
export interface Resolved {
  readonly entry: Entry
  readonly target: Extract<Target, { kind: 'file' }>
}

/** Who published what under which name. Reads are synchronous, from memory. */
export interface Repositories {
  /** Names of every repository with a counting operation, byte order. */
  list(): readonly string[]
  has(repository: string): boolean
  /** Arrival on this node of the repository's last change, unix seconds. */
  updatedS(repository: string): number
  /** Grows by one with each change of a repository; 0 when there is none. For caches. */
  revision(repository: string): number
  /** Grows with each change anywhere. */
  readonly totalRevision: number
  /** Files, links and taglinks, in byte order of name; no entries of tags. */
  entries(repository: string): readonly Entry[]
  /** Tags that have an entry, byte order. */
  tags(repository: string): readonly string[]
  tagEntries(repository: string, tag: string): readonly Entry[] | undefined
  /** What a name is, links not followed. */
  find(repository: string, name: string, tag?: string): Entry | undefined
  /** What a name is that lists leave out, because nothing of it is here yet; whoever reads it fetches it. */
  pending(repository: string, name: string, tag?: string): Entry | undefined
  /** Follows links, also to what is pending, at most 8 deep; `undefined` for nothing, dangling or a loop. */
  resolve(repository: string, name: string, tag?: string): Resolved | undefined
  history(repository: string, name: string, tag?: string): Promise<HistoryItem[]>
  /** Names that had a conflict which somebody settled, in byte order of their keys. */
  settled(repository: string): Promise<NamePlace[]>
  /**
   * Signs one operation with all changes and stores it in one synced batch; when it resolves, every read shows it.
   * Calls for one repository take effect in their order. Answers the entries that puts made. A delete of what is not
   * there changes nothing.
   * @throws {InvalidInputError} for a name outside the rule, a target that does not fit it, or a name twice.
   * @throws {LimitError} over 64 changes or 16 KiB of them.
   */
  apply(repository: string, changes: readonly Change[], user: User): Promise<Entry[]>
}
