import { NotFoundError } from '../errors.ts'
import type { Entry } from '../repo/entry.ts'
import { toHex } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import { compactJson } from './answer.ts'
import type { Call, Route } from './call.ts'
import { countsView } from './flist-views.ts'
import { cleanTarget } from './listing.ts'
import { findEntry } from './lookup.ts'
import type { Site } from './site.ts'

/** One name in facts: what it is, what it points to, and the flist behind it. */
export function infoRoutes(site: Site): Route[] {
  const info = async ({ signal, params: { repository = '', name = '' } }: Call) => {
    const entry = findEntry(site.repositories, repository, name)
    return compactJson({ ...entryView(entry), flist: await flistFacts(site, entry, { signal: signal() }) })
  }
  return [
    {
      method: 'GET',
      path: '/api/v1/info/:repository/:name',
      access: 'public',
      isCached: true,
      summary: 'What a name is, and the flist behind it',
      handle: info,
    },
  ]
}

function entryView({ repository, name, target, updatedS, operation, conflicts }: Entry): object {
  const type = target.kind === 'file' ? 'regular' : target.kind === 'taglink' ? 'taglink' : 'symlink'
  return {
    repository,
    name,
    type,
    ...(target.kind === 'file' ? {} : { target: cleanTarget(target) }),
    updated: updatedS,
    op: toHex(operation),
    conflicts,
  }
}

/** `undefined` for what leads to no flist. */
async function flistFacts(
  site: Site,
  { repository, name }: Entry,
  options: AbortOptions,
): Promise<object | undefined> {
  const resolved = site.repositories.resolve(repository, name)
  const id = resolved?.target.flist
  if (resolved === undefined || id === undefined) return undefined
  const descriptor = await site.library.require(id, options).catch((error: unknown) => {
    if (!(error instanceof NotFoundError)) throw error
  })
  if (descriptor === undefined) return undefined
  const bytes = await site.library.read(id, options)
  const [{ sizeBytes, md5 }, summary] = await Promise.all([
    site.served.digest(id),
    site.inspector.survey(bytes, {}),
  ])
  return {
    id: toHex(id),
    format: descriptor.fmt,
    size: descriptor.size,
    md5: toHex(descriptor.md5),
    sha256: toHex(descriptor.sha256),
    chunks: descriptor.nChunks,
    chunkBytes: descriptor.bytes,
    files: descriptor.files,
    served: { size: sizeBytes, md5 },
    counts: countsView(summary.counts),
    metadata: Object.fromEntries(summary.metadata),
  }
}
