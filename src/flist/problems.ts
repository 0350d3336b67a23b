import { show } from './entry-name.ts'

/** What a reader of flists gets over, and somebody should know. */
export type FlistProblemKind =
  /** A directory has an entry of a name twice; the first counts. */
  | 'duplicate-name'
  /** An ACL has no row, or one that does not read: 0400, uid and gid 1000, as 0-fs has it. */
  | 'missing-acl'
  /** A file has more or fewer blocks than its size takes: content is lost. */
  | 'block-count'
  /** A file's blocks are not said to be of 512 KiB. */
  | 'block-size'
  /** A directory's row gives another path than the one that leads to it. */
  | 'wrong-location'
  /** Rows of the database that can be no part of the tree. */
  | 'stray-row'

export interface FlistProblem {
  readonly kind: FlistProblemKind
  /** A sentence that names the path. */
  readonly text: string
}

/** Enough to understand; the rest is counted. */
const MAX_LISTED = 1_000

export class FlistProblems {
  readonly #listed: FlistProblem[] = []
  readonly #counts = new Map<FlistProblemKind, number>()

  add(kind: FlistProblemKind, path: Uint8Array, text: string): void {
    this.#counts.set(kind, this.count(kind) + 1)
    const subject = path.length === 0 ? 'the flist' : show(path)
    if (this.#listed.length < MAX_LISTED) this.#listed.push({ kind, text: `${subject} ${text}` })
  }

  /** Of all that were added. */
  count(kind: FlistProblemKind): number {
    return this.#counts.get(kind) ?? 0
  }

  /** The first thousand. */
  list(): readonly FlistProblem[] {
    return this.#listed
  }
}
