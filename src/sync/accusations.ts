import { toHex } from '../util/bytes.ts'
import type { Logger } from '../util/logger.ts'
import type { Scheduler } from '../util/scheduler.ts'
import { HOUR_MS, MINUTE_MS } from '../util/units.ts'

/** So often within an hour, and it is avoided for one (replication.md 2.11). */
const MAX_LIES = 2

interface Record {
  count: number
  what: string
  saidMs: number
  untilMs: number
}

/** What peers did that no honest one does. Members only, so there are as many as the realm has nodes. */
export class Accusations {
  readonly #scheduler: Pick<Scheduler, 'now'>
  readonly #log: Logger
  readonly #records = new Map<string, Record>()

  constructor(scheduler: Pick<Scheduler, 'now'>, log: Logger) {
    this.#scheduler = scheduler
    this.#log = log
  }

  /** One line a minute of each peer: who breaks channel after channel does not fill the disk. */
  accuse(peer: Uint8Array, what: string): void {
    const nowMs = this.#scheduler.now()
    const before = this.#of(peer)
    const isSaid = before !== undefined && nowMs - before.saidMs < MINUTE_MS
    const record = {
      what,
      count: (before?.count ?? 0) + 1,
      saidMs: isSaid ? before.saidMs : nowMs,
      untilMs: nowMs + HOUR_MS,
    }
    this.#records.set(toHex(peer), record)
    const also = record.count < MAX_LIES ? {} : { avoided: 'for an hour' }
    if (!isSaid || record.count === MAX_LIES)
      this.#log.warn(`a peer lies: ${what}`, { peer: toHex(peer), ...also })
  }

  /** The last one of this hour. */
  against(peer: Uint8Array): string | undefined {
    return this.#of(peer)?.what
  }

  isAvoided(peer: Uint8Array): boolean {
    return (this.#of(peer)?.count ?? 0) >= MAX_LIES
  }

  #of(peer: Uint8Array): Record | undefined {
    const record = this.#records.get(toHex(peer))
    if (record !== undefined && record.untilMs > this.#scheduler.now()) return record
    this.#records.delete(toHex(peer))
    return undefined
  }
}
