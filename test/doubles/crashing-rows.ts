import { UnavailableError } from '../../src/errors.ts'
import type { MemoryRowStore } from '../../src/store/memory-row-store.ts'
import type { Row, RowChange, RowRange, RowStore, Space } from '../../src/store/row-store.ts'
import type { AbortOptions } from '../../src/util/units.ts'
import type { Simulation } from './simulation.ts'

/** Rows whose writes take a while, and do not land once the process is dead: what is on the disk is what had landed. */
export class CrashingRows implements RowStore {
  readonly #disk: MemoryRowStore
  readonly #simulation: Simulation
  #isDead = false
  #tail: Promise<void> = Promise.resolve()

  constructor(disk: MemoryRowStore, simulation: Simulation) {
    this.#disk = disk
    this.#simulation = simulation
  }

  get(space: Space, key: Uint8Array): Uint8Array | undefined {
    return this.#disk.get(space, key)
  }

  getMany(space: Space, keys: readonly Uint8Array[]): Promise<Array<Uint8Array | undefined>> {
    return this.#disk.getMany(space, keys)
  }

  rows(space: Space, range?: RowRange, options?: AbortOptions): AsyncIterable<Row> {
    return this.#disk.rows(space, range, options)
  }

  write(changes: readonly RowChange[]): Promise<void> {
    this.#tail = this.#tail
      .catch(() => {})
      .then(async () => {
        await this.#simulation.sleep(1 + 4 * this.#simulation.random())
        if (this.#isDead) throw new UnavailableError('the process is dead')
        await this.#disk.write(changes)
      })
    return this.#tail
  }

  die(): void {
    this.#isDead = true
  }
}
