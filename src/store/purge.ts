/**
 * Drops a flist for good, at once: its file, its chunk list, and those of its chunks that nothing else has. What it is
 * not for: space (collector.ts), or deciding what must go. Its row goes last, so that a purge which a crash broke off is
 * found again. Invariant I8 as in the collector: a watch remembers every hold since before the references were read.
 */
import { toLatin1 } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import type { CollectorDeps } from './collector.ts'
import type { FlistId } from './flist-store.ts'
import type { LeaseWatch } from './leases.ts'
import { otherReferences, referencesOf } from './references.ts'

export interface PurgeDeps extends Pick<CollectorDeps, 'rows' | 'flists' | 'leases' | 'onDeleted'> {
  readonly chunks: Pick<CollectorDeps['chunks'], 'info'> & {
    /** Deletes those that are unwanted when it comes to it, and answers which; their bytes are off the disk then. */
    erase(ids: readonly Uint8Array[], isUnwanted: (id: Uint8Array) => boolean): Promise<Uint8Array[]>
  }
}

/** What a purge freed, and the chunks that stay because something else has them, or is about to. */
export interface Purged {
  readonly chunks: number
  readonly bytes: number
  readonly kept: number
}

/** Chunks erased by one batch: the last look at them and the deletion are one step of less than 10 ms. */
const SLICE = 512

/** `undefined` when the flist is not here. Nobody may put it again: what is on its way is waited for. */
export async function purgeFlist(
  deps: PurgeDeps,
  id: FlistId,
  options: AbortOptions = {},
): Promise<Purged | undefined> {
  const { rows, flists, leases } = deps
  const watch = leases.watch()
  try {
    await flists.settled()
    const number = flists.numberOf(id)
    if (number === undefined) return undefined
    const own = referencesOf(rows, number)
    const freed = await eraseOwn(deps, { own, number, watch }, options)
    await flists.delete(id)
    await flists.sweep(options)
    return { ...freed, kept: own.length - freed.chunks }
  } finally {
    watch.close()
  }
}

/** Drops chunks that nothing references and nobody holds: what came in for a flist that was refused. */
export async function discardChunks(
  deps: PurgeDeps,
  ids: readonly Uint8Array[],
  options: AbortOptions = {},
): Promise<void> {
  const watch = deps.leases.watch()
  try {
    await eraseOwn(deps, { own: ids, number: undefined, watch }, options)
  } finally {
    watch.close()
  }
}

interface Own {
  readonly own: readonly Uint8Array[]
  /** Of the flist that goes. */
  readonly number: number | undefined
  /** Since before the references are read. */
  readonly watch: LeaseWatch
}

async function eraseOwn(deps: PurgeDeps, { own, number, watch }: Own, options: AbortOptions) {
  const { flists, last } = await deps.flists.census()
  const counting = new Set(flists.map(([, { number: one }]) => one))
  const isOther = (one: number) => one !== number && (one > last || counting.has(one))
  const shared = await otherReferences(deps.rows, own, isOther, options)
  const doomed = own.filter((chunk) => !shared.has(toLatin1(chunk)))
  return await erase(deps, doomed, watch, options)
}

async function erase(
  { chunks, onDeleted }: PurgeDeps,
  doomed: readonly Uint8Array[],
  watch: LeaseWatch,
  { signal }: AbortOptions,
): Promise<Omit<Purged, 'kept'>> {
  const freed = { chunks: 0, bytes: 0 }
  for (let at = 0; at < doomed.length; at += SLICE) {
    signal?.throwIfAborted()
    const slice = doomed.slice(at, at + SLICE)
    const lengths = new Map(slice.map((chunk) => [chunk, chunks.info(chunk)?.lengthBytes ?? 0]))
    const gone = await chunks.erase(slice, (chunk) => !watch.sawChunk(chunk))
    freed.chunks += gone.length
    for (const chunk of gone) freed.bytes += lengths.get(chunk) ?? 0
    onDeleted?.(gone)
  }
  return freed
}
