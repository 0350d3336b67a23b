import type { Transform } from 'node:stream'
import { MIB } from '../util/units.ts'

/** 16 KiB, the default, take three times as long. */
const OUTPUT_BYTES = 1 * MIB

/** What zlib may have ready while the reader works. */
const OUTPUTS = 4

/**
 * For the streams below. Each output is an object, so that it is read as zlib made it: a stream of bytes puts all that
 * is ready into one new piece of memory for every read.
 */
export const STREAM_OPTIONS = {
  chunkSize: OUTPUT_BYTES,
  readableObjectMode: true,
  readableHighWaterMark: OUTPUTS,
}

/**
 * Bytes through a stream of node:zlib, whose work is done on other threads meanwhile. Every piece of the source is
 * read, also when the stream has heard enough. A piece that is yielded is gone with the next step.
 */
export async function* throughStream(
  source: AsyncIterable<Uint8Array>,
  stream: Transform,
  explain: (error: NodeJS.ErrnoException, isStarted: boolean) => unknown,
): AsyncGenerator<Uint8Array> {
  const feeder = new Feeder(source, stream)
  let isStarted = false
  try {
    for await (const piece of stream) {
      const bytes = piece as Uint8Array<ArrayBuffer>
      isStarted = true
      yield bytes
      free(bytes)
    }
    await feeder.drain()
  } catch (error) {
    throw explain(error as NodeJS.ErrnoException, isStarted)
  } finally {
    stream.destroy()
    await feeder.stop()
  }
}

const { port1: nowhere, port2 } = new MessageChannel()
nowhere.close()
port2.close()

/**
 * Gives memory back that zlib is through with, at once: a megabyte of garbage each millisecond keeps the collector's
 * threads as busy as inflating does. Memory posted to a closed port is gone; `ArrayBuffer.transfer` needs Node 22.
 */
function free({ buffer, byteOffset, byteLength }: Uint8Array<ArrayBuffer>): void {
  const isFull = byteOffset + byteLength === buffer.byteLength
  if (isFull && buffer.byteLength === OUTPUT_BYTES) nowhere.postMessage(undefined, [buffer])
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
