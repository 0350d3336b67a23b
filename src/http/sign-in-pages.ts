/** What people see while they sign in: plain HTML, nothing in it that runs. */
import { fromUtf8 } from '../util/bytes.ts'
import { bytesAnswer, type Answer, type FlatHeaders } from './answer.ts'

/** The page is one person's, tells no other site where it was, and loads nothing. */
const PRIVATE: FlatHeaders = [
  ...['Cache-Control', 'no-store'],
  ...['Referrer-Policy', 'no-referrer'],
  ...[
    'Content-Security-Policy',
    "default-src 'none'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
  ],
]

export interface SignInChoice {
  /** Is there a login server? */
  readonly hasThreeBot: boolean
  /** Why the last try failed. */
  readonly problem?: string
}

export function signInPage({ hasThreeBot, problem }: SignInChoice, status = 200): Answer {
  const threeBot = hasThreeBot
    ? '<p><a href="/login">Sign in with ThreeFold Connect</a></p><p><a href="/token">Get an API token</a></p>'
    : ''
  const alert = problem === undefined ? '' : `<p role="alert">${escapeHtml(problem)}</p>`
  const form =
    '<form method="post" action="/login-token"><label>Token <input type="password" name="token" required ' +
    'autocomplete="off"></label> <button>Sign in</button></form>'
  return page(status, 'Sign in', alert + threeBot + form)
}

export function tokenPage(token: string, publicUrl: string): Answer {
  const shown = escapeHtml(token)
  const example = `curl -H "Authorization: bearer ${shown}" ${escapeHtml(publicUrl)}/api/flist/me`
  return page(200, 'API Token', `<p><code>${shown}</code></p><p>Use it like this:</p><pre>${example}</pre>`)
}

export function signedOutPage(headers: FlatHeaders): Answer {
  const links = '<p>You are signed out.</p><p><a href="/">Home</a> <a href="/login-method">Sign in</a></p>'
  return page(200, 'Signed out', links, headers)
}

/** A refusal in the words of the original hub. */
export function refusedSignIn(status: number, message: string): Answer {
  return bytesAnswer(status, 'text/html; charset=utf-8', fromUtf8(escapeHtml(message)), PRIVATE)
}

function page(status: number, title: string, body: string, headers: FlatHeaders = []): Answer {
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${title}</title>`
  const html = `<!doctype html><html lang="en"><head>${head}</head><body><h1>${title}</h1>${body}</body></html>\n`
  return bytesAnswer(status, 'text/html; charset=utf-8', fromUtf8(html), [...PRIVATE, ...headers])
}

function escapeHtml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`)
}
