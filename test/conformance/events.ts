/** Server-sent events of jobs: kinds, order and the last event are compared (hub-departures.md, Replaying). */
import type { RawResponse } from './raw-http.ts'

type JobEvent = Readonly<Record<string, unknown>> & { readonly status: string }

export function eventsOf(text: string): JobEvent[] {
  return text
    .split('\n\n')
    .filter((block) => block.startsWith('data: '))
    .map((block) => JSON.parse(block.slice('data: '.length)) as JobEvent)
}

/** The kinds in their order, runs of one as one. */
function kindsOf(events: readonly JobEvent[]): string {
  return events
    .map(({ status }) => status)
    .filter((kind, at, kinds) => kind !== kinds[at - 1])
    .join(', ')
}

/** What of a job's last event is the same in every run, with the count of folders as the original counts (13) left out. */
function lastOf(events: readonly JobEvent[]): string {
  const text = JSON.stringify(events.at(-1)) ?? 'nothing'
  return text.replace(/"directory":\d+/, '"directory":0').replace(/,"timing":\{\}/, '')
}

/** `fails`: a departure makes the job fail, whatever the words. */
export function eventDifferences(recorded: string, actual: RawResponse, fails: boolean): string[] {
  const found: string[] = []
  const note = (what: string, was: string, is: string) => {
    if (was !== is) found.push(`${what}: expected ${was}, got ${is}`)
  }
  note('status', '200', String(actual.status))
  note('content-type', 'text/event-stream; charset=utf-8', actual.headers.get('content-type') ?? '')
  const events = eventsOf(actual.body.toString('utf8'))
  if (fails) {
    note('last event', 'error', events.at(-1)?.status ?? 'nothing')
    return found
  }
  const wanted = eventsOf(recorded)
  note('kinds', kindsOf(wanted), kindsOf(events))
  note('last event', lastOf(wanted), lastOf(events))
  return found
}
