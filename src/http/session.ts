/** Web sessions: what a browser that has signed in holds. In memory: a restart signs everybody out. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { HOUR_MS, SECOND_MS } from '../util/units.ts'
import type { FlatHeaders } from './answer.ts'
import { headerOf } from './auth-origin.ts'
import type { Actor } from './call.ts'
import { cookieOf, hostCookie, setCookie } from './cookies.ts'
import type { Clock } from './deps.ts'

/** The header that a page's script repeats its session's `csrf` in; another site can neither read nor send it. */
export const CSRF_HEADER = 'X-CSRF-Token'

const LIFE_MS = 12 * HOUR_MS
/** Beyond that the oldest ends. */
const MAX_SESSIONS = 10_000

export interface WebSession {
  readonly actor: Actor
  /** For the header `X-CSRF-Token` of every mutation. */
  readonly csrf: string
}

interface Kept extends WebSession {
  readonly endsMs: number
  /** Does what proved the actor still hold? A token may have ended or been revoked. */
  readonly holds: () => boolean
}

export class Sessions {
  readonly #isSecure: boolean
  readonly #cookieName: string
  readonly #clock: Clock
  /** By the SHA-256 of the cookie's value: what lies in memory opens nothing. */
  readonly #kept = new Map<string, Kept>()

  constructor(publicUrl: string, clock: Clock) {
    this.#isSecure = publicUrl.startsWith('https:')
    this.#cookieName = sessionCookie(publicUrl)
    this.#clock = clock
  }

  /** Signs a browser in; the session that it had ends. Answers the header that tells the browser. */
  open(request: IncomingMessage, actor: Actor, holds: () => boolean = () => true): FlatHeaders {
    this.close(request)
    const id = randomToken()
    const endsMs = this.#clock() + LIFE_MS
    this.#kept.set(digest(id), { actor, csrf: randomToken(), endsMs, holds })
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= MAX_SESSIONS) break
      this.#kept.delete(oldest)
    }
    return this.#cookie(id, LIFE_MS / SECOND_MS)
  }

  find(request: IncomingMessage): WebSession | undefined {
    const id = this.#idOf(request)
    const session = id === undefined ? undefined : this.#kept.get(id)
    if (id === undefined || session === undefined) return undefined
    if (session.endsMs > this.#clock() && session.holds()) return session
    this.#kept.delete(id)
    return undefined
  }

  /** Ends all sessions of a user; answers how many. */
  closeAllOf(user: string): number {
    const before = this.#kept.size
    for (const [id, { actor }] of this.#kept) if (actor.user.sub === user) this.#kept.delete(id)
    return before - this.#kept.size
  }

  /** Signs a browser out. */
  close(request: IncomingMessage): FlatHeaders {
    const id = this.#idOf(request)
    if (id !== undefined) this.#kept.delete(id)
    return this.#cookie('', 0)
  }

  #idOf(request: IncomingMessage): string | undefined {
    const value = cookieOf(request, this.#cookieName)
    return value === undefined ? undefined : digest(value)
  }

  #cookie(value: string, maxAgeS: number): FlatHeaders {
    return setCookie(this.#cookieName, value, { sameSite: 'Strict', isSecure: this.#isSecure, maxAgeS })
  }
}

/** What the cookie of sessions is called at that URL. */
export function sessionCookie(publicUrl: string): string {
  return hostCookie('zhub-session', publicUrl.startsWith('https:'))
}

/** Did a page of ours send this, for this session? Compared in constant time. */
export function hasCsrfToken(request: IncomingMessage, { csrf }: WebSession): boolean {
  const sent = headerOf(request, CSRF_HEADER.toLowerCase())
  return sent?.length === csrf.length && timingSafeEqual(Buffer.from(sent), Buffer.from(csrf))
}

function randomToken(): string {
  return randomBytes(32).toString('base64url')
}

function digest(id: string): string {
  return createHash('sha256').update(id).digest('base64url')
}
