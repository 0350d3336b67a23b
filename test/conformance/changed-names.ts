/** From what a route that changes names does here to what is expected of it, in its answer and in the model. */
import { pythonJson, steady, type Expected } from './comparison.ts'
import type { Model } from './model.ts'
import type { NameOutcome } from './name-changes.ts'
import type { RecordedCase } from './recorded.ts'
import type { StateChange, Thing } from './recorded-state.ts'

const JSON_HEADERS = new Map([
  ['content-type', 'application/json'],
  ['access-control-allow-origin', '*'],
])

/** Nobody was signed in, or nothing may be written: said in style B before the route is looked at. */
export function isRefusedAtTheDoor(
  { profile, request }: RecordedCase,
  recorded: Expected | undefined,
): boolean {
  if (recorded?.text !== undefined) return recorded.text.startsWith('{"message"')
  return profile === 'readonly' || (profile === 'auth' && request.headers['Authorization'] === undefined)
}

/** The recorded answer where it is ours too, else ours, by the departure that makes the difference. */
export function expectedChange(
  recorded: Expected | undefined,
  outcome: NameOutcome | undefined,
): { expected: Expected | undefined; numbers: number[] } {
  if (outcome === undefined) return { expected: recorded, numbers: [] }
  const { status, message, payload, departure } = outcome
  const ours: Expected = {
    status,
    headers: JSON_HEADERS,
    text: status === 200 ? envelope(payload) : message && errorText(message),
    isError: status !== 200 && message === undefined,
  }
  if (recorded === undefined) return { expected: ours, numbers: [] }
  const isSame =
    recorded.status === status && recorded.text !== undefined && steady(recorded.text) === ours.text
  return isSame || departure === undefined
    ? { expected: recorded, numbers: [] }
    : { expected: ours, numbers: [departure] }
}

function envelope(payload: object | undefined): string {
  return pythonJson({ status: 'success', ...(payload === undefined ? {} : { payload }) }) + '\n'
}

function errorText(message: string): string {
  return pythonJson({ status: 'error', message }) + '\n'
}

/** `recordedChanges`: what the original changed in the repository of who asked. */
export function applyOutcome(
  model: Model,
  { changes, departure }: NameOutcome,
  recordedChanges: readonly StateChange[],
): void {
  const number = departure ?? 0
  for (const [key, after] of changes) {
    const isRecorded = sameKind(model.recorded.things.get(key), after)
    if (after === undefined) model.remove(key)
    else model.put(key, after, isRecorded || number === 0 ? undefined : number)
    if (!isRecorded && number !== 0) model.depart(key, number)
  }
  const changed = new Set(changes.map(([key]) => key))
  for (const { key } of recordedChanges) if (!changed.has(key) && number !== 0) model.depart(key, number)
}

function sameKind(a: Thing | undefined, b: Thing | undefined): boolean {
  const bare = (thing: Thing | undefined) =>
    JSON.stringify(thing, (name, value: unknown) => (name === 'sizeBytes' ? 0 : value))
  return bare(a) === bare(b)
}
