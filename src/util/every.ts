import { setTimeout as sleep } from 'node:timers/promises'

export interface Task {
  /** Aborts the run in progress and resolves once it has ended. */
  stop(): Promise<void>
}

/**
 * Waits `firstMs`, runs `work`, waits a period, runs it again …; never overlapping. Failures go to `onError`; aborts do
 * not.
 */
export function every(
  periodMs: number,
  work: (signal: AbortSignal) => Promise<void>,
  onError: (error: unknown) => void,
  firstMs = periodMs,
): Task {
  const stopping = new AbortController()
  const { signal } = stopping

  const ended = (async () => {
    for (let waitMs = firstMs; !signal.aborted; waitMs = periodMs) {
      await sleep(waitMs, undefined, { signal, ref: false }).catch(() => {})
      if (signal.aborted) return
      await work(signal).catch((error: unknown) => {
        if (!signal.aborted) onError(error)
      })
    }
  })()

  return {
    stop: async () => {
      stopping.abort()
      await ended
    },
  }
}
