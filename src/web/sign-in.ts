/** The pages around signing in, and what is said to those who may not go on. */
import { html } from './html.ts'
import { copyable, page, problemBox } from './page.ts'

export interface SignInChoice {
  /** Is there a login server? */
  readonly hasThreeBot: boolean
  /** False: nobody signs in here, everybody is the Administrator. */
  readonly hasSignIn?: boolean
  /** Why the last try failed. */
  readonly problem?: string | undefined
}

export function signInPage({ hasThreeBot, hasSignIn = true, problem }: SignInChoice): string {
  const threeBot =
    hasThreeBot &&
    html`<section>
      <h2>ThreeFold Connect</h2>
      <p><a class="button" href="/login">Sign in with ThreeFold Connect</a></p>
      <p><a href="/token">Get a token for the API</a>, for scripts and for <code>zflist</code>.</p>
    </section>`
  const token = html`<section>
    <h2>Token</h2>
    <form method="post" action="/login-token">
      <p>
        <label for="token">Token</label>
        <input id="token" name="token" type="password" required autocomplete="off" />
      </p>
      <p><button>Sign in</button></p>
    </form>
    <p>Whoever runs this hub makes tokens with <code>zhub token create NAME</code>.</p>
  </section>`
  return page({
    title: 'Sign in',
    body: html`<h1>Sign in</h1>
      ${problemBox(problem)}
      ${hasSignIn ? [threeBot, token] : html`<p>Sign-in is off on this hub: whoever reaches it is its Administrator.</p>`}`,
  })
}

export function tokenPage(token: string, publicUrl: string): string {
  const example = `curl -H "Authorization: bearer ${token}" ${publicUrl}/api/flist/me`
  return page({
    title: 'API token',
    body: html`<h1>API token</h1>
      <p class="lead">Who has it may publish in your name. Keep it like a password.</p>
      <p>${copyable(token)}</p>
      <h2>Use it</h2>
      <pre data-copy>${example}</pre>`,
  })
}

export function signedOutPage(): string {
  return page({
    title: 'Signed out',
    body: html`<h1>Signed out</h1>
      <p>You are signed out. <a href="/login-method">Sign in again</a></p>`,
  })
}

export function readonlyPage(): string {
  return page({
    title: 'Read-only',
    body: html`<h1>This hub is read-only</h1>
      <p>
        Everything published can be read and mounted as ever; nothing can be published or changed for now.
      </p>
      <p><a href="/">To the repositories</a></p>`,
  })
}

const TITLES: Readonly<Record<number, string>> = {
  400: 'That was not understood',
  401: 'Please sign in',
  403: 'Not allowed',
  404: 'Not found',
  405: 'Not possible here',
  413: 'Too large',
  429: 'Too fast',
  500: 'Something went wrong here',
  503: 'Not available now',
  507: 'This hub is full',
}

/** `message` is the sentence of the error. */
export function errorPage(status: number, message: string): string {
  const title = TITLES[status] ?? `Error ${status}`
  return page({
    title,
    body: html`<h1>${title}</h1>
      <p class="problem" role="alert">${message}</p>
      <p><a href="/">To the repositories</a> or <a href="/search">search</a></p>`,
  })
}
