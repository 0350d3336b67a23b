import { fromUtf8, u64be } from '../util/bytes.ts'
import { decodeNumber } from './number-row.ts'
import type { RowStore } from './row-store.ts'
import { SPACES } from './spaces.ts'

export type JobName = 'collect' | 'scrub'

/** When each background job was last done, across restarts: a node that is started every day collects all the same. */
export class JobTimes {
  readonly #rows: RowStore
  readonly #clock: () => number

  constructor(rows: RowStore, clock: () => number) {
    this.#rows = rows
    this.#clock = clock
  }

  async markDone(job: JobName): Promise<void> {
    await this.#rows.write([
      { type: 'put', space: SPACES.own, key: keyOf(job), value: u64be(Math.floor(this.#clock())) },
    ])
  }

  /** The period of a job that was never done begins with the first start that knows it. */
  async begin(job: JobName): Promise<void> {
    if (this.#rows.get(SPACES.own, keyOf(job)) === undefined) await this.markDone(job)
  }

  /** 0 when it should have been done already; at most a period, also after a clock that was ahead. */
  dueInMs(job: JobName, periodMs: number): number {
    const row = this.#rows.get(SPACES.own, keyOf(job))
    if (row === undefined) return periodMs
    const sinceMs = this.#clock() - decodeNumber(row, `the time of the job ${job}`)
    return Math.min(periodMs, Math.max(0, periodMs - sinceMs))
  }
}

function keyOf(job: JobName): Uint8Array {
  return fromUtf8(`done/${job}`)
}
