import { setImmediate as breathe } from 'node:timers/promises'
import { CorruptError, MalformedError, UnavailableError } from '../errors.ts'
import { BLOCK_BYTES } from '../format/chunk.ts'
import type { ChunkCodec } from '../format/chunk-codec.ts'
import type { ChunkSource, ChunkStore } from '../store/chunk-store.ts'
import { toHex } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import type { BlockRef, FlistEntry } from './entry.ts'
import { show } from './entry-name.ts'

/** Where chunks come from: this node's disk, or anything that may have to ask for them. */
export type BlockSource = ChunkSource | Pick<ChunkStore, 'read'>

export interface ContentDeps {
  readonly chunks: BlockSource
  readonly codec: ChunkCodec
}

/**
 * The plain bytes of a block, which hash to its key.
 * @throws {UnavailableError} when the source does not hold the chunk.
 * @throws {CorruptError} when the chunk does not decode to its key. Both name the chunk.
 */
export async function readBlock(
  { id, key }: BlockRef,
  { chunks, codec }: ContentDeps,
  options: AbortOptions = {},
): Promise<Uint8Array> {
  const stored = 'read' in chunks ? chunks.read(id) : await chunks.get(id, options)
  if (stored === undefined) throw new UnavailableError(`the chunk ${toHex(id)} is not here`)
  try {
    return codec.decode(stored, key)
  } catch (cause) {
    if (cause instanceof MalformedError || cause instanceof CorruptError) {
      throw new CorruptError(
        toHex(id),
        `the chunk ${toHex(id)} is not what its flist says: ${cause.message}`,
        { cause },
      )
    }
    throw cause
  }
}

/**
 * The content of a regular file, block by block. Other work gets its turn between blocks: decoding one takes about
 * 2 ms of this thread.
 * @throws as `readBlock`; {CorruptError} when the blocks do not add up to the file's size.
 */
export async function* fileContent(
  entry: FlistEntry,
  deps: ContentDeps,
  { signal }: AbortOptions = {},
): AsyncGenerator<Uint8Array> {
  if (entry.content.kind !== 'file') return
  let rest = entry.sizeBytes
  for (const ref of entry.content.blocks) {
    signal?.throwIfAborted()
    const plain = await readBlock(ref, deps, { signal })
    if (plain.length !== Math.min(rest, BLOCK_BYTES)) {
      throw wrongSize(entry, ref, `has ${plain.length} bytes where ${Math.min(rest, BLOCK_BYTES)} belong`)
    }
    rest -= plain.length
    yield plain
    await breathe()
  }
  if (rest > 0)
    throw wrongSize(entry, entry.content.blocks.at(-1), `is the last one, and ${rest} bytes are missing`)
}

function wrongSize({ path }: FlistEntry, ref: BlockRef | undefined, problem: string): CorruptError {
  const id = ref === undefined ? 'none' : toHex(ref.id)
  return new CorruptError(id, `${show(path)} is broken: its chunk ${id} ${problem}`)
}
