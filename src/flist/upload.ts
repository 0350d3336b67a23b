import type { MessagePort } from 'node:worker_threads'
import { LimitError } from '../errors.ts'
import type { ChunkList } from '../store/chunk-list.ts'
import { KIB } from '../util/units.ts'
import type { Archives } from './archive-intake.ts'
import type { IngestLimits } from './ingest-limits.ts'
import type { FromIngest, MadeFlist, ToIngest } from './ingest-messages.ts'
import type { RunRows } from './run-rows.ts'
import type { SlabStore } from './slab-store.ts'
import { WorkClock } from './work-clock.ts'
import { unpackError } from './worker-errors.ts'

/** Small pieces cost inflate a quarter more, and messages besides. */
const PIECE_BYTES = 512 * KIB
const PIECES = 4
/** A sender that pauses so long is slow: what it sent goes on as it is. */
const LULL_MS = 100

export interface UploadParts {
  /** To the ingest worker, of this upload alone. */
  readonly port: MessagePort
  readonly slabs: Pick<SlabStore, 'identify'>
  readonly runs: Pick<RunRows, 'read' | 'write'>
  /** Lists chunks, given by their ids, one behind the other, that are stored. */
  readonly list: (ids: Uint8Array) => Promise<ChunkList>
  readonly limits: Pick<IngestLimits, 'maxArchiveBytes' | 'maxWorkMs'>
  readonly metadata: () => ReadonlyMap<string, string>
}

export interface UploadedFlist extends Pick<MadeFlist, 'bytes' | 'counts'> {
  readonly list: ChunkList
}

/** One upload as the main thread sees it: bytes go to the ingest worker, slabs and questions come from it. */
export class Upload {
  readonly #parts: UploadParts
  readonly #result: Promise<MadeFlist>
  readonly #work = new Set<Promise<void>>()
  readonly #clock: WorkClock
  readonly #free: ArrayBuffer[] = []
  #list: ChunkList | undefined
  #pieces = 0
  #bytes = 0
  #wake = () => {}
  #hasEnded = false
  #isWorkerIdle = false
  #resolve: (made: MadeFlist) => void = () => {}
  #reject: (error: unknown) => void = () => {}

  constructor(parts: UploadParts) {
    this.#parts = parts
    this.#result = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
    this.#result.catch(() => {}) // told by `run`
    const { maxWorkMs } = parts.limits
    this.#clock = new WorkClock(maxWorkMs, () =>
      this.fail(new LimitError('time for an archive', maxWorkMs / 1000, 's')),
    )
    parts.port.on('message', (message: FromIngest) => this.#receive(message))
  }

  /** True when the worker is through with this upload, for good or ill: it can take another. */
  get isWorkerIdle(): boolean {
    return this.#isWorkerIdle
  }

