import type { FlistId } from '../store/flist-store.ts'
import type { RowStore } from '../store/row-store.ts'
import { readHeads, readPast } from './history.ts'
import { compareTimes } from '../format/operation.ts'
import type { ViewRow } from './rows.ts'
import { viewOf } from './operation-batch.ts'

/** Is a flist here, whole? Synchronous. */
export type Holds = (flist: FlistId) => boolean

/** What is here, and what must not be anywhere. */
export interface Holding {
  readonly holds: Holds
  /** Of a flist that was purged: no name shows it, and nobody waits for it. */
  readonly isPurged: Holds
}

export function isHeld(view: ViewRow | undefined, holds: Holds): boolean {
  return view?.target.kind !== 'file' || holds(view.target.flist)
}

/**
 * What is shown of a name while the flist of its winner is on its way: the last revision that is here whole, so that a
 * name never leads to what cannot be served (replication.md, Settled points: `view`). `undefined` when there is none, or
 * when the name was deleted after it.
 */
export async function heldRevision(
  rows: RowStore,
  repository: Uint8Array,
  key: string,
  holds: Holds,
): Promise<ViewRow | undefined> {
  const heads = await readHeads(rows, repository, key)
  const past = await readPast(rows, repository, key)
  const newestFirst = [...heads, ...past.sort((a, b) => compareTimes(b.time, a.time))]
  const held = newestFirst.find(({ target }) => target?.kind !== 'file' || holds(target.flist))
  return held && viewOf([held])
}
