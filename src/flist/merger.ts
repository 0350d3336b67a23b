import { UnavailableError } from '../errors.ts'
import { Semaphore } from '../util/semaphore.ts'
import { MINUTE_MS } from '../util/units.ts'
import type { AbortOptions } from '../util/units.ts'
import { InspectorThread } from './inspector-thread.ts'
import type { FlistInspectorOptions } from './inspector.ts'
import { FLIST_LIMITS } from './limits.ts'
import type { MergedFlist } from './merge.ts'

export interface FlistToMerge {
  /** For errors. */
  readonly name: string
  readonly bytes: Uint8Array
}

export interface MergeOptions extends AbortOptions {
  /** Told the ids of the result's chunks, one behind the other, while it is packed. */
  readonly onChunks?: (ids: Uint8Array) => void
}

/** Of one merge: each has a database open. */
export const MAX_MERGE_SOURCES = 100

const TIME_LIMIT_MS = 2 * MINUTE_MS
const HEAP_LIMIT_MIB = 512

/**
 * Merges flists of anybody, one merge at a time, in a thread of its own that ends with it: who reads flists meanwhile
 * is not kept waiting.
 */
export class FlistMerger {
  readonly #thread: InspectorThread
  readonly #turns = new Semaphore(1)
  #isStopped = false

  constructor(options: Omit<FlistInspectorOptions, 'threads'>) {
    const { temporaryDirectory, limits = FLIST_LIMITS } = options
    const { timeLimitMs = TIME_LIMIT_MS, heapLimitMib = HEAP_LIMIT_MIB } = options
    this.#thread = new InspectorThread({ temporaryDirectory, limits, timeLimitMs, heapLimitMib })
  }

  /**
   * The first source wins (`FlistMerge`). Sources are asked for one after the other; their bytes are given away.
   * @throws {MalformedError | LimitError} about a source, by its name, or the result; {UnavailableError} while it
   * stops; the signal's reason.
   */
  merge(
    sources: AsyncIterable<FlistToMerge>,
    { signal, onChunks = () => {} }: MergeOptions = {},
  ): Promise<MergedFlist> {
    return this.#turns.run(
      async () => {
        try {
          for await (const { name, bytes } of sources) {
            if (this.#isStopped) throw stopping()
            const own = new Uint8Array(bytes)
            await this.#thread.ask<'merge-source'>({ kind: 'merge-source', name, bytes: own }, [own.buffer], {
              signal,
            })
          }
          if (this.#isStopped) throw stopping()
          return await this.#thread.ask<'merge'>({ kind: 'merge' }, [], { signal, onBatch: onChunks })
        } finally {
          await this.#thread.stop()
        }
      },
      { signal },
    )
  }

  async stop(): Promise<void> {
    this.#isStopped = true
    await this.#thread.stop()
  }
}

function stopping(): UnavailableError {
  return new UnavailableError('this node is stopping')
}
