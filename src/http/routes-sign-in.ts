import { toUtf8 } from '../util/bytes.ts'
import { KIB } from '../util/units.ts'
import { compactJson, redirect, withHeaders, type Answer } from './answer.ts'
import { SignInFailure, type Credentials } from './auth-header.ts'
import { readAll } from './body.ts'
import type { Call, Handler, Route } from './call.ts'
import { Refusal } from './errors.ts'
import { threeBotRoutes } from './routes-three-bot.ts'
import { signedOutPage, signInPage, tokenPage, type SignInChoice } from './sign-in-pages.ts'
import type { Site } from './site.ts'
import { whoIs } from './who-is.ts'

const MAX_FORM_BYTES = 16 * KIB

const PAGE = { method: 'GET', access: 'public', answers: 'text/html' } as const

/** Browsers signing in and out (hub-api.md §6, hub-departures 8 and 28). With authentication off nobody signs in. */
export function signInRoutes(site: Site): Route[] {
  const { auth } = site.options
  const threeBot = auth ? site.threeBot : undefined
  const choice = { hasThreeBot: threeBot !== undefined, hasSignIn: auth }
  return [
    ...pageRoutes(site, choice),
    sessionRoute(site),
    ...(auth ? [tokenFormRoute(site, choice)] : []),
    ...(threeBot === undefined ? [] : threeBotRoutes(site, threeBot)),
  ]
}

function pageRoutes({ sessions, options }: Site, choice: SignInChoice): Route[] {
  const toChoice = () => redirect('/login-method')
  const showToken = ({ params: { token = '' } }: Call) => tokenPage(token, options.publicUrl)
  return [
    { ...PAGE, path: '/login-method', summary: 'Ways to sign in', handle: () => signInPage(choice) },
    { ...PAGE, path: '/login-iyo', summary: 'Leads to the ways to sign in', handle: toChoice },
    { ...PAGE, path: '/_iyo_callback', summary: 'Leads to the ways to sign in', handle: toChoice },
    { ...PAGE, path: '/token/:token', summary: 'Shows a token, and how to use it', handle: showToken },
    {
      ...PAGE,
      path: '/logout',
      mutates: true,
      summary: 'Signs the browser out',
      handle: ({ request }) => signedOutPage(sessions.close(request)),
    },
  ]
}

function sessionRoute(site: Site): Route {
  return {
    method: 'GET',
    path: '/api/v1/session',
    access: 'public',
    summary: 'Who is signed in at this browser, and what its mutations send as X-CSRF-Token',
    handle: (call) => {
      const { name = null, csrf = null } = whoIs(site, call) ?? {}
      return withHeaders(compactJson({ username: name, csrf }), ['Cache-Control', 'no-store'])
    },
  }
}

/** For browsers where there is no login server: any token that the API takes opens a session. */
function tokenFormRoute({ sessions, credentials, gatekeeper }: Site, choice: SignInChoice): Route {
  const handle: Handler = async ({ request, response }): Promise<Answer> => {
    const form = new URLSearchParams(toUtf8(await readAll(request, response, MAX_FORM_BYTES)))
    const token = form.get('token')?.trim() ?? ''
    try {
      const actor = await gatekeeper.attempt(request, () => credentials.ofBearer(token))
      return redirect(
        '/',
        sessions.open(request, actor, () => isGood(credentials, token)),
      )
    } catch (error) {
      if (!(error instanceof SignInFailure)) throw error
      return signInPage({ ...choice, problem: error.message }, error.status)
    }
  }
  return {
    ...PAGE,
    method: 'POST',
    path: '/login-token',
    mutates: true,
    summary: 'Signs the browser in with a token',
    accepts: {
      type: 'application/x-www-form-urlencoded',
      schema: { type: 'object', required: ['token'], properties: { token: { type: 'string' } } },
    },
    handle,
  }
}

/** A session ends with the token that opened it. */
function isGood(credentials: Credentials, token: string): boolean {
  try {
    credentials.ofBearer(token)
    return true
  } catch (error) {
    if (error instanceof SignInFailure || error instanceof Refusal) return false
    throw error
  }
}
