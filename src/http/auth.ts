/** Who asks (hub-api.md §3.1 and §3.2, hub-departures 8, 9 and 18), and what read-only and cross-site requests may not. */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { isRepositoryName } from '../format/name-rule.ts'
import { ADMINISTRATOR } from '../repo/names.ts'
import { RateLimitedError, UnauthorizedError } from '../errors.ts'
import { envelope, styleB } from './answer.ts'
import type { Actor, Route } from './call.ts'
import { clientAddress, type ClientAddress } from './client-address.ts'
import type { Clock, SiteOptions, TokenBook } from './deps.ts'
import { Refusal } from './errors.ts'
import { AddressLimiter, type RateLimit } from './rate-limit.ts'

/** Security.md row 12. A farm is one address, so both leave room for a hundred machines behind one. */
const FAILED_SIGN_INS: RateLimit = { burst: 100, perSecond: 1 }
const MUTATIONS: RateLimit = { burst: 2000, perSecond: 100 }

type AuthOptions = Pick<
  SiteOptions,
  'auth' | 'readonly' | 'guestToken' | 'usersMap' | 'publicUrl' | 'operatorName'
>

/** Credentials that are missing or prove nothing; which style says so depends on the route. */
class SignInFailure extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

/** Decides about a request before its handler runs. Refusals are thrown, in the style of the route. */
export class Gatekeeper {
  readonly #tokens: TokenBook
  readonly #options: AuthOptions
  readonly #addressOf: ClientAddress
  readonly #failures: AddressLimiter
  readonly #mutations: AddressLimiter

  constructor(tokens: TokenBook, options: AuthOptions, trustedProxies: readonly string[], clock: Clock) {
    this.#tokens = tokens
    this.#options = options
    this.#addressOf = clientAddress(trustedProxies)
    this.#failures = new AddressLimiter(FAILED_SIGN_INS, clock)
    this.#mutations = new AddressLimiter(MUTATIONS, clock)
  }

  /** The actor, or `undefined` on public routes. The order of the checks is the contract's. */
  admit(route: Route, request: IncomingMessage, isOperator: boolean): Actor | undefined {
    const refusesWrites = route.access === 'user' || route.writes === true
    if (refusesWrites && this.#options.readonly && !isOperator)
      throw new Refusal(styleB(400, 'readonly mode'))
    if (route.mutates === true && !isOperator) this.#admitMutation(request)
    if (route.access === 'public') return undefined
    const actor = isOperator ? this.#operator(request) : this.#signedIn(route, request)
    if (route.access === 'admin' && !actor.isAdministrator) {
      throw new Refusal(envelope(403, 'this is for the Administrator alone'))
    }
    return actor
  }

  #admitMutation(request: IncomingMessage): void {
    if (isCrossSite(request, this.#options.publicUrl)) {
      throw new Refusal(styleB(403, 'cross-site request refused'))
    }
    const address = this.#address(request)
    const waitS = this.#mutations.waitS(address)
    if (waitS > 0) throw new RateLimitedError('too many changes from this address', waitS)
    this.#mutations.take(address)
  }

  #operator(request: IncomingMessage): Actor {
    const user = { sub: this.#options.operatorName, idp: 'local' as const }
    return { user, repository: administered(request), isAdministrator: true, isOperator: true }
  }

  #signedIn(route: Route, request: IncomingMessage): Actor {
    if (!this.#options.auth) {
      // Nothing else tells a page whose name was made to lead here (DNS rebinding) from one of ours.
      if (!isOwnHost(request, this.#options.publicUrl))
        throw new Refusal(styleB(403, 'cross-site request refused'))
      const user = { sub: ADMINISTRATOR, idp: 'none' as const }
      return { user, repository: administered(request), isAdministrator: true, isOperator: false }
    }
    const address = this.#address(request)
    const waitS = this.#failures.waitS(address)
    if (waitS > 0) throw new RateLimitedError('too many failed sign-ins from this address', waitS)
    try {
      return this.#verified(request)
    } catch (error) {
      if (!(error instanceof SignInFailure)) throw error
      this.#failures.take(address)
      const { status, message } = error
      throw new Refusal(route.access === 'admin' ? envelope(status, message) : styleB(status, message))
    }
  }

  #verified(request: IncomingMessage): Actor {
    const authorization = request.headers.authorization ?? ''
    if (authorization === '') throw new SignInFailure(401, 'no authorization provided')
    const match = /^bearer(?: (.*))?$/i.exec(authorization) // node takes spaces at the end off
    const bearer = match === null ? undefined : (match[1] ?? '')
    if (this.#isGuest(bearer)) return guest()
    if (authorization.includes('.')) return this.#dotted(request, bearer)
    if (bearer === undefined) throw new SignInFailure(400, 'invalid authorization header')
    return this.#tokenActor(request, this.#proven(bearer))
  }

  /** A dot marks a JSON web token; without a bearer the cookie of the login proxy counts. */
  #dotted(request: IncomingMessage, bearer: string | undefined): Actor {
    const token = bearer ?? cookieOf(request, 'caddyoauth')
    if (token === undefined) throw new SignInFailure(401, 'could not authenticate')
    if (this.#isGuest(token)) return guest()
    throw new SignInFailure(403, 'invalid token')
  }

  #isGuest(token: string | undefined): boolean {
    const { guestToken } = this.#options
    if (guestToken === undefined || token === undefined) return false
    return timingSafeEqual(sha256(token), sha256(guestToken))
  }

  #proven(token: string): string {
    try {
      return this.#tokens.verify(token)
    } catch (error) {
      throw error instanceof UnauthorizedError ? new SignInFailure(401, error.message) : error
    }
  }

