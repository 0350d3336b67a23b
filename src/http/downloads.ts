/** Conditional and partial answers for bytes at hand (RFC 9110), as Werkzeug's `send_file` gives them. */
import type { IncomingHttpHeaders } from 'node:http'
import { bytesAnswer, emptyAnswer, envelope, withHeaders, type Answer } from './answer.ts'

export interface Download {
  readonly filename: string
  readonly bytes: Buffer
  readonly md5: string
  /** Unix seconds. */
  readonly updatedS: number
}

/** 200, 206, 304 or 416, by the request's conditions. */
export function downloadAnswer(download: Download, request: IncomingHttpHeaders): Answer {
  const etag = `"${download.md5}"`
  const modified = new Date(download.updatedS * 1000).toUTCString()
  const about = [
    ...['Content-Disposition', contentDisposition(download.filename)],
    ...['Last-Modified', modified, 'Cache-Control', 'no-cache', 'ETag', etag],
  ]
  if (isUnchanged(request, etag, download.updatedS)) return emptyAnswer(304, about)
  const { bytes } = download
  const type = 'application/octet-stream'
  const headers = [...about, 'Accept-Ranges', 'bytes']
  if (request.range === undefined || !mayRange(request, etag, modified)) {
    return bytesAnswer(200, type, bytes, headers)
  }
  const range = parseRange(request.range, bytes.length)
  if (range === undefined) return withHeaders(envelope(416), ['Content-Range', `bytes */${bytes.length}`])
  const [from, to] = range
  const part = ['Content-Range', `bytes ${from}-${to}/${bytes.length}`]
  return bytesAnswer(206, type, bytes.subarray(from, to + 1), [...headers, ...part])
}

/** True when the request asks for anything but the whole: its answer is nobody else's. */
export function isConditional(request: IncomingHttpHeaders): boolean {
  return (
    request.range !== undefined ||
    request['if-none-match'] !== undefined ||
    request['if-modified-since'] !== undefined
  )
}

/** If-None-Match decides alone where it stands. */
function isUnchanged(request: IncomingHttpHeaders, etag: string, updatedS: number): boolean {
  const tags = request['if-none-match']
  if (tags !== undefined) {
    return tags.trim() === '*' || tags.split(',').some((tag) => tag.trim().replace(/^W\//, '') === etag)
  }
  const since = request['if-modified-since']
  return since !== undefined && Date.parse(since) >= updatedS * 1000
}

/** A range counts only for the version that If-Range names. */
function mayRange(request: IncomingHttpHeaders, etag: string, modified: string): boolean {
  const condition = request['if-range']
  return condition === undefined || condition === etag || condition === modified
}

/** First and last byte of the one range asked for; `undefined` when it cannot be served. */
function parseRange(text: string, length: number): readonly [from: number, to: number] | undefined {
  const match = /^bytes\s*=\s*(\d*)\s*-\s*(\d*)\s*$/i.exec(text)
  const [, first = '', last = ''] = match ?? []
  if (first === '' && last === '') return undefined
  const from = first === '' ? Math.max(0, length - Number(last)) : Number(first)
  const to = first === '' || last === '' ? length - 1 : Math.min(Number(last), length - 1)
  return from <= to && from < length ? [from, to] : undefined
}

/** Werkzeug's spelling: a token as it is, anything else quoted, what is no ASCII by RFC 5987 too. */
export function contentDisposition(filename: string): string {
  const ascii = filename.normalize('NFKD').replace(/[^\0-\x7f]/g, '')
  const isToken = /^[\w!#$%&'*+.^`|~-]+$/.test(ascii)
  const simple = isToken ? ascii : `"${ascii.replace(/["\\]/g, '\\$&')}"`
  const extended =
    ascii === filename
      ? ''
      : `; filename*=UTF-8''${encodeURIComponent(filename).replace(/[!'()*]/g, percentEncode)}`
  return `inline; filename=${simple}${extended}`
}

function percentEncode(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase()}`
}
