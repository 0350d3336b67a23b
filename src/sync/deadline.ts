import type { Scheduler } from '../util/scheduler.ts'
import type { AbortOptions } from '../util/units.ts'

/**
 * Runs `work` with a signal that is aborted with `late` after a time, which `again` begins anew, or with the caller's.
 * @throws the reason of either.
 */
export async function within<T>(
  scheduler: Scheduler,
  ms: number,
  late: () => Error,
  work: (signal: AbortSignal, again: () => void) => Promise<T>,
  { signal }: AbortOptions = {},
): Promise<T> {
  signal?.throwIfAborted()
  const ending = new AbortController()
  const stop = () => ending.abort(signal?.reason)
  signal?.addEventListener('abort', stop, { once: true })
  let endMs = scheduler.now() + ms
  const watch = async () => {
    for (let leftMs = ms; leftMs > 0 && !ending.signal.aborted; leftMs = endMs - scheduler.now()) {
      await scheduler.sleep(leftMs, { signal: ending.signal }).catch(() => {})
    }
    if (!ending.signal.aborted) ending.abort(late())
  }
  const watched = watch()
  try {
    return await work(ending.signal, () => {
      endMs = scheduler.now() + ms
    })
  } finally {
    signal?.removeEventListener('abort', stop)
    ending.abort()
    await watched
  }
}

/** The caller's signal ends its waiting, not the work that others may wait for too. @throws its reason. */
export async function waitFor<T>(work: Promise<T>, { signal }: AbortOptions = {}): Promise<T> {
  if (signal === undefined) return work
  signal.throwIfAborted()
  let leave = () => {}
  const left = new Promise<never>((_, reject) => {
    leave = () => reject(signal.reason as Error)
    signal.addEventListener('abort', leave, { once: true })
  })
  try {
    return await Promise.race([work, left])
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
