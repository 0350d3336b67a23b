/** Answers of jobs that take their time: progress as it comes for who asks for NDJSON, else the result alone. */
import { HubError } from '../errors.ts'
import { fromUtf8 } from '../util/bytes.ts'
import { compactJson, streamAnswer, type Answer } from './answer.ts'
import type { Call } from './call.ts'
import type { LongOptions, Progress } from './deps.ts'

export const NDJSON = 'application/x-ndjson'

/** Runs a job for this request; the client's leaving aborts it. */
export async function longAnswer(
  call: Call,
  run: (options: LongOptions) => Promise<unknown>,
): Promise<Answer> {
  const signal = call.signal()
  if (call.request.headers.accept?.includes(NDJSON) !== true) return compactJson(await run({ signal }))
  return streamAnswer(NDJSON, lines(run, signal))
}

/** `{"progress":…}` lines, then one `{"result":…}` or `{"error":…}`. A slow reader sees the latest progress, not all. */
async function* lines(
  run: (options: LongOptions) => Promise<unknown>,
  signal: AbortSignal,
): AsyncGenerator<Uint8Array> {
  let latest: Progress | undefined
  let last: object | undefined
  let wake = () => {}
  const onProgress = (progress: Progress) => {
    latest = progress
    wake()
  }
  const ended = run({ signal, onProgress })
    .then(
      (result) => (last = { result }),
      (error: unknown) => (last = errorLine(error)),
    )
    .finally(() => wake())
  while (last === undefined) {
    await new Promise<void>((resolve) => {
      wake = resolve
      if (latest !== undefined || last !== undefined) resolve()
    })
    if (latest !== undefined) yield line({ progress: { ...latest, total: latest.total ?? null } })
    latest = undefined
  }
  await ended
  yield line(last)
}

export function errorLine(error: unknown): object {
  const message = error instanceof Error ? error.message : String(error)
  return { error: { code: error instanceof HubError ? error.code : 'HUB_INTERNAL', message } }
}

function line(value: object): Uint8Array {
  return fromUtf8(JSON.stringify(value) + '\n')
}
