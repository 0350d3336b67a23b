import { SECOND_MS } from '../util/units.ts'

/** Who was promised a chunk has it to give after about so long. Ours, as the next two; from simulations of 17 nodes. */
const PROMISE_MS = 5 * SECOND_MS
/** With fewer chunks waiting to be sent, everybody is given what he asks for. */
const BUSY_CHUNKS = 8
/** Remembered; beyond that the oldest are forgotten. */
const MAX_PROMISES = 16_384

/**
 * What this node sends to whom, so that many who want the same each get something else first and pass it on: while much
 * waits to be sent, nobody is sent what another has just been promised.
 */
export class PromisedChunks {
  /** By chunk, the oldest promise first. */
  readonly #promises = new Map<string, { readonly peer: string; readonly untilMs: number }>()
  #waiting = 0

  /** Shall the peer rather ask whom it was promised? */
  isElsewhere(chunk: string, peer: string, nowMs: number): boolean {
    if (this.#waiting < BUSY_CHUNKS) return false
    const promise = this.#promises.get(chunk)
    return promise !== undefined && promise.peer !== peer && promise.untilMs > nowMs
  }

  /** It waits to be sent from now on. */
  promise(chunk: string, peer: string, nowMs: number): void {
    this.#waiting++
    this.#remember(chunk, peer, nowMs)
  }

  /** It waits no longer. */
  kept(chunk: string, peer: string, nowMs: number): void {
    this.#waiting--
    this.#remember(chunk, peer, nowMs)
  }

  /** It waits no longer, and was not sent. */
  broken(chunk: string): void {
    this.#waiting--
    this.#promises.delete(chunk)
  }

  #remember(chunk: string, peer: string, nowMs: number): void {
    this.#promises.delete(chunk)
    this.#promises.set(chunk, { peer, untilMs: nowMs + PROMISE_MS })
    for (const [oldest, { untilMs }] of this.#promises) {
      if (untilMs > nowMs && this.#promises.size <= MAX_PROMISES) break
      this.#promises.delete(oldest)
    }
  }
}
