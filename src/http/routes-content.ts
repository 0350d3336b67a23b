import { InvalidInputError, NotFoundError } from '../errors.ts'
import { fileContent } from '../flist/content.ts'
import type { FlistEntry } from '../flist/entry.ts'
import { tarStream } from '../flist/tar-stream.ts'
import { asBuffer, equalBytes, fromUtf8, isUtf8, toUtf8 } from '../util/bytes.ts'
import type { AbortOptions } from '../util/units.ts'
import { streamAnswer, withHeaders, type Answer } from './answer.ts'
import { queryOf, type Call, type Route } from './call.ts'
import { errorLine, NDJSON } from './long-answer.ts'
import { findFlist } from './lookup.ts'
import type { Site } from './site.ts'

/** What is inside a flist, for people: the tree, one file, the whole as tar. */
export function contentRoutes(site: Site): Route[] {
  const { repositories, inspector, library, blocks, codec } = site
  const content = (entry: FlistEntry, options: AbortOptions) =>
    fileContent(entry, { chunks: blocks, codec }, options)

  const find = async ({ signal, params: { repository = '', name = '' } }: Call) => {
    const { resolved } = await findFlist(repositories, repository, name)
    return await library.read(resolved.target.flist, { signal: signal() })
  }

  const tree = async (call: Call) => {
    const bytes = await find(call)
    const below = wantedPath(call)
    return streamAnswer(NDJSON, treeLines(inspector.entries(bytes, { signal: call.signal() }), below))
  }

  const file = async (call: Call) => {
    const bytes = await find(call)
    const path = wantedPath(call)
    if (path === undefined) throw new InvalidInputError('path: which file?')
    const signal = call.signal()
    const entry = await inspector.find(bytes, path, { signal })
    if (entry === undefined) throw new NotFoundError('no such path')
    if (entry.content.kind !== 'file')
      throw new InvalidInputError(`a ${entry.content.kind}, not a regular file`)
    return raw(content(entry, { signal }), 'application/octet-stream', entry.sizeBytes)
  }

  const tar = async (call: Call) => {
    const bytes = await find(call)
    const signal = call.signal()
    const entries = flatten(inspector.entries(bytes, { signal }))
    return raw(tarStream(entries, content, { signal }), 'application/x-tar')
  }

  const get = { method: 'GET', access: 'public' } as const
  const query = { path: 'a path in the image', path64: 'the same, base64url of its bytes' }
  const at = (what: string) => `/api/v1/${what}/:repository/:name`
  return [
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

/** The path asked for, without slashes at its ends; `undefined` when none is. */
export function wantedPath(call: Call): Uint8Array | undefined {
  const path64 = queryOf(call, 'path64')
  if (path64 !== undefined) return Buffer.from(path64, 'base64url')
  const path = queryOf(call, 'path')
  return path === undefined ? undefined : fromUtf8(path.replace(/^\/+|\/+$/g, ''))
}

async function* flatten<T>(batches: AsyncIterable<readonly T[]>): AsyncGenerator<T> {
  for await (const batch of batches) yield* batch
}

/** A failure in the middle is the last line: the status is out by then. */
async function* treeLines(
  batches: AsyncIterable<readonly FlistEntry[]>,
  below: Uint8Array | undefined,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const entries of batches) {
      const wanted = below === undefined ? entries : entries.filter(({ path }) => isBelow(path, below))
      const text = wanted.map((entry) => JSON.stringify(treeView(entry)) + '\n').join('')
      if (text !== '') yield fromUtf8(text)
    }
  } catch (error) {
    yield fromUtf8(JSON.stringify(errorLine(error)) + '\n')
  }
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
