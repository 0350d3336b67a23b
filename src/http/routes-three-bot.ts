import { InvalidInputError, NotFoundError, UnavailableError } from '../errors.ts'
import type { ThreeBotLogin } from '../repo/three-bot-login.ts'
import { fromUtf8, toHex } from '../util/bytes.ts'
import { bytesAnswer, compactJson, redirect, withHeaders, type Answer, type FlatHeaders } from './answer.ts'
import { userActor } from './auth-header.ts'
import { LoginStates } from './auth-login-state.ts'
import { queryOf, type Call, type Route } from './call.ts'
import type { Sessions } from './session.ts'
import type { Site } from './site.ts'

type SignedIn = (call: Call, user: string) => Promise<Answer> | Answer

/** Sign-in by ThreeFold Connect, for a session and for a token (hub-api.md §6), and the keys it keeps. */
export function threeBotRoutes(site: Site, threeBot: ThreeBotLogin): Route[] {
  const { sessions, tokens, gatekeeper, options, clock = Date.now } = site
  const states = new LoginStates(options.publicUrl, clock)

  const begin = (callback: string) => () => {
    const { state, cookie } = states.begin(callback)
    return redirect(threeBot.url(state, callback), [...NOT_KEPT, ...cookie])
  }

  const end = (callback: string, signedIn: SignedIn) => async (call: Call) => {
    const error = queryOf(call, 'error')
    if (error !== undefined) return refused(400, `Authentication failed: ${pythonQuote(error)}`)
    try {
      const user = await gatekeeper.attempt(call.request, () =>
        threeBot.signIn(queryOf(call, 'signedAttempt') ?? '', states.of(call.request, callback)),
      )
      return withHeaders(await signedIn(call, user), [...NOT_KEPT, ...states.end()])
    } catch (failure) {
      if (failure instanceof InvalidInputError) return refused(400, failure.message)
      if (!(failure instanceof UnavailableError)) throw failure
      site.log.warn('sign-in failed', {}, failure)
      return refused(503, failure.message)
    }
  }

  const openSession: SignedIn = ({ request }, user) =>
    redirect('/', sessions.open(request, userActor({ sub: user, idp: '3bot' }, user)))

  const makeToken: SignedIn = async (_call, user) => {
    const { token } = await tokens.issue(user)
    return redirect(`/token/${token}`)
  }

  const page = { method: 'GET', access: 'public', answers: 'text/html' } as const
  return [
    { ...page, path: '/login', summary: 'Begins a sign-in by 3Bot', handle: begin(SESSION_CALLBACK) },
    { ...page, path: '/token', summary: 'Begins a sign-in for a token', handle: begin(TOKEN_CALLBACK) },
    {
      ...page,
      path: SESSION_CALLBACK,
      summary: 'Ends a sign-in by 3Bot',
      query: CALLBACK_QUERY,
      handle: end(SESSION_CALLBACK, openSession),
    },
    {
      ...page,
      path: TOKEN_CALLBACK,
      summary: 'Ends a sign-in with a new token',
      query: CALLBACK_QUERY,
      handle: end(TOKEN_CALLBACK, makeToken),
    },
    ...keyRoutes(threeBot, sessions),
  ]
}

const SESSION_CALLBACK = '/callback_threebot'
const TOKEN_CALLBACK = '/callback_token'
const CALLBACK_QUERY = { signedAttempt: 'what the user signed', error: 'why the user did not' }
const NOT_KEPT: FlatHeaders = ['Cache-Control', 'no-store']

/** The keys of those who signed in: seen, and forgotten when a user has a new one. */
function keyRoutes({ keys }: ThreeBotLogin, sessions: Sessions): Route[] {
  const list = async () => {
    const items = await keys.list()
    const views = items.map(({ user, publicKey, pinnedS }) => ({
      user,
      key: toHex(publicKey),
      pinned: pinnedS,
    }))
    return compactJson({ items: views, next: null })
  }
  const forget = async ({ params: { user = '' } }: Call) => {
    if (!(await keys.forget(user))) throw new NotFoundError('no key of that user')
    sessions.closeAllOf(user) // whoever has the old key may sit at one
    return compactJson({ forgotten: user })
  }
  const path = '/api/v1/login-keys'
  return [
    { method: 'GET', path, access: 'admin', summary: 'Keys of users who signed in by 3Bot', handle: list },
    {
      method: 'DELETE',
      path: `${path}/:user`,
      access: 'admin',
      mutates: true,
      summary: "Forgets a user's key: the next sign-in pins the login server's",
      handle: forget,
    },
  ]
}

/** In the words of the original hub, and no more than them. */
function refused(status: number, message: string): Answer {
  const escaped = message.replace(/[&<>"']/g, (one) => `&#${one.charCodeAt(0)};`)
  return bytesAnswer(status, 'text/html; charset=utf-8', fromUtf8(escaped), NOT_KEPT)
}

/** As Python's `urllib.parse.quote`: what is left needs no escaping in HTML. */
function pythonQuote(text: string): string {
  const quoted = encodeURIComponent(text).replaceAll('%2F', '/')
  return quoted.replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`)
}
