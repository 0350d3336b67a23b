import { SLAB_OUTPUT_BYTES } from './slab-memory.ts'

/** Two batches of the chunk store, 8 MiB each: while one is synced the next fills. */
const OUTPUTS = 8

/** Memory for encoded slabs on their way to the disk, used again and again; who wants more waits in order. */
export class OutputPool {
  readonly #free: Uint8Array[] = []
  readonly #waiting: Array<(output: Uint8Array) => void> = []
  #made = 0

  take(): Promise<Uint8Array> {
    const free = this.#free.pop()
    if (free !== undefined) return Promise.resolve(free)
    if (this.#made === OUTPUTS) return new Promise((resolve) => this.#waiting.push(resolve))
    this.#made++
    return Promise.resolve(new Uint8Array(SLAB_OUTPUT_BYTES))
  }

  give(output: Uint8Array): void {
    const next = this.#waiting.shift()
    if (next === undefined) this.#free.push(output)
    else next(output)
  }
}
