/** Where a request comes from, as far as it tells. */
import type { IncomingMessage } from 'node:http'

export function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value.join(',') : value
}

/** A name that leads to this machine alone (with authentication off nobody else is listened to), or the public one. */
export function isOwnHost({ headers: { host = '' } }: IncomingMessage, publicUrl: string): boolean {
  const url = `http://${host}`
  if (!URL.canParse(url)) return false
  const name = new URL(url).hostname
  return /^(?:(?:.+\.)?localhost|127(?:\.\d+){3}|\[::1\])$/.test(name) || name === new URL(publicUrl).hostname
}

/** What a browser says about where a request comes from; programs say nothing, and cannot be misled like one. */
export function isCrossSite(request: IncomingMessage, publicUrl: string): boolean {
  const site = headerOf(request, 'sec-fetch-site')
  if (site !== undefined) return site === 'cross-site' || site === 'same-site'
  const { origin, host } = request.headers
  if (origin === undefined) return false
  if (!URL.canParse(origin)) return true // `null`: a sandbox or a file
  const from = new URL(origin).host
  return from !== host && from !== new URL(publicUrl).host
}
