/** Flists of this node as one: sources found in the contract's words, the result published like any other. */
import { InvalidInputError, LimitError } from '../errors.ts'
import { MAX_MERGE_SOURCES, type FlistToMerge } from '../flist/merger.ts'
import type { FlistCounts } from '../flist/entry.ts'
import { withSuffix } from '../repo/names.ts'
import { listChunks, type ChunkList } from '../store/chunk-list.ts'
import type { FlistId, Lease } from '../store/flist-store.ts'
import { toHex } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import type { Actor } from './call.ts'
import { Refusal, refuse } from './errors.ts'
import { findFlist } from './lookup.ts'
import { checkName } from './names.ts'
import { publishFlist } from './publish-flist.ts'
import type { Site } from './site.ts'

/** Chunks that a merge waits for at a time; each is at most half a megabyte. */
const FETCHES_AT_ONCE = 16

export interface MergeOrder {
  /** Each `repo/name`, with its suffix or without; the first wins. */
  readonly sources: readonly unknown[]
  readonly target: string
}

export interface MergeResult {
  /** The flist's file name. */
  readonly name: string
  readonly counts: FlistCounts
}

/**
 * Merges flists into one of the actor's repository; a source may be its target. Everything that the sources name is
 * held from before they are read, so it is there when the result is published.
 * @throws {Refusal} in the contract's words; {InvalidInputError | LimitError | MalformedError | DiskFullError}.
 */
export async function mergeFlists(
  site: Site,
  actor: Pick<Actor, 'repository' | 'user'>,
  { sources, target }: MergeOrder,
  { signal }: AbortOptions = {},
): Promise<MergeResult> {
  const found = await findSources(site, sources)
  const name = checkName(withSuffix(target))
  if (!name.endsWith('.flist')) throw new InvalidInputError(`${name}: a merge is an .flist file`)
  await site.space.require(0)
  const lease = site.leases.open()
  let listing: Promise<ChunkList> | undefined
  const onChunks = (ids: Uint8Array) => {
    listing = listAll(site, ids, lease, { signal })
    listing.catch(() => {}) // told below, unless the merge itself fails
  }
  try {
    for (const { id } of found) lease.holdFlist(id)
    const { bytes, counts, chunkIds } = await site.merger.merge(read(site, found, { signal }), {
      signal,
      onChunks,
    })
    const list = (await listing) ?? (await listAll(site, chunkIds, lease, { signal }))
    const flist = { format: 'zflist', bytes, list, files: counts.regular } as const
    await publishFlist(site, actor, { name, flist, lease })
    return { name, counts }
  } finally {
    await listing?.catch(() => {}) // it holds chunks while it runs
    lease.release()
  }
}

/** The list of chunks; those that are on peers alone are brought: what is published here is here. */
async function listAll(
  { chunks, blocks }: Pick<Site, 'chunks' | 'blocks'>,
  ids: Uint8Array,
  lease: Lease,
  options: AbortOptions,
): Promise<ChunkList> {
  const bring = async (missing: readonly Uint8Array[]) => {
    for (let at = 0; at < missing.length; at += FETCHES_AT_ONCE) {
      await Promise.all(missing.slice(at, at + FETCHES_AT_ONCE).map((id) => blocks.get(id, options)))
    }
  }
  return await listChunks(chunks, ids, lease, { bring })
}

interface Source {
  readonly name: string
  readonly id: FlistId
}

/** Each flist once: what it has a second time is there already. */
async function findSources(site: Site, sources: readonly unknown[]): Promise<Source[]> {
  if (sources.length === 0) refuse(500, 'no source found')
  if (sources.length > MAX_MERGE_SOURCES)
    throw new LimitError('sources of a merge', MAX_MERGE_SOURCES, 'flists')
  const found = new Map<string, Source>()
  for (const source of sources) {
    const one = await findSource(site, source)
    const id = toHex(one.id)
    if (!found.has(id)) found.set(id, one)
  }
  return [...found.values()]
}

async function findSource({ repositories }: Site, source: unknown): Promise<Source> {
  const [repository, name, ...more] = typeof source === 'string' ? source.split('/') : []
  if (!repository || !name || more.length > 0) refuse(500, 'malformed source filename')
  const full = `${repository}/${withSuffix(name)}`
  try {
    const { resolved } = await findFlist(repositories, repository, name)
    return { name: full, id: resolved.target.flist }
  } catch (error) {
    if (error instanceof Refusal && error.answer.status === 404) refuse(500, `${full} does not exists`)
    throw error
  }
}

async function* read(
  { library }: Site,
  sources: readonly Source[],
  options: AbortOptions,
): AsyncGenerator<FlistToMerge> {
  for (const { name, id } of sources) {
    yield { name, bytes: await library.read(id, options) }
  }
}
