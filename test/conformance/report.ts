/** The result of a replay in words. */
import type { CaseResult, Outcome } from './replay.ts'

export interface Counts {
  readonly outcomes: Readonly<Record<Outcome, number>>
  /** Cases that each departure of hub-departures.md shows in. */
  readonly byDeparture: ReadonlyMap<number, number>
}

export function countsOf(results: readonly CaseResult[]): Counts {
  const outcomes = { matched: 0, departed: 0, differing: 0, unrecorded: 0 }
  const byDeparture = new Map<number, number>()
  for (const { outcome, departures } of results) {
    outcomes[outcome]++
    if (outcome !== 'departed') continue
    for (const number of new Set(departures)) byDeparture.set(number, (byDeparture.get(number) ?? 0) + 1)
  }
  return { outcomes, byDeparture }
}

/** Every differing case with what differs, the counts, and the line that scripts read. */
export function reportText(results: readonly CaseResult[]): string {
  const { outcomes, byDeparture } = countsOf(results)
  const differing = results
    .filter(({ outcome }) => outcome === 'differing')
    .flatMap(({ seq, id, differences }) => [`${seq} ${id}`, ...differences.map((line) => `  ${line}`)])
  const departures = [...byDeparture]
    .sort(([a], [b]) => a - b)
    .map(([number, count]) => `${count} by ${number}`)
    .join(', ')
  return [
    ...differing,
    `sent for their effect, response not recorded: ${outcomes.unrecorded}`,
    `departures (hub-departures.md): ${departures}`,
    `matched ${outcomes.matched}, departed ${outcomes.departed}, differing ${outcomes.differing}`,
    '',
  ].join('\n')
}
