/**
 * Gives the space of deleted payloads back to the disk. LevelDB does so when it rewrites the files they lie in, and
 * rewriting costs as much as writing: so it is left alone until there is enough to gain, then looked at in stretches,
 * and only the stretches that gain a quarter are rewritten. One after the other, in the background.
 */
import { Mutex } from '../util/mutex.ts'
import { MIB } from '../util/units.ts'
import type { ChunkIndex } from './chunk-index.ts'
import type { NumberRange, PayloadLog } from './payload-log.ts'

/** Freed bytes, and their part of what is held, after which the log is looked through. */
const RECLAIM_AFTER_BYTES = 64 * MIB
const RECLAIM_AFTER_PART = 1 / 8

/** Payload numbers whose live bytes are counted together. */
const WINDOW = 256

/** A stretch is at least one file of LevelDB's long. */
const STRETCH_BYTES = 64 * MIB

/** Part of a stretch that must be free for it to be rewritten. */
const GAIN = 0.25

export class Reclaimer {
  readonly #payloads: PayloadLog
  readonly #index: ChunkIndex
  readonly #turn = new Mutex()
  readonly #stopping = new AbortController()
  #freedBytes = 0

  constructor(payloads: PayloadLog, index: ChunkIndex) {
    this.#payloads = payloads
    this.#index = index
  }

  /** Counts deleted bytes; when there are enough of them, their space is freed in the background. */
  freed(bytes: number, heldBytes: number): void {
    this.#freedBytes += bytes
    if (this.#freedBytes < Math.max(RECLAIM_AFTER_BYTES, heldBytes * RECLAIM_AFTER_PART)) return
    this.#freedBytes = 0
    void this.#turn.run(() => this.#run()).catch(() => {}) // the next run looks at everything again
  }

  /** Writes the files anew that held these payloads, which are deleted. Neighbours go together. */
  rewrite(numbers: readonly number[]): Promise<void> {
    const ranges: NumberRange[] = []
    for (const number of [...numbers].sort((a, b) => a - b)) {
      const range = ranges.at(-1)
      if (range !== undefined && number - range.to < WINDOW)
        ranges.splice(-1, 1, { ...range, to: number + 1 })
      else ranges.push({ from: number, to: number + 1 })
    }
    return this.#turn.run(async () => {
      for (const range of ranges) await this.#payloads.compact(range)
    })
  }

  /** Resolves when nothing is under way. */
  settled(): Promise<void> {
    return this.#turn.run(async () => {})
  }

  /** Waits for the stretch under way, and leaves the others. */
  close(): Promise<void> {
    this.#stopping.abort()
    return this.settled()
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping
    if (signal.aborted) return
    for await (const { range, live } of this.#stretches(await this.#liveBytes(signal))) {
      if (signal.aborted) return
      const disk = await this.#payloads.diskBytes(range)
      if (disk - live >= disk * GAIN) await this.#payloads.compact(range)
    }
  }

  /** Per window, up to the last that has any. */
  async #liveBytes(signal: AbortSignal): Promise<number[]> {
    const windows = [0]
    for await (const [, { number, lengthBytes }] of this.#index.entries(undefined, { signal })) {
      const window = Math.floor(number / WINDOW)
      while (windows.length <= window) windows.push(0)
      windows[window] = (windows[window] ?? 0) + lengthBytes
    }
    return windows
  }

  async *#stretches(windows: readonly number[]): AsyncGenerator<{ range: NumberRange; live: number }> {
    let from = 0
    let disk = 0
    let live = 0
    for (const [window, bytes] of windows.entries()) {
      const isLast = window === windows.length - 1
      const to = isLast ? Number.MAX_SAFE_INTEGER : (window + 1) * WINDOW
      disk += await this.#payloads.diskBytes({ from: window * WINDOW, to })
      live += bytes
      if (disk < STRETCH_BYTES && !isLast) continue
      if (disk > 0) yield { range: { from, to }, live }
      from = to
      disk = live = 0
    }
  }
}