  /** Resolves when every chunk is durable. Nothing of it goes on when this has settled. */
  async run(archives: Archives): Promise<UploadedFlist> {
    this.#pump(archives).catch((error: unknown) => this.fail(error))
    try {
      const made = await this.#result
      await Promise.all(this.#work)
      const { bytes, counts, chunkIds } = made
      const list = chunkIds === undefined ? this.#list : await this.#parts.list(chunkIds)
      if (list === undefined) throw new Error('a flist without a list of its chunks')
      return { bytes, counts, list }
    } finally {
      this.#clock.pause()
      this.#hasEnded = true
      this.#wake()
      await Promise.allSettled(this.#work)
      this.#parts.port.close()
    }
  }

  fail(error: unknown): void {
    this.#reject(error)
  }

  async #pump(archives: Archives): Promise<void> {
    let count = 0
    this.#clock.pause()
    for await (const archive of archives) {
      if (count++ > 0) this.#send({ type: 'nextLayer' })
      await this.#pumpOne(archive)
      if (this.#hasEnded) return
    }
    this.#clock.resume()
    this.#send({ type: 'end' })
  }

  /** Sends an archive in large pieces, as many as the worker has room for. */
  async #pumpOne(archive: AsyncIterable<Uint8Array>): Promise<void> {
    const { maxArchiveBytes } = this.#parts.limits
    let piece: Uint8Array<ArrayBuffer> | undefined
    let filled = 0
    const flush = () => {
      if (piece !== undefined && filled > 0)
        this.#send({ type: 'piece', bytes: piece.subarray(0, filled) }, [piece.buffer])
      else if (piece !== undefined) this.#free.push(piece.buffer)
      piece = undefined
      filled = 0
    }
    // What is wrong with the bytes of a slow sender is told before it has filled a piece.
    const lull = setTimeout(flush, LULL_MS).unref()
    try {
      for await (const bytes of this.#timed(archive)) {
        lull.refresh()
        this.#bytes += bytes.length
        if (this.#bytes > maxArchiveBytes) throw new LimitError('archive', maxArchiveBytes, 'bytes')
        for (let read = 0; read < bytes.length;) {
          piece ??= await this.#newPiece()
          if (this.#hasEnded) return
          const part = bytes.subarray(read, read + PIECE_BYTES - filled)
          piece.set(part, filled)
          filled += part.length
          read += part.length
          if (filled === PIECE_BYTES) flush()
        }
      }
      flush()
    } finally {
      clearTimeout(lull)
    }
  }

  /** The clock stands while the sender is waited for. */
  async *#timed(archive: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const bytes of archive) {
      if (this.#hasEnded) return
      this.#clock.resume()
      yield bytes
      this.#clock.pause()
    }
  }

  async #newPiece(): Promise<Uint8Array<ArrayBuffer>> {
    while (this.#free.length === 0 && this.#pieces === PIECES && !this.#hasEnded) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    const buffer = this.#free.pop()
    if (buffer !== undefined) return new Uint8Array(buffer)
    this.#pieces++
    return new Uint8Array(PIECE_BYTES)
  }

  #receive(message: FromIngest): void {
    switch (message.type) {
      case 'taken':
        this.#free.push(message.buffer)
        return this.#wake()
      case 'slab':
        if (this.#hasEnded) return // nobody would wait for it, and the next upload has the same slabs
        return this.#track(this.#takeSlab(message.slab, message.blocks))
      case 'writeRun':
        if (this.#hasEnded) return
        return this.#track(this.#writeRun(message.run, message.pages))
      case 'readPage':
        return this.#answer(() => ({ type: 'page', bytes: this.#parts.runs.read(message.run, message.page) }))
      case 'needMetadata':
        return this.#answer(() => ({ type: 'metadata', rows: [...this.#parts.metadata()] }))
      case 'chunks':
        if (this.#hasEnded) return
        return this.#track(this.#listAll(message.ids))
      case 'done':
        this.#isWorkerIdle = true
        return this.#resolve(message.made)
      case 'failed':
        this.#isWorkerIdle = true
        return this.fail(unpackError(message.error))
    }
  }

  #answer(answer: () => ToIngest): void {
    try {
      this.#send(answer())
    } catch (error) {
      this.fail(error)
    }
  }

  #track(work: Promise<void>): void {
    const tracked = work.catch((error: unknown) => {
      this.fail(error)
      throw error
    })
    tracked.catch(() => {}) // `run` has it
    this.#work.add(tracked)
    tracked.finally(() => this.#work.delete(tracked)).catch(() => {})
  }

  async #takeSlab(slab: number, blocks: number): Promise<void> {
    const store = await this.#parts.slabs.identify(slab, blocks)
    this.#send({ type: 'identified', slab })
    await store()
  }

  /** While the tree is built; most often the tree needs every chunk that came. */
  async #listAll(ids: Uint8Array): Promise<void> {
    await Promise.all(this.#work)
    this.#list = await this.#parts.list(ids)
  }

  async #writeRun(run: number, pages: readonly Uint8Array[]): Promise<void> {
    await this.#parts.runs.write(run, pages)
    this.#send({ type: 'runWritten' })
  }

  #send(message: ToIngest, transfer: ArrayBuffer[] = []): void {
    this.#parts.port.postMessage(message, transfer)
  }
}
