import type { IncomingMessage } from 'node:http'
import type { FlatHeaders } from './answer.ts'

export interface CookieRules {
  /** `Strict`: never with a request that another site began. `Lax`: with a navigation from there too. */
  readonly sameSite: 'Strict' | 'Lax'
  /** Sent over https only, and no other host of the domain can have set it. */
  readonly isSecure: boolean
  /** Seconds; 0 takes the cookie back. */
  readonly maxAgeS: number
}

/** The value of a request's cookie, percent-decoded; `undefined` when it is missing or empty. */
export function cookieOf(request: IncomingMessage, name: string): string | undefined {
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const at = pair.indexOf('=')
    if (at < 0 || pair.slice(0, at).trim() !== name) continue
    const value = pair.slice(at + 1).trim()
    return value === '' ? undefined : decoded(value.replace(/^"(.*)"$/, '$1'))
  }
  return undefined
}

/** The header that sets a cookie which no script can read. `value` is of characters that need no quoting. */
export function setCookie(
  name: string,
  value: string,
  { sameSite, isSecure, maxAgeS }: CookieRules,
): FlatHeaders {
  const rules = [`Max-Age=${maxAgeS}`, 'Path=/', 'HttpOnly', `SameSite=${sameSite}`]
  if (isSecure) rules.push('Secure')
  return ['Set-Cookie', [`${name}=${value}`, ...rules].join('; ')]
}

/** The name under which browsers hold a cookie to its host (RFC 6265bis, 4.1.3.2), where that is possible. */
export function hostCookie(name: string, isSecure: boolean): string {
  return isSecure ? `__Host-${name}` : name
}

export function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
