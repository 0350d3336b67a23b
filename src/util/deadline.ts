import type { Scheduler } from './scheduler.ts'

export interface Deadline {
  readonly scheduler: Scheduler
  readonly ms: number
  /** Of the caller: its reason goes on as it is. */
  readonly signal: AbortSignal
}

/** Work with a signal that ends with the caller's, or after so much time. What does not heed it is waited for. */
export async function withDeadline<T>(
  { scheduler, ms, signal }: Deadline,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const ending = new AbortController()
  const over = new AbortController()
  const stop = () => ending.abort(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  if (signal.aborted) stop()
  void scheduler.sleep(ms, over).then(
    () => ending.abort(new Error(`no answer within ${Math.round(ms / 1000)} s`)),
    () => {},
  )
  try {
    return await work(ending.signal)
  } finally {
    over.abort()
    signal.removeEventListener('abort', stop)
  }
}
