/** Who may do what (hub-api.md §3.1 and §3.4, hub-departures 18): read-only, other sites, sign-in, how often. */
import type { IncomingMessage } from 'node:http'
import { ADMINISTRATOR } from '../repo/names.ts'
import { RateLimitedError, UnavailableError } from '../errors.ts'
import { envelope, redirect, styleB } from './answer.ts'
import {
  activeUser,
  activeUserOfHeader,
  administrator,
  SignInFailure,
  type Credentials,
} from './auth-header.ts'
import { headerOf, isCrossSite, isOwnHost } from './auth-origin.ts'
import type { Actor, Route } from './call.ts'
import { clientAddress, type ClientAddress } from './client-address.ts'
import type { Clock, SiteOptions } from './deps.ts'
import { Refusal } from './errors.ts'
import { AddressLimiter, type RateLimit } from './rate-limit.ts'
import { CSRF_HEADER, hasCsrfToken, type Sessions } from './session.ts'

/** Security.md row 12. A farm is one address, so both leave room for a hundred machines behind one. */
const FAILED_SIGN_INS: RateLimit = { burst: 100, perSecond: 1 }
const MUTATIONS: RateLimit = { burst: 2000, perSecond: 100 }

type AuthOptions = Pick<SiteOptions, 'auth' | 'readonly' | 'publicUrl' | 'operatorName'>

export interface GatekeeperDeps {
  readonly credentials: Credentials
  readonly sessions: Sessions
  readonly clock: Clock
  /** @throws {ForbiddenError} where nothing may be written, whoever asks. */
  readonly requireStanding?: (() => void) | undefined
}

/** Decides about a request before its handler runs. Refusals are thrown, in the style of the route. */
export class Gatekeeper {
  readonly #credentials: Credentials
  readonly #sessions: Sessions
  readonly #options: AuthOptions
  readonly #addressOf: ClientAddress
  readonly #requireStanding: () => void
  readonly #failures: AddressLimiter
  readonly #mutations: AddressLimiter

  constructor(
    { credentials, sessions, clock, requireStanding }: GatekeeperDeps,
    options: AuthOptions,
    trustedProxies: readonly string[],
  ) {
    this.#credentials = credentials
    this.#sessions = sessions
    this.#options = options
    this.#requireStanding = requireStanding ?? (() => {})
    this.#addressOf = clientAddress(trustedProxies)
    this.#failures = new AddressLimiter(FAILED_SIGN_INS, clock)
    this.#mutations = new AddressLimiter(MUTATIONS, clock)
  }

  /** The actor, or `undefined` on public routes. The order of the checks is the contract's. */
  admit(route: Route, request: IncomingMessage, isOperator: boolean): Actor | undefined {
    if (this.#options.readonly && !isOperator) refuseWrites(route)
    if (route.mutates === true && !isOperator) this.#admitMutation(request)
    if (route.access === 'public') return undefined
    if (route.access === 'told' && !isOperator && this.#isNobody(request)) return undefined
    const actor = isOperator ? this.#operator(request) : this.#signedIn(route, request)
    if (route.access === 'admin' && !actor.isAdministrator) {
      throw new Refusal(envelope(403, 'this is for the Administrator alone'))
    }
    this.#checkStanding(route)
    return actor
  }

  /**
   * What `signIn` answers; its failures count against the address, which is refused once there are too many.
   * @throws {RateLimitedError}; what `signIn` throws.
   */
  async attempt<T>(request: IncomingMessage, signIn: () => T | Promise<T>): Promise<T> {
    const address = this.#admitSignIn(request)
    try {
      return await signIn()
    } catch (error) {
      if (!(error instanceof UnavailableError)) this.#failures.take(address) // a server that is down proves nothing
      throw error
    }
  }

  /** Before the body: an upload is not received for nothing. */
  #checkStanding(route: Route): void {
    if (route.mutates === true && isWrite(route)) this.#requireStanding()
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

  /** Where everybody is the Administrator, nobody is nobody. */
  #isNobody({ headers: { authorization = '' } }: IncomingMessage): boolean {
    return this.#options.auth && authorization === ''
  }

  #operator(request: IncomingMessage): Actor {
    return administrator({ sub: this.#options.operatorName, idp: 'local' }, activeUser(request), true)
  }

  #signedIn(route: Route, request: IncomingMessage): Actor {
    if (!this.#options.auth) {
      // Nothing else tells a page whose name was made to lead here (DNS rebinding) from one of ours.
      if (!isOwnHost(request, this.#options.publicUrl))
        throw new Refusal(styleB(403, 'cross-site request refused'))
      return administrator({ sub: ADMINISTRATOR, idp: 'none' }, activeUserOfHeader(request))
    }
    const hasHeader = (request.headers.authorization ?? '') !== ''
    return route.access === 'session' && !hasHeader
      ? this.#visitor(route, request)
      : this.#bearer(route, request)
  }

  #bearer(route: Route, request: IncomingMessage): Actor {
    const address = this.#admitSignIn(request)
    try {
      return this.#credentials.ofHeader(request)
    } catch (error) {
      if (!(error instanceof SignInFailure)) throw error
      this.#failures.take(address)
      const { status, message } = error
      throw new Refusal(
        /^(?:admin|told)$/.test(route.access) ? envelope(status, message) : styleB(status, message),
      )
    }
  }

  /** Who signed in at this browser. Its cookie alone changes nothing: browsers send it unasked. */
  #visitor(route: Route, request: IncomingMessage): Actor {
    const session = this.#sessions.find(request)
    if (session === undefined) throw new Refusal(redirect('/login-method'))
    if (route.mutates === true && !hasCsrfToken(request, session))
      throw new Refusal(styleB(403, `missing or wrong ${CSRF_HEADER}`))
    return session.actor
  }

  /** The address that tries. */
  #admitSignIn(request: IncomingMessage): string {
    const address = this.#address(request)
    const waitS = this.#failures.waitS(address)
    if (waitS > 0) throw new RateLimitedError('too many failed sign-ins from this address', waitS)
    return address
  }

  #address(request: IncomingMessage): string {
    return this.#addressOf(request.socket.remoteAddress ?? '', headerOf(request, 'x-forwarded-for'))
  }
}

/** Is it there for operations of this node's, or for chunks? */
function isWrite({ access, writes }: Route): boolean {
  return access === 'session' || access === 'user' || writes === true
}

/** What a read-only node has for a route that writes: a page for people, an error for programs. */
function refuseWrites(route: Route): void {
  if (!isWrite(route)) return
  throw new Refusal(route.access === 'session' ? redirect('/readonly') : styleB(400, 'readonly mode'))
}
