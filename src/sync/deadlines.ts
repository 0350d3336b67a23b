import { SECOND_MS } from '../util/units.ts'

/** Beyond the expected time a second peer is asked too. Replication.md, Settled points, as the next. */
export const HEDGE_MS = 250

/** A peer that owes an answer for so long is gone. */
export const ANSWER_MS = 30 * SECOND_MS
