/** Ingest over memory, and what it made, read back and decoded. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after } from 'node:test'
import { Ingest } from '../../src/flist/ingest.ts'
import type { IngestOptions, IngestedFlist } from '../../src/flist/ingest.ts'
import type { EntryContent, FlistEntry } from '../../src/flist/entry.ts'
import { FlistReader } from '../../src/flist/reader.ts'
import { createChunkCodec } from '../../src/format/chunk-codec.ts'
import { MemoryChunkStore } from '../../src/store/memory-chunk-store.ts'
import { MemoryRowStore } from '../../src/store/memory-row-store.ts'
import type { Lease } from '../../src/store/flist-store.ts'
import type { Chunk } from '../../src/store/chunk-store.ts'
import { toHex } from '../../src/util/bytes.ts'

const codec = await createChunkCodec()

/** An entry without its path, its content in plain bytes. */
export interface Seen extends Omit<FlistEntry, 'path' | 'content' | 'userName' | 'groupName'> {
  readonly content: Exclude<EntryContent, { kind: 'file' }> | { kind: 'file'; bytes: Buffer }
  readonly userName: string
  readonly groupName: string
}

export class WatchedChunkStore extends MemoryChunkStore {
  written = 0
  /** Run before each write. */
  beforeWrite: () => Promise<void> = async () => {}

  override async write(chunks: readonly Chunk[]): Promise<void> {
    await this.beforeWrite()
    this.written += chunks.length
    await super.write(chunks)
  }
}

export class HeldIds implements Lease {
  readonly chunks = new Set<string>()
  holdChunks(ids: readonly Uint8Array[]): void {
    for (const id of ids) this.chunks.add(toHex(id))
  }
  holdFlist(): void {}
  release(): void {}
}

/** One store, one `Ingest`, for the tests of a file; ended after them. */
export class IngestBench {
  readonly chunks = new WatchedChunkStore()
  readonly rows = new MemoryRowStore()
  readonly temporaryDirectory = mkdtempSync(join(tmpdir(), 'zhub-test-'))
  readonly ingest: Ingest

  constructor(options: IngestOptions = {}) {
    const { chunks, rows } = this
    this.ingest = new Ingest({ chunks, known: chunks, rows }, options)
    after(async () => {
      await this.ingest.stop()
      rmSync(this.temporaryDirectory, { recursive: true, force: true })
    })
  }

  take(
    archive: Uint8Array,
    pieceBytes = 65_536,
    metadata: Record<string, string> = {},
  ): Promise<IngestedFlist> {
    const options = { lease: new HeldIds(), metadata: () => new Map(Object.entries(metadata)) }
    return this.ingest.run(inPieces(archive, pieceBytes), options)
  }

  /** Layers, the lowest first. */
  takeLayers(layers: readonly Uint8Array[], pieceBytes = 65_536): Promise<IngestedFlist> {
    const archives = (async function* () {
      for (const layer of layers) yield inPieces(layer, pieceBytes)
    })()
    return this.ingest.runLayers(archives, { lease: new HeldIds() })
  }

  /** Every entry by path, in stored order. */
  read(bytes: Uint8Array): Map<string, Seen> {
    const reader = new FlistReader(bytes, { temporaryDirectory: this.temporaryDirectory })
    try {
      const seen = new Map<string, Seen>()
      for (const entry of reader.walk())
        seen.set(Buffer.from(entry.path).toString('latin1'), this.#see(entry))
      if (reader.problems.list().length > 0) throw new Error(JSON.stringify(reader.problems.list()))
      return seen
    } finally {
      reader.close()
    }
  }

  metadata(bytes: Uint8Array): Map<string, string> {
    const reader = new FlistReader(bytes, { temporaryDirectory: this.temporaryDirectory })
    try {
      return new Map(reader.metadata())
    } finally {
      reader.close()
    }
  }

  /** What uploads have left among the rows. */
  async left(): Promise<string[]> {
    const left: string[] = []
    for await (const [key] of this.rows.rows('spool')) left.push(toHex(key))
    return left
  }

  #see({ path: _, content, userName, groupName, ...entry }: FlistEntry): Seen {
    return {
      ...entry,
      content: content.kind === 'file' ? { kind: 'file', bytes: this.#decode(content.blocks) } : content,
      userName: Buffer.from(userName).toString('latin1'),
      groupName: Buffer.from(groupName).toString('latin1'),
    }
  }

  #decode(blocks: ReadonlyArray<{ id: Uint8Array; key: Uint8Array }>): Buffer {
    return Buffer.concat(
      blocks.map(({ id, key }) => {
        const stored = this.chunks.read(id)
        if (stored === undefined) throw new Error(`chunk ${toHex(id)} is missing`)
        return codec.decode(stored, key)
      }),
    )
  }
}

export async function* inPieces(bytes: Uint8Array, pieceBytes: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}
