/** A real browser that looks at real pages: Debian's chromium, driven from outside. */
import { existsSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core'

const PROGRAM = '/usr/bin/chromium'

/** Why there is no browser, for `skip`. */
export const NO_BROWSER: string | false = existsSync(PROGRAM)
  ? false
  : `no ${PROGRAM}: apt-get install chromium`

const PATIENCE_MS = 10_000

export function launchBrowser(): Promise<Browser> {
  // The sandbox of chromium refuses root, who runs the tests in a container; the pages are ours.
  return chromium.launch({ executablePath: PROGRAM, args: ['--no-sandbox', '--disable-gpu'] })
}

export interface WatchedPage extends Page {
  /** Whatever went wrong in it so far: scripts that failed, and what the page's policy had to stop. */
  readonly complaints: string[]
}

/** A page of a browser without history. At its end it must not have complained, and nobody's script have run. */
export async function openPage(
  t: TestContext,
  browser: Browser,
  options: BrowserContextOptions = {},
): Promise<WatchedPage> {
  const context = await browser.newContext(options)
  context.setDefaultTimeout(PATIENCE_MS)
  t.after(() => context.close())
  const complaints: string[] = []
  await context.exposeBinding('complain', (_source, text: string) => void complaints.push(text))
  await context.addInitScript(`
    document.addEventListener('securitypolicyviolation', (event) => complain('policy: ' + event.violatedDirective))
    Object.defineProperty(window, 'pwned', { set: () => complain('a script of others ran') })
  `)
  const page = await context.newPage()
  page.on('pageerror', ({ message }) => complaints.push(message))
  page.on('dialog', (dialog) => {
    complaints.push(`dialog: ${dialog.message()}`)
    dialog.dismiss().catch(() => {})
  })
  return Object.assign(page, { complaints })
}
