import type { Transform } from 'node:stream'

/**
 * Bytes through a stream of node:zlib, whose work is done on other threads meanwhile. Every piece of the source is
 * read, also when the stream has heard enough.
 */
export async function* throughStream(
  source: AsyncIterable<Uint8Array>,
  stream: Transform,
  explain: (error: NodeJS.ErrnoException, isStarted: boolean) => unknown,
): AsyncGenerator<Uint8Array> {
  const feeder = new Feeder(source, stream)
  let isStarted = false
  try {
    for await (const bytes of stream) {
      isStarted = true
      yield bytes as Uint8Array
    }
    await feeder.drain()
  } catch (error) {
    throw explain(error as NodeJS.ErrnoException, isStarted)
  } finally {
    stream.destroy()
    await feeder.stop()
  }
}

class Feeder {
  readonly #done: Promise<void>
  #mode: 'write' | 'drain' | 'stop' = 'write'
  #wake = () => {}

  constructor(source: AsyncIterable<Uint8Array>, stream: Transform) {
    this.#done = this.#feed(source, stream)
    this.#done.catch((error: unknown) => stream.destroy(error as Error))
  }

  /** Reads the source to its end. */
  drain(): Promise<void> {
    this.#mode = 'drain'
    this.#wake()
    return this.#done
  }

  async stop(): Promise<void> {
    this.#mode = 'stop'
    this.#wake()
  }

  async #feed(source: AsyncIterable<Uint8Array>, stream: Transform): Promise<void> {
    for await (const piece of source) {
      if (this.#mode === 'stop') return
      if (this.#mode === 'drain') continue
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        stream.write(piece, () => resolve())
      })
    }
    if (this.#mode === 'write') stream.end()
  }
}
