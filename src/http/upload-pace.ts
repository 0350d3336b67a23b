/** How fast an upload must come: a turn to take an archive in is no seat to sleep on while others stand. */
import { KIB } from '../util/units.ts'
import { BODY_FLOOR_BYTES_PER_S } from './body.ts'

/** While there are more uploads than turns. 2 Mbit/s: a gigabyte holds a turn for an hour at most. */
export const BUSY_FLOOR_BYTES_PER_S = 256 * KIB

export class UploadPace {
  readonly #turns: number
  #running = 0

  /** `turns`: uploads that are taken in at once. */
  constructor(turns: number) {
    this.#turns = turns
  }

  async run<T>(upload: () => Promise<T>): Promise<T> {
    this.#running++
    try {
      return await upload()
    } finally {
      this.#running--
    }
  }

  /** As of now; who waits for a turn is not read from, and needs no speed. */
  readonly floorBytesPerS = (): number =>
    this.#running > this.#turns ? BUSY_FLOOR_BYTES_PER_S : BODY_FLOOR_BYTES_PER_S
}
