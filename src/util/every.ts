import { setTimeout as sleep } from 'node:timers/promises'

export interface Task {
  /** Aborts the run in progress and resolves once it has ended. */
  stop(): Promise<void>
}

/** Waits, runs `work`, waits again; never overlapping. Failures go to `onError`; aborts do not. */
export function every(
  periodMs: number,
  work: (signal: AbortSignal) => Promise<void>,
  onError: (error: unknown) => void,
): Task {
  const stopping = new AbortController()
  const { signal } = stopping

  const ended = (async () => {
    while (!signal.aborted) {
      await sleep(periodMs, undefined, { signal, ref: false }).catch(() => {})
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
