import { envelope, styleA, textAnswer } from './answer.ts'
import type { Answer } from './answer.ts'
import type { Call, Route } from './call.ts'
import { downloadAnswer } from './downloads.ts'
import { findFlist, lookUp, type Found } from './lookup.ts'
import { checkName } from './names.ts'
import { createPreview } from './preview.ts'
import { withHubHeaders } from './routes-flist.ts'
import type { Site } from './site.ts'
import { hasFlistSuffix } from '../format/name-rule.ts'
import { withSuffix } from '../repo/names.ts'

/** What a file's last suffix asks for. */
const SUFFIX = /^(.+?)(\.md5|\.txt|\.json|\.md)?$/

/** Flists and what is said about them, below `/<repository>/` (hub-api.md §6). */
export function downloadRoutes(site: Site): Route[] {
  const { repositories } = site
  const showPreview = createPreview(site)

  const ofRepository = async (call: Call) => {
    const { repository = '', file = '' } = call.params
    const [, name = '', suffix = ''] = SUFFIX.exec(file) ?? []
    if ((suffix === '' || suffix === '.md5') && !hasFlistSuffix(name)) return unrouted(repository, file)
    if (suffix === '.md') return await showPreview(call, repository, name)
    const found = await findFile(site, repository, name)
    if (found === undefined) return envelope(404)
    return suffix === '' ? await download(site, call, found) : await about(site, found, suffix)
  }

  const ofTag = async (call: Call) => {
    const { repository = '', tag = '', file = '' } = call.params
    checkName(repository)
    checkName(tag)
    const found = hasFlistSuffix(file) ? lookUp(repositories, repository, checkName(file), tag) : undefined
    return found === undefined ? envelope(404) : await download(site, call, found)
  }

  const get = {
    method: 'GET',
    access: 'public',
    isCached: true,
    answers: 'application/octet-stream',
  } as const
  return [
    {
      ...get,
      path: '/:repository/:file',
      summary:
        'A flist (`x.flist`), its md5 (`x.flist.md5`), or a word about it (`x.txt`, `x.json`, the page `x.md`)',
      handle: ofRepository,
    },
    { ...get, path: '/:repository/tags/:tag/:file', summary: 'A flist by its tag', handle: ofTag },
  ]
}

/** A page that is none of ours; its names are still held to the rule. */
function unrouted(repository: string, file: string): Answer {
  checkName(repository)
  checkName(file)
  return envelope(404)
}

/** Links followed; here an unknown user and an unknown name are the same. */
async function findFile(site: Site, repository: string, name: string): Promise<Found | undefined> {
  checkName(repository)
  checkName(withSuffix(name))
  if (!site.repositories.has(repository)) return undefined
  return await findFlist(site.repositories, repository, name).catch(() => undefined)
}

async function download({ served, replicated }: Site, { request }: Call, found: Found): Promise<Answer> {
  const { entry, resolved } = found
  const { bytes, md5 } = await served.get(resolved.target.flist)
  const { updatedS } = resolved.entry
  const answer = downloadAnswer({ filename: entry.name, bytes, md5, updatedS }, request.headers)
  return withHubHeaders(answer, replicated, found)
}

async function about({ served, options, replicated }: Site, found: Found, suffix: string): Promise<Answer> {
  const { entry, resolved } = found
  const { repository, name } = entry
  const { md5, sizeBytes: size } = await served.digest(resolved.target.flist)
  if (suffix === '.md5') return withHubHeaders(textAnswer(200, `${md5}\n`), replicated, found)
  const { publicUrl, publicChunks: chunks } = options
  const source = `${publicUrl}/${repository}/${name}`
  const storage = chunks === undefined ? '' : `zdb://${chunks.host}:${chunks.port}`
  if (suffix === '.json') {
    const { updatedS: updated } = resolved.entry
    return styleA({ name, uploader: repository, source, storage, md5, size, updated })
  }
  return textAnswer(
    200,
    `File:     ${name}\n` +
      `Uploader: ${repository}\n` +
      `Source:   ${source}\n` +
      `Storage:  ${storage}\n` +
      `Checksum: ${md5}\n`,
  )
}
