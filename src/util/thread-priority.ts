import { readlinkSync } from 'node:fs'
import { setPriority } from 'node:os'

/** Of threads that compute for a long time; 0 is everybody's, 19 the least. */
const BACKGROUND = 5

/**
 * Lets other threads of this machine go first: with as many busy threads as processors the main thread would wait for
 * its turn, and every client with it. Linux alone has priorities for threads; elsewhere this does nothing.
 */
export function workInBackground(): void {
  try {
    const tid = Number(readlinkSync('/proc/thread-self').split('/').at(-1))
    if (Number.isInteger(tid)) setPriority(tid, BACKGROUND)
  } catch {
    // As before, then.
  }
}
