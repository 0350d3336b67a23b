import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from '../util/units.ts'

/** Whom to dial next, without I/O. */
export interface DialTarget {
  /** Wanted however many others are connected. */
  readonly isStatic: boolean
  /** Unix milliseconds when it was connected last; 0 = never. */
  readonly seenMs: number
  /** Not before; unix milliseconds. */
  readonly dueMs: number
  /** In a row. */
  readonly failures: number
}

export interface DialRoom {
  readonly nowMs: number
  /** Dials that may begin now. */
  readonly slots: number
  /** Neighbours that are missing; static targets need none of these places. */
  readonly missing: number
  /** 0 to 1, 1 excluded. */
  readonly random: () => number
}

const FIRST_RETRY_MS = SECOND_MS
const LAST_RETRY_MS = MINUTE_MS

/** How long to wait after so many failures in a row: 1 s, doubled up to 1 min, and up to half of it less. */
export function backOffMs(failures: number, random: number): number {
  const wholeMs = Math.min(FIRST_RETRY_MS * 2 ** Math.min(failures - 1, 30), LAST_RETRY_MS)
  return wholeMs * (1 - random / 2)
}

/**
 * Those to dial now. Of the others than static ones: who did not fail, who was there lately, and then by chance, so that
 * the nodes of a large realm do not all call the same few.
 */
export function nextDials<T extends DialTarget>(
  targets: readonly T[],
  { nowMs, slots, missing, random }: DialRoom,
): T[] {
  const due = targets.filter(({ dueMs }) => dueMs <= nowMs)
  const ranked = due
    .filter(({ isStatic }) => !isStatic)
    .map((target) => ({ target, rank: rankOf(target, nowMs) + random() }))
    .sort((a, b) => a.rank - b.rank)
    .map(({ target }) => target)
  const chosen = [...due.filter(({ isStatic }) => isStatic), ...ranked.slice(0, Math.max(0, missing))]
  return chosen.slice(0, Math.max(0, slots))
}

function rankOf({ failures, seenMs }: DialTarget, nowMs: number): number {
  const agoMs = nowMs - seenMs
  const age = agoMs < HOUR_MS ? 0 : agoMs < DAY_MS ? 1 : seenMs > 0 ? 2 : 3
  return Math.min(failures, 8) * 4 + age
}
