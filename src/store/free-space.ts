import { statfs } from 'node:fs/promises'
import { DiskFullError } from '../errors.ts'
import { SECOND_MS } from '../util/units.ts'
import { formatSize } from '../util/parse.ts'

/** How old a reading may be before it is taken again. */
const FRESH_MS = SECOND_MS

/** Free space of the disk under a folder, and the low-water mark below which nothing is stored. */
export class FreeSpace {
  readonly #folder: string
  readonly #minFreeBytes: number
  #free = 0
  #readAtMs = -Infinity
  #reading: Promise<void> | undefined

  constructor(folder: string, minFreeBytes: number) {
    this.#folder = folder
    this.#minFreeBytes = minFreeBytes
  }

  /** Bytes this user may still write, as of the last second. */
  async free(): Promise<number> {
    if (performance.now() - this.#readAtMs > FRESH_MS) {
      this.#reading ??= this.#read().finally(() => (this.#reading = undefined))
      await this.#reading
    }
    return this.#free
  }

  /** @throws {DiskFullError} when storing `bytes` would leave less than the mark. */
  async require(bytes: number): Promise<void> {
    const free = await this.free()
    if (free - bytes >= this.#minFreeBytes) {
      this.#free -= bytes
      return
    }
    throw new DiskFullError(
      `the disk is full: ${formatSize(free)} are free, and ${formatSize(this.#minFreeBytes)} of that are kept free`,
    )
  }

  async #read(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#folder)
    this.#free = bavail * bsize
    this.#readAtMs = performance.now()
  }
}
