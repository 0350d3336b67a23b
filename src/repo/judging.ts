import type { AbortOptions } from '../util/units.ts'
import type { Realm } from './realm.ts'

export interface JudgingDeps {
  readonly realm: Pick<Realm, 'unjudged' | 'setJudged' | 'digest' | 'subscribe'>
  readonly repositories: {
    recount(nodes: readonly Uint8Array[], options?: AbortOptions): Promise<void>
  }
  /** Told of what went wrong; it is tried again at the next change, and at the next start. */
  readonly onError: (error: unknown) => void
}

/**
 * Judges operations anew after each change of governance that they may count by, and at the start what a crash left.
 * Nothing else needs to.
 */
export class Judging {
  readonly #deps: JudgingDeps
  readonly #abort = new AbortController()
  #unsubscribe = () => {}
  #running: Promise<void> | undefined

  constructor(deps: JudgingDeps) {
    this.#deps = deps
  }

  /** What was left is judged when it resolves. */
  async start(): Promise<void> {
    this.#unsubscribe = this.#deps.realm.subscribe((nodes) => {
      if (nodes.length > 0) void this.settled()
    })
    await this.settled()
  }

  /** Everything that is due by now is judged when it resolves. */
  settled(): Promise<void> {
    this.#running ??= this.#run().finally(() => {
      this.#running = undefined
    })
    return this.#running
  }

  async stop(): Promise<void> {
    this.#unsubscribe()
    this.#abort.abort()
    await this.#running
  }

  async #run(): Promise<void> {
    const { realm, repositories, onError } = this.#deps
    const { signal } = this.#abort
    try {
      for (let due = realm.unjudged(); due.length > 0; due = realm.unjudged()) {
        const digest = realm.digest()
        await repositories.recount(due, { signal })
        await realm.setJudged(due, digest)
      }
    } catch (error) {
      if (!signal.aborted) onError(error)
    }
  }
}
