/** A way through for one at a time, in order of arrival. */
export class Mutex {
  #tail: Promise<unknown> = Promise.resolve()

  /** Runs `work` after everything that was asked for before it. */
  run<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#tail.then(work)
    this.#tail = result.catch(() => {})
    return result
  }
}

/** One mutex a key; keys nobody waits for cost nothing. */
export class KeyedMutex {
  readonly #tails = new Map<string, Promise<unknown>>()

  /** Keys that somebody has or waits for. */
  keys(): Iterable<string> {
    return this.#tails.keys()
  }

  run<T>(key: string, work: () => Promise<T>): Promise<T> {
    const before = this.#tails.get(key) ?? Promise.resolve()
    const result = before.then(work)
    const tail = result
      .catch(() => {})
      .then(() => {
        if (this.#tails.get(key) === tail) this.#tails.delete(key)
      })
    this.#tails.set(key, tail)
    return result
  }
}
