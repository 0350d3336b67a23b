/** The page of one flist: `/<repository>/<name>.md` (hub-api.md §6). */
import { HubError } from '../errors.ts'
import type { FlistCounts } from '../flist/entry.ts'
import { parseBackend } from '../flist/metadata.ts'
import type { Entry } from '../repo/entry.ts'
import { withSuffix } from '../repo/names.ts'
import type { FlistId } from '../store/flist-store.ts'
import { asBuffer, EMPTY, toHex, toUtf8 } from '../util/bytes.ts'
import { LruCache } from '../util/lru.ts'
import { MIB } from '../util/units.ts'
import { pathOf } from '../web/words.ts'
import { previewPage, type OtherVersion, type Preview } from '../web/preview.ts'
import type { Answer } from './answer.ts'
import type { Call } from './call.ts'
import { isWorthLogging } from './errors.ts'
import { readFolder, type FolderView } from './image-folder.ts'
import { linkPath } from './page-rows.ts'
import { findFlist, versionName, type Found } from './lookup.ts'
import { checkName } from './names.ts'
import { errorAnswer, pageAnswer } from './page-answer.ts'
import { pageStart } from './page-rows.ts'
import { wantedPath } from './routes-content.ts'
import type { Site } from './site.ts'

const CACHE_BYTES = 8 * MIB
/** About what a row of a directory takes in memory. */
const ROW_BYTES = 500
const COUNTS_BYTES = 200

export type ShowPreview = (call: Call, repository: string, name: string) => Promise<Answer>

export function createPreview(site: Site): ShowPreview {
  const folders = new LruCache<FolderView>(CACHE_BYTES)
  const counts = new LruCache<FlistCounts>(MIB)

  /** The directory that the query names; the walk that finds it is kept. */
  const folderOf = async (call: Call, id: FlistId): Promise<FolderView> => {
    site.library.refusePurged(id)
    const path = wantedPath(call) ?? EMPTY
    const from = pageStart(call)
    const key = `${toHex(id)} ${from} ${asBuffer(path).toString('base64')}`
    const kept = folders.get(key)
    if (kept !== undefined) return kept
    const bytes = await site.library.read(id, { signal: call.signal() })
    const wanted = { path, from, known: counts.get(toHex(id)) }
    const view = await readFolder(site.inspector, bytes, wanted, { signal: call.signal() })
    counts.set(toHex(id), view.counts, COUNTS_BYTES)
    folders.set(key, view, key.length + ROW_BYTES * (1 + (view.folder?.rows.length ?? 0)))
    return view
  }

  return async (call, repository, name) => {
    checkName(repository)
    const stored = checkName(withSuffix(name))
    const entry = site.repositories.find(repository, stored)
    const found = await findFlist(site.repositories, repository, name).catch(() => undefined)
    if (found === undefined) {
      return entry === undefined
        ? errorAnswer(404, 'There is no flist of that name.')
        : danglingAnswer(site, entry)
    }
    const preview = await previewOf(site, found)
    try {
      const view = await folderOf(call, found.resolved.target.flist)
      const { folder } = view
      if (folder === undefined) return errorAnswer(404, 'There is no such directory in this flist.')
      const said = await saidOf(site, found)
      const { readme, metadata, chunks } = said
      const content = { counts: view.counts, folder, readme, metadata }
      const page = pageAnswer(previewPage({ ...preview, chunks, content }))
      return preview.isPartial === true ? { ...page, isPassing: true } : page
    } catch (error) {
      if (!(error instanceof HubError)) throw error
      if (isWorthLogging(error)) site.log.warn('a flist does not read', { repository, name }, error)
      return pageAnswer(previewPage({ ...preview, problem: `This flist does not read: ${error.message}` }))
    }
  }
}

async function previewOf(site: Site, { entry, resolved }: Found): Promise<Preview> {
  const { served, options, replicated } = site
  const { md5, sizeBytes } = await served.digest(resolved.target.flist)
  return {
    repository: entry.repository,
    name: entry.name,
    url: options.publicUrl + pathOf(entry.repository, entry.name),
    served: { md5, sizeBytes },
    updatedS: resolved.entry.updatedS,
    conflicts: entry.conflicts,
    others: await othersOf(site, entry),
    isPartial: !replicated.isComplete(resolved.target.flist),
    linkTarget: entry.target.kind === 'file' ? undefined : linkPath(entry),
  }
}

/** Flists alone: links have no content of their own to be fetched. */
async function othersOf({ repositories }: Site, entry: Entry): Promise<OtherVersion[]> {
  const { repository, name, conflicts } = entry
  if (conflicts === 0) return []
  const items = await repositories.history(repository, name)
  return items.flatMap(({ state, target, operation, author, timeS }): OtherVersion[] => {
    if (state !== 'conflict' || target?.kind !== 'file') return []
    return [{ name: versionName(name, operation), author, timeS, sizeBytes: target.sizeBytes }]
  })
}

/** A link that leads nowhere has a page all the same, as in the original. */
function danglingAnswer({ options }: Site, entry: Entry): Answer {
  const { repository, name, updatedS, conflicts } = entry
  const url = options.publicUrl + pathOf(repository, name)
  const problem = 'This link leads nowhere: what it names is not here.'
  const linkTarget = linkPath(entry)
  return pageAnswer(
    previewPage({
      repository,
      name,
      url,
      updatedS,
      conflicts,
      linkTarget,
      problem,
    }),
  )
}

interface Said {
  readonly readme: string | undefined
  readonly metadata: ReadonlyArray<readonly [key: string, text: string]>
  readonly chunks: string | undefined
}

/** What the flist says of itself: the metadata of the API, as text. */
async function saidOf({ views }: Site, { resolved }: Found): Promise<Said> {
  const { body } = await views.metadata(resolved.target.flist)
  const rows = Buffer.isBuffer(body) ? (JSON.parse(toUtf8(body)) as Record<string, unknown>) : {}
  const address = rows['backend'] ?? rows['backend-forced']
  const backend = address === undefined ? undefined : parseBackend(JSON.stringify(address))
  const readme = textOfReadme(rows['readme'])
  const metadata = Object.entries(rows)
    .filter(([key]) => key !== 'readme' || readme === undefined)
    .map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value, null, 2)] as const)
  return { readme, metadata, chunks: backend && `${backend.host}:${backend.port}` }
}

function textOfReadme(value: unknown): string | undefined {
  if (typeof value !== 'object' || value === null || !('readme' in value)) return undefined
  return typeof value.readme === 'string' ? value.readme : undefined
}
