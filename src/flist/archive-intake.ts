import { LimitError, MalformedError } from '../errors.ts'
import type { PartsHash } from '../format/blake2b.ts'
import type { ArchiveEntry } from './archive-entry.ts'
import { ArchiveTree } from './archive-tree.ts'
import { BlockCutter } from './block-cutter.ts'
import type { BlockTable } from './block-table.ts'
import { FlistBuilder } from './build.ts'
import { decompress } from './decompress.ts'
import type { RunStore } from './entry-spool.ts'
import type { IngestLimits } from './ingest-limits.ts'
import type { MadeFlist } from './ingest-messages.ts'
import { layerMark } from './layer-mark.ts'
import { Readme } from './readme.ts'
import type { SlabFiller } from './slab-filler.ts'
import type { TarMember } from './tar-member.ts'
import type { TarEvent } from './tar-reader.ts'
import { TarReader } from './tar-reader.ts'
import { TreeBuild } from './tree-build.ts'

export interface IntakeParts {
  readonly slabs: SlabFiller
  readonly blocks: BlockTable
  /** For blocks, of this thread alone. */
  readonly hash: PartsHash
  readonly runs: RunStore
  /** Rows of the flist's metadata table, asked for once the archive has ended. */
  readonly metadata: () => Promise<ReadonlyArray<readonly [key: string, value: string]>>
  /** Told the ids of all chunks, one behind the other, before the tree is built. */
  readonly onChunks: (ids: Uint8Array<ArrayBuffer>) => void
  readonly limits: IngestLimits
  /** The archives are layers of one tree: their marks hide what lies below. */
  readonly isLayered: boolean
}

export type Archives = AsyncIterable<AsyncIterable<Uint8Array>>

/** An archive, or layers, on their way to a flist: bytes → tar → blocks and tree → flist. For a worker. */
export class ArchiveIntake {
  readonly #parts: IntakeParts
  readonly #tree: ArchiveTree
  readonly #cutter: BlockCutter
  #tar: TarReader
  readonly #readme: Readme
  #archiveBytes = 0
  #plainBytes = 0
  #contentBytes = 0
  #file: ArchiveEntry | undefined

  constructor(parts: IntakeParts) {
    const { limits, runs, slabs, blocks, hash } = parts
    this.#parts = parts
    this.#tree = new ArchiveTree(limits, runs)
    this.#cutter = new BlockCutter(slabs, blocks, hash)
    this.#tar = new TarReader(limits)
    this.#readme = new Readme(limits.maxReadmeBytes)
  }

  /** One archive, or layers, the lowest first. @throws {MalformedError | LimitError | DiskFullError} */
  async run(archives: Archives): Promise<MadeFlist> {
    let count = 0
    for await (const archive of archives) {
      if (count++ > 0) this.#nextLayer()
      await this.#takeArchive(archive)
    }
    if (this.#tree.isEmpty && !this.#parts.isLayered)
      throw new MalformedError('tar', 'the tar archive is empty: it has no members')
    this.#parts.slabs.flush()
    await this.#parts.slabs.allIdentified()
    this.#parts.onChunks(this.#parts.blocks.allIds())
    return await this.#build()
  }

  async #takeArchive(archive: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const bytes of decompress(this.#counted(archive))) {
      this.#plainBytes += bytes.length
      this.#checkSizes()
      for (const event of this.#tar.push(bytes)) {
        const wait = this.#take(event)
        if (wait !== undefined) await wait
      }
    }
    // The digest of a layer vouches for its length.
    this.#tar.finish({ needsEndMark: !this.#parts.isLayered })
  }

  #nextLayer(): void {
    this.#tar = new TarReader(this.#parts.limits)
    this.#tree.nextLayer()
    this.#readme.nextLayer()
  }

  async *#counted(archive: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of archive) {
      this.#archiveBytes += piece.length
      yield piece
    }
  }

  #checkSizes(): void {
    const { maxPlainBytes, maxRatio, ratioFreeBytes } = this.#parts.limits
    if (this.#plainBytes > maxPlainBytes) throw plainLimit(maxPlainBytes)
    // The free bytes are free for good: a good file of 64 MiB and a little more is no bomb.
    const counted = this.#plainBytes - this.#cutter.zeroBytes - ratioFreeBytes
    if (counted > maxRatio * this.#archiveBytes) {
      throw new LimitError('compression of an archive', maxRatio, 'to 1')
    }
  }

  #take(event: TarEvent): Promise<void> | undefined {
    switch (event.kind) {
      case 'member':
        return this.#member(event.member)
      case 'bytes':
        this.#readme.take(event.bytes)
        return this.#content(event.bytes)
      case 'hole':
        this.#readme.takeHole(event.lengthBytes)
        return this.#hole(event.lengthBytes)
      case 'end':
        return this.#endFile()
    }
  }

  #member(member: TarMember): Promise<void> | undefined {
    const entry = this.#tree.read(member)
    const mark = this.#parts.isLayered ? layerMark(entry) : undefined
    if (mark === 'nothing') return undefined
    if (mark !== undefined) {
      this.#readme.hide(mark)
      return this.#tree.addMark(mark)
    }
    this.#readme.member(entry)
    if (entry.kind !== 'file') return this.#tree.add(entry)
    this.#contentBytes += entry.sizeBytes
    const { maxPlainBytes } = this.#parts.limits
    if (this.#contentBytes > maxPlainBytes) throw plainLimit(maxPlainBytes)
    this.#cutter.begin(entry.sizeBytes)
    this.#file = entry
    return undefined
  }

  #content(bytes: Uint8Array): Promise<void> | undefined {
    const taken = this.#cutter.take(bytes)
    if (taken === bytes.length) return undefined
    return this.#cutter.room().then(() => this.#content(bytes.subarray(taken)))
  }

  #hole(lengthBytes: number): Promise<void> | undefined {
    const taken = this.#cutter.takeHole(lengthBytes)
    if (taken === lengthBytes) return undefined
    return this.#cutter.room().then(() => this.#hole(lengthBytes - taken))
  }

  #endFile(): Promise<void> | undefined {
    const file = this.#file
    this.#file = undefined
    return file === undefined ? undefined : this.#tree.add(file, this.#cutter.finish())
  }

  async #build(): Promise<MadeFlist> {
    const builder = new FlistBuilder()
    const build = new TreeBuild(this.#tree, this.#parts.blocks, builder)
    await build.run()
    const rows = new Map(await this.#parts.metadata())
    const readme = this.#readme.metadata()
    if (readme !== undefined) rows.set('readme', readme)
    for (const [key, value] of [...rows].sort(([a], [b]) => (a < b ? -1 : 1))) builder.setMetadata(key, value)
    const { bytes } = builder.finish()
    return { bytes, chunkIds: build.chunkIds(), counts: build.counts }
  }
}

function plainLimit(maxPlainBytes: number): LimitError {
  return new LimitError('plain size of an archive', maxPlainBytes, 'bytes')
}
