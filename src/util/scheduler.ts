import { setTimeout as sleep } from 'node:timers/promises'
import type { AbortOptions } from './units.ts'

/** Time and chance, as a port: a simulation has its own. */
export interface Scheduler {
  /** Unix milliseconds. */
  now(): number
  /** @throws the signal's reason. */
  sleep(ms: number, options?: AbortOptions): Promise<void>
  /** 0 to 1, 1 excluded. */
  random(): number
}

export const systemScheduler: Scheduler = {
  now: Date.now,
  sleep: async (ms, { signal } = {}) => {
    try {
      await sleep(ms, undefined, { ref: false, ...(signal && { signal }) })
    } catch (error) {
      signal?.throwIfAborted()
      throw error
    }
  },
  random: Math.random,
}
