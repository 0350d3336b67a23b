/** What the Authorization header proves (hub-api.md §3.1 to §3.3, hub-departures 7, 8 and 9). */
import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { MalformedError, UnauthorizedError } from '../errors.ts'
import { isRepositoryName } from '../format/name-rule.ts'
import { ADMINISTRATOR } from '../repo/names.ts'
import type { User } from '../repo/entry.ts'
import { envelope } from './answer.ts'
import { headerOf } from './auth-origin.ts'
import type { Actor } from './call.ts'
import { cookieOf, decoded } from './cookies.ts'
import type { JwtBook, SiteOptions, TokenBook } from './deps.ts'
import { Refusal } from './errors.ts'

/** Credentials that are missing or prove nothing; which style says so depends on the route. */
export class SignInFailure extends Error {
  readonly status: number

  constructor(status: number, message: string) {
    super(message)
    this.status = status
  }
}

type Options = Pick<SiteOptions, 'guestToken' | 'usersMap'>

/** Tells who holds a token. */
export class Credentials {
  readonly #tokens: TokenBook
  readonly #jwts: JwtBook
  readonly #options: Options

  constructor(tokens: TokenBook, jwts: JwtBook, options: Options) {
    this.#tokens = tokens
    this.#jwts = jwts
    this.#options = options
  }

  /** Who the header proves. @throws {SignInFailure}; {Refusal} of a name that cannot be a repository's. */
  ofHeader(request: IncomingMessage): Actor {
    const authorization = request.headers.authorization ?? ''
    if (authorization === '') throw new SignInFailure(401, 'no authorization provided')
    const match = /^bearer(?: (.*))?$/i.exec(authorization) // node takes spaces at the end off
    const bearer = match === null ? undefined : (match[1] ?? '')
    const active = activeUser(request)
    if (bearer !== undefined && this.#isGuest(bearer)) return guest()
    // A dot marks a JSON web token; without a bearer the cookie of the login proxy counts.
    if (authorization.includes('.')) return this.#ofDotted(bearer ?? cookieOf(request, 'caddyoauth'), active)
    if (bearer === undefined) throw new SignInFailure(400, 'invalid authorization header')
    return this.#ofToken(bearer, active)
  }

  /** Who a token proves that came some other way than in the header. @throws as `ofHeader`. */
  ofBearer(token: string): Actor {
    if (this.#isGuest(token)) return guest()
    return token.includes('.') ? this.#ofDotted(token, undefined) : this.#ofToken(token, undefined)
  }

  #isGuest(token: string): boolean {
    const { guestToken } = this.#options
    return guestToken !== undefined && timingSafeEqual(sha256(token), sha256(guestToken))
  }

  #ofDotted(token: string | undefined, active: string | undefined): Actor {
    if (token === undefined) throw new SignInFailure(401, 'could not authenticate')
    if (this.#isGuest(token)) return guest()
    const { username, accounts } = this.#proven(403, () => this.#jwts.verify(token))
    if (username === ADMINISTRATOR) throw new SignInFailure(403, 'invalid token')
    const isAccount = active !== undefined && active !== ADMINISTRATOR && accounts.includes(active)
    return userActor({ sub: username, idp: 'jwt' }, isAccount ? active : username)
  }

  #ofToken(token: string, active: string | undefined): Actor {
    const name = this.#proven(401, () => this.#tokens.verify(token))
    if (name === ADMINISTRATOR) return administrator({ sub: name, idp: 'token' }, active)
    const isVirtual = active !== undefined && this.#options.usersMap.get(active) === name
    return userActor({ sub: name, idp: 'token' }, isVirtual ? active : name)
  }

  #proven<T>(status: number, verify: () => T): T {
    try {
      return verify()
    } catch (error) {
      if (error instanceof UnauthorizedError) throw new SignInFailure(status, error.message)
      // Signed with our seed, and no token all the same: whoever holds the seed made a mistake (departure 21).
      if (error instanceof MalformedError) throw new Refusal(envelope(500))
      throw error
    }
  }
}

/** Acts on the repository that the request names, or on its own. @throws {Refusal} */
export function administrator(user: User, active: string | undefined, isOperator = false): Actor {
  return { user, repository: checkedName(active ?? ADMINISTRATOR), isAdministrator: true, isOperator }
}

/** Somebody signed in, on one repository. @throws {Refusal} when a repository could have neither name. */
export function userActor(user: User, repository: string): Actor {
  checkedName(user.sub) // also when it acts as another: operations carry it
  return { user, repository: checkedName(repository), isAdministrator: false, isOperator: false }
}

function guest(): Actor {
  return userActor({ sub: 'guest', idp: 'guest' }, 'guest')
}

function checkedName(repository: string): string {
  if (!isRepositoryName(repository)) throw new Refusal(envelope(400, 'invalid name'))
  return repository
}

/** The repository that a header or a cookie asks to act as; both are percent-encoded. */
export function activeUser(request: IncomingMessage): string | undefined {
  return activeUserOfHeader(request) ?? cookieOf(request, 'active-user')
}

/** Our own header alone: with authentication off the original passes over the cookie. */
export function activeUserOfHeader(request: IncomingMessage): string | undefined {
  const header = headerOf(request, 'active-user')
  return header === undefined ? undefined : decoded(header)
}

function sha256(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
