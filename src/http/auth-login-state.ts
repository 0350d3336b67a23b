/** What binds a login to the browser that began it: a random state, in the browser's cookie under our seal. */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { PendingState } from '../repo/three-bot-login.ts'
import { MINUTE_MS, SECOND_MS } from '../util/units.ts'
import type { FlatHeaders } from './answer.ts'
import { cookieOf, hostCookie, setCookie } from './cookies.ts'
import type { Clock } from './deps.ts'

/** How long a login may take. */
const LIFE_MS = 10 * MINUTE_MS
const STATE_CHARACTERS = 32
/** States that were used, kept until they end; each was signed by a user, so nobody fills this without one. */
const MAX_USED = 100_000

export interface BegunLogin {
  /** 32 letters and digits. */
  readonly state: string
  /** Goes with the redirect. */
  readonly cookie: FlatHeaders
}

/** Keeps nothing for a login that is begun: a flood of them costs no memory. */
export class LoginStates {
  readonly #isSecure: boolean
  readonly #clock: Clock
  /** Of this process: a restart ends what was begun. */
  readonly #key = randomBytes(32)
  /** State to its end, oldest first. */
  readonly #used = new Map<string, number>()

  constructor(publicUrl: string, clock: Clock) {
    this.#isSecure = publicUrl.startsWith('https:')
    this.#clock = clock
  }

  /** `callback`: the path where this login has to end. */
  begin(callback: string): BegunLogin {
    const state = randomState()
    const endsMs = this.#clock() + LIFE_MS
    const value = `${state}.${endsMs}.${this.#seal(state, endsMs, callback)}`
    return { state, cookie: this.#cookie(value, LIFE_MS / SECOND_MS) }
  }

  /** The login that this browser began for that callback. */
  of(request: IncomingMessage, callback: string): PendingState {
    const [state = '', end = '', seal = ''] = (cookieOf(request, this.#cookieName) ?? '').split('.')
    const endsMs = Number(end)
    const isOurs = isEqual(seal, this.#seal(state, endsMs, callback)) && endsMs > this.#clock()
    const isOpen = (given: string) => isOurs && isEqual(given, state) && !this.#used.has(state)
    return { isOpen, use: (given) => isOpen(given) && this.#use(state, endsMs) }
  }

  /** Takes the cookie back. */
  end(): FlatHeaders {
    return this.#cookie('', 0)
  }

  #use(state: string, endsMs: number): boolean {
    const nowMs = this.#clock()
    for (const [oldest, end] of this.#used) {
      if (end > nowMs && this.#used.size < MAX_USED) break
      this.#used.delete(oldest)
    }
    this.#used.set(state, endsMs)
    return true
  }

  #seal(state: string, endsMs: number, callback: string): string {
    return createHmac('sha256', this.#key).update(`${state}.${endsMs}.${callback}`).digest('base64url')
  }

  /** Lax: the way back from the login server is a navigation that another site began. */
  #cookie(value: string, maxAgeS: number): FlatHeaders {
    return setCookie(this.#cookieName, value, { sameSite: 'Lax', isSecure: this.#isSecure, maxAgeS })
  }

  get #cookieName(): string {
    return hostCookie('zhub-login', this.#isSecure)
  }
}

function randomState(): string {
  let state = ''
  while (state.length < STATE_CHARACTERS) state += randomBytes(32).toString('base64').replace(/[+/=]/g, '')
  return state.slice(0, STATE_CHARACTERS)
}

/** In constant time. */
function isEqual(given: string, wanted: string): boolean {
  const [a, b] = [Buffer.from(given), Buffer.from(wanted)]
  return a.length === b.length && timingSafeEqual(a, b)
}
