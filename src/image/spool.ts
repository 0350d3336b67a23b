import { mkdtemp, open, rm, type FileHandle } from 'node:fs/promises'
import { join } from 'node:path'
import { CorruptError, DiskFullError, LimitError } from '../errors.ts'
import { KIB } from '../util/units.ts'

const READ_BYTES = 256 * KIB

export interface SpoolOptions {
  /** An existing folder; nothing is left in it. */
  readonly directory: string
  readonly maxBytes: number
  /** @throws {DiskFullError} when there is no room for so many bytes. */
  readonly requireSpace: (bytes: number) => Promise<void>
}

export interface Extent {
  readonly offset: number
  readonly length: number
}

/** Bytes put aside on disk, to be read in another order than they came. */
export class Spool {
  readonly #folder: string
  readonly #file: FileHandle
  readonly #options: SpoolOptions
  #end = 0

  private constructor(folder: string, file: FileHandle, options: SpoolOptions) {
    this.#folder = folder
    this.#file = file
    this.#options = options
  }

  static async open(options: SpoolOptions): Promise<Spool> {
    const folder = await mkdtemp(join(options.directory, 'image-'))
    return new Spool(folder, await open(join(folder, 'spool'), 'wx+', 0o600), options)
  }

  /** @throws {LimitError | DiskFullError} */
  async write(content: AsyncIterable<Uint8Array>, sizeBytes: number): Promise<Extent> {
    const { maxBytes, requireSpace } = this.#options
    if (this.#end + sizeBytes > maxBytes) throw new LimitError('image archive', maxBytes, 'bytes')
    await requireSpace(sizeBytes)
    const offset = this.#end
    try {
      for await (const piece of content) await this.#append(piece)
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOSPC') throw cause
      throw new DiskFullError('the disk is full', { cause })
    }
    return { offset, length: this.#end - offset }
  }

  /** All of it: one write may take only a part. */
  async #append(piece: Uint8Array): Promise<void> {
    for (let at = 0; at < piece.length;) {
      const { bytesWritten } = await this.#file.write(piece, at, piece.length - at, this.#end)
      at += bytesWritten
      this.#end += bytesWritten
    }
  }

  async *read({ offset, length }: Extent): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < length;) {
      const piece = Buffer.allocUnsafe(Math.min(READ_BYTES, length - at))
      const { bytesRead } = await this.#file.read(piece, 0, piece.length, offset + at)
      if (bytesRead === 0)
        throw new CorruptError('spool', 'the temporary file of an image archive was cut off')
      yield piece.subarray(0, bytesRead)
      at += bytesRead
    }
  }

  async close(): Promise<void> {
    await this.#file.close()
    await rm(this.#folder, { recursive: true, force: true })
  }
}
