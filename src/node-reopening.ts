/**
 * The parts of a node, opened anew while its listeners stay: when it goes over to another realm, or takes another key,
 * everything that has read the old one is closed and opened again.
 */
import type { Logger } from './util/logger.ts'
import { Mutex } from './util/mutex.ts'
import { SECOND_MS } from './util/units.ts'
import { systemScheduler } from './util/scheduler.ts'

/** What is open from one change to the next. */
export interface Generation<T> {
  readonly node: T
  /** `isLast`: the node ends, and its listeners with it. */
  close(isLast: boolean): Promise<void>
}

/** Once it has served, a node tries for a while before it gives up: what it needs may be held for a moment. */
const ATTEMPTS = 5
const WAIT_MS = SECOND_MS

export class Reopening<T> {
  readonly #open: () => Promise<Generation<T>>
  readonly #log: Logger
  readonly #turn = new Mutex()
  #generation: Generation<T> | undefined
  #isStopping = false
  #fail: (error: unknown) => void = () => {}
  /** Resolves with what keeps the node from opening again; never, while it answers. */
  readonly failed: Promise<unknown>

  constructor(open: () => Promise<Generation<T>>, log: Logger) {
    this.#open = open
    this.#log = log
    this.failed = new Promise((resolve) => (this.#fail = resolve))
  }

  /** @throws why the node cannot be opened. */
  async start(): Promise<T> {
    this.#generation = await this.#open()
    return this.#generation.node
  }

  /** Of the last generation that was opened. */
  get current(): T {
    if (this.#generation === undefined) throw new Error('the node was never open')
    return this.#generation.node
  }

  async stop(): Promise<void> {
    this.#isStopping = true
    await this.#turn.run(async () => await this.#generation?.close(true))
  }

  /** Begins once what called has been answered: closing waits for that. */
  reopen(): void {
    void this.#turn.run(async () => {
      if (this.#isStopping) return
      try {
        await this.#generation?.close(false)
        this.#generation = await this.#openAgain()
      } catch (error) {
        this.#log.error('the node does not open again', {}, error)
        this.#fail(error)
      }
    })
  }

  async #openAgain(): Promise<Generation<T>> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await this.#open()
      } catch (error) {
        if (attempt === ATTEMPTS || this.#isStopping) throw error
        this.#log.warn('the node opens again in a moment', { attempt, why: String(error) })
        await systemScheduler.sleep(WAIT_MS)
      }
    }
  }
}
