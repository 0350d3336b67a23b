import { InvalidInputError, NotFoundError } from '../errors.ts'
import type { FlistEntry } from '../flist/entry.ts'
import type { Entry } from '../repo/entry.ts'
import { asBuffer, equalBytes, fromUtf8, isUtf8, toHex, toUtf8 } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'
import { compactJson, streamAnswer, withHeaders, type Answer } from './answer.ts'
import { queryOf, type Call, type Route } from './call.ts'
import { countsView } from './flist-views.ts'
import { cleanTarget } from './listing.ts'
import { errorLine, NDJSON } from './long-answer.ts'
import { findEntry, findFlist } from './lookup.ts'
import type { Site } from './site.ts'

/** Lines are sent in pieces of about this size. */
const PIECE_BYTES = 64 * KIB

/** What is inside a flist, for people: one entry's facts, the tree, one file, the whole as tar. */
export function contentRoutes(site: Site): Route[] {
  const { repositories, reader, views } = site

  const find = async ({ params: { repository = '', name = '' } }: Call) => {
    const { resolved } = await findFlist(repositories, repository, name)
    return await views.read(resolved.target.flist)
  }

  const info = async ({ params: { repository = '', name = '' } }: Call) => {
    const entry = findEntry(repositories, repository, name)
    return compactJson({ ...entryView(entry), flist: await flistFacts(site, entry) })
  }

  const tree = async (call: Call) => {
    const bytes = await find(call)
    const below = wantedPath(call)
    return streamAnswer(NDJSON, treeLines(reader.entries(bytes, { signal: call.signal() }), below))
  }

  const file = async (call: Call) => {
    const bytes = await find(call)
    const path = wantedPath(call)
    if (path === undefined) throw new InvalidInputError('path: which file?')
    const signal = call.signal()
    const entry = await entryAt(reader.entries(bytes, { signal }), path)
    if (entry === undefined) throw new NotFoundError('no such path')
    if (entry.content.kind !== 'file')
      throw new InvalidInputError(`a ${entry.content.kind}, not a regular file`)
    return raw(reader.file(entry, { signal }), 'application/octet-stream', entry.sizeBytes)
  }

  const tar = async (call: Call) => {
    const bytes = await find(call)
    return raw(reader.tar(bytes, { signal: call.signal() }), 'application/x-tar')
  }

  const get = { method: 'GET', access: 'public' } as const
  const query = { path: 'a path in the image', path64: 'the same, base64url of its bytes' }
  const at = (what: string) => `/api/v1/${what}/:repository/:name`
  return [
    { ...get, path: at('info'), summary: 'What a name is, and the flist behind it', handle: info },
    {
      ...get,
      path: at('tree'),
      answers: NDJSON,
      query,
      summary: 'Entries of the image, a line each',
      handle: tree,
    },
    {
      ...get,
      path: at('file'),
      answers: 'application/octet-stream',
      query,
      summary: 'One file of the image',
      handle: file,
    },
    {
      ...get,
      path: at('tar'),
      answers: 'application/x-tar',
      summary: 'The image as a tar archive',
      handle: tar,
    },
  ]
}

function raw(body: AsyncIterable<Uint8Array>, type: string, sizeBytes?: number): Answer {
  const length = sizeBytes === undefined ? [] : ['Content-Length', String(sizeBytes)]
  return withHeaders(streamAnswer(type, body), length)
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
async function flistFacts(site: Site, { repository, name }: Entry): Promise<object | undefined> {
  const resolved = site.repositories.resolve(repository, name)
  const id = resolved?.target.flist
  const descriptor = id && site.flists.descriptor(id)
  if (resolved === undefined || id === undefined || descriptor === undefined) return undefined
  const bytes = await site.views.read(id)
  const [{ sizeBytes, md5 }, summary] = await Promise.all([
    site.served.digest(id),
    site.reader.summary(bytes),
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

/** The path asked for, without slashes at its ends; `undefined` when none is. */
function wantedPath(call: Call): Uint8Array | undefined {
  const path64 = queryOf(call, 'path64')
  if (path64 !== undefined) return Buffer.from(path64, 'base64url')
  const path = queryOf(call, 'path')
  return path === undefined ? undefined : fromUtf8(path.replace(/^\/+|\/+$/g, ''))
}

async function entryAt(
  entries: AsyncIterable<FlistEntry>,
  path: Uint8Array,
): Promise<FlistEntry | undefined> {
  for await (const entry of entries) if (equalBytes(entry.path, path)) return entry
  return undefined
}

/** A failure in the middle is the last line: the status is out by then. */
async function* treeLines(
  entries: AsyncIterable<FlistEntry>,
  below: Uint8Array | undefined,
): AsyncGenerator<Uint8Array> {
  let text = ''
  try {
    for await (const entry of entries) {
      if (below !== undefined && !isBelow(entry.path, below)) continue
      text += JSON.stringify(treeView(entry)) + '\n'
      if (text.length < PIECE_BYTES) continue
      yield fromUtf8(text)
      text = ''
    }
  } catch (error) {
    text += JSON.stringify(errorLine(error)) + '\n'
  }
  if (text !== '') yield fromUtf8(text)
}

const SLASH = 0x2f

/** True for the entry itself and everything in it; everything is in the root. */
function isBelow(path: Uint8Array, top: Uint8Array): boolean {
  if (top.length === 0) return true
  return (
    equalBytes(path.subarray(0, top.length), top) &&
    (path.length === top.length || path[top.length] === SLASH)
  )
}

/** One line of the tree. Bytes that are no UTF-8 come a second time, in base64. */
function treeView({ path, content, sizeBytes, mode, uid, gid, ...rest }: FlistEntry): object {
  return {
    ...bytesView('path', path),
    type: content.kind === 'special' ? content.special : content.kind,
    size: sizeBytes,
    mode,
    uid,
    gid,
    user: toUtf8(rest.userName),
    group: toUtf8(rest.groupName),
    modified: rest.modifiedS,
    ...(content.kind === 'link' ? bytesView('target', content.target) : {}),
    ...(content.kind === 'special' ? { major: content.major, minor: content.minor } : {}),
  }
}

function bytesView(key: string, bytes: Uint8Array): object {
  const text = { [key]: toUtf8(bytes) }
  return isUtf8(bytes) ? text : { ...text, [`${key}64`]: asBuffer(bytes).toString('base64') }
}