  #tokenActor(request: IncomingMessage, name: string): Actor {
    const user = { sub: name, idp: 'token' as const }
    if (name === ADMINISTRATOR) {
      return { user, repository: administered(request), isAdministrator: true, isOperator: false }
    }
    const active = activeUser(request)
    const isVirtual = active !== undefined && this.#options.usersMap.get(active) === name
    return { user, repository: isVirtual ? active : name, isAdministrator: false, isOperator: false }
  }

  #address(request: IncomingMessage): string {
    return this.#addressOf(request.socket.remoteAddress ?? '', headerOf(request, 'x-forwarded-for'))
  }
}

function guest(): Actor {
  const user = { sub: 'guest', idp: 'guest' as const }
  return { user, repository: 'guest', isAdministrator: false, isOperator: false }
}

/** The repository an Administrator names, or the Administrator's own. */
function administered(request: IncomingMessage): string {
  const active = activeUser(request)
  if (active === undefined) return ADMINISTRATOR
  if (!isRepositoryName(active)) throw new Refusal(envelope(400, 'invalid name'))
  return active
}

/** The repository that a header or a cookie asks to act as; both are percent-encoded. */
function activeUser(request: IncomingMessage): string | undefined {
  const header = headerOf(request, 'active-user')
  return header === undefined ? cookieOf(request, 'active-user') : decoded(header)
}

function cookieOf(request: IncomingMessage, name: string): string | undefined {
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const at = pair.indexOf('=')
    if (at < 0 || pair.slice(0, at).trim() !== name) continue
    const value = pair.slice(at + 1).trim()
    return value === '' ? undefined : decoded(value.replace(/^"(.*)"$/, '$1'))
  }
  return undefined
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}

function headerOf(request: IncomingMessage, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value.join(',') : value
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

/** A name that leads to this machine alone (with authentication off nobody else is listened to), or the public one. */
function isOwnHost({ headers: { host = '' } }: IncomingMessage, publicUrl: string): boolean {
  const url = `http://${host}`
  if (!URL.canParse(url)) return false
  const name = new URL(url).hostname
  return /^(?:(?:.+\.)?localhost|127(?:\.\d+){3}|\[::1\])$/.test(name) || name === new URL(publicUrl).hostname
}

/** What a browser says about where a request comes from; programs say nothing, and cannot be misled like one. */
function isCrossSite(request: IncomingMessage, publicUrl: string): boolean {
  const site = headerOf(request, 'sec-fetch-site')
  if (site !== undefined) return site === 'cross-site' || site === 'same-site'
  const { origin, host } = request.headers
  if (origin === undefined) return false
  if (!URL.canParse(origin)) return true // `null`: a sandbox or a file
  const from = new URL(origin).host
  return from !== host && from !== new URL(publicUrl).host
}
