/** What every page has around it. */
import { html, type Child, type Html } from './html.ts'

/** What a page may load and do: our style, our script, our own routes; nothing inline, nothing of others. */
export const PAGE_POLICY = [
  "default-src 'none'",
  "style-src 'self'",
  "script-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "form-action 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ')

const PLACES = [
  ['/', 'Repositories'],
  ['/search', 'Search'],
  ['/upload', 'Upload'],
  ['/upload-flist', 'Upload flist'],
  ['/merge', 'Merge'],
  ['/docker-convert', 'Docker'],
] as const

export type Place = (typeof PLACES)[number][0]

export interface PageParts {
  /** Of the window; the site's name follows. */
  readonly title: string
  /** Where in the navigation this is. */
  readonly place?: Place
  readonly body: Child
}

/** The whole document. It is the same for everybody: who is signed in, the script asks and shows. */
export function page({ title, place, body }: PageParts): string {
  const links = PLACES.map(
    ([path, label]) =>
      html`<li><a href="${path}" ${path === place && html` aria-current="page"`}>${label}</a></li>`,
  )
  const document = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title} – zhub</title>
        <link rel="icon" href="data:," />
        <link rel="stylesheet" href="/static/css/hub.css" />
        <script src="/static/js/hub.js" defer></script>
      </head>
      <body>
        <a class="skip" href="#main">Skip to content</a>
        <header class="top">
          <a class="brand" href="/">zhub</a>
          <nav aria-label="Main">
            <ul>
              ${links}
            </ul>
          </nav>
          <p class="visitor" id="visitor"><a href="/login-method">Sign in</a></p>
        </header>
        <main id="main" tabindex="-1">${body}</main>
      </body>
    </html> `
  return document.toString()
}

/** An error, in words. */
export function problemBox(problem: string | undefined): Child {
  return problem !== undefined && html`<p class="problem" role="alert">${problem}</p>`
}

/** A value to be taken along: the script adds a button to it. */
export function copyable(text: string): Html {
  return html`<code class="copyable" data-copy>${text}</code>`
}
