import type { FlistId } from '../store/flist-store.ts'
import type { RowStore } from '../store/row-store.ts'
import { compareTimes } from '../format/operation.ts'
import { readHeads, readPast } from './history.ts'
import { viewOf } from './operation-batch.ts'
import type { ViewRow } from './rows.ts'
import type { Version } from './state.ts'

/** How much of a flist is here: with its chunks, without some of them, or nothing. */
export type Held = 'whole' | 'partial' | 'absent'

/**
 * How much of a flist is here for a repository; `whole` also where the repository is not subscribed, as its lists show
 * what operations say and a read fetches. Synchronous.
 */
export type Holds = (repository: string, flist: FlistId) => Held

/** What is here, and what must not be anywhere. */
export interface Holding {
  readonly holds: Holds
  /** Of a flist that was purged: no name shows it, and nobody waits for it. */
  readonly isPurged: (flist: FlistId) => boolean
}

/** Holds of one repository. */
export type HoldsFlist = (flist: FlistId) => Held

export function isHeld(view: ViewRow | undefined, holds: HoldsFlist): boolean {
  return view?.target.kind !== 'file' || holds(view.target.flist) === 'whole'
}

/**
 * What is shown of a name while the flist of its winner is on its way: the last revision that is here whole, otherwise
 * the newest whose chunks are still coming, so that a name never leads to what cannot be served (replication.md, Settled
 * points: `view`). `undefined` when there is none, or when the name was deleted after it.
 */
export async function heldRevision(
  rows: RowStore,
  repository: Uint8Array,
  key: string,
  holds: HoldsFlist,
): Promise<ViewRow | undefined> {
  const heads = await readHeads(rows, repository, key)
  const past = await readPast(rows, repository, key)
  const newestFirst = [...heads, ...past.sort((a, b) => compareTimes(b.time, a.time))]
  const shown = best(newestFirst, holds)
  return shown && viewOf([shown])
}

function best(newestFirst: readonly Version[], holds: HoldsFlist): Version | undefined {
  let partial: Version | undefined
  for (const version of newestFirst) {
    const { target } = version
    // Deleted: what was before it does not come back.
    if (target === undefined) return partial ?? version
    const held = target.kind === 'file' ? holds(target.flist) : 'whole'
    if (held === 'whole') return version
    if (held === 'partial') partial ??= version
  }
  return partial
}
