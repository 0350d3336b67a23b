/** The pages in a real browser, over a real node. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it, type TestContext } from 'node:test'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'
import { MIB } from '../../src/util/units.ts'
import { launchBrowser, NO_BROWSER, openPage, type WatchedPage } from '../doubles/chromium.ts'
import { TestRegistry } from '../doubles/registry.ts'
import { noise, tarGzOf, type Member } from '../integration/archives.ts'
import { startNode, type NodeProcess } from '../integration/node-process.ts'

const EVIL = '<script>window.pwned=1</script><img src=x onerror="window.pwned=1">'
const EVIL_REPOSITORY = '<svg onload=window.pwned=1>'
const EVIL_FLIST = '"><img src=x onerror=window.pwned=1>.flist'
const MANY = 450
const GZIP = 'application/gzip'

async function archive(): Promise<Buffer> {
  const many = Array.from({ length: MANY }, (_, at): Member => {
    return { name: `many/file-${String(at).padStart(3, '0')}`, content: `${at}` }
  })
  return await tarGzOf([
    { name: '.README.md', content: `# Hello\n${EVIL}\n</pre>${EVIL}` },
    { name: 'etc', type: 'directory' },
    { name: 'etc/<img src=x onerror=window.pwned=1>', content: 'x' },
    { name: 'link', type: 'symlink', linkname: EVIL },
    { name: 'many', type: 'directory' },
    ...many,
  ])
}

async function upload(node: NodeProcess, name: string, repository = 'Administrator'): Promise<void> {
  const form = new FormData()
  form.set(`metadata-${EVIL}`, EVIL)
  form.set('metadata-plain', '{"a": ["<script>window.pwned=1</script>"]}')
  form.set('file', new Blob([new Uint8Array(await archive())]), 'x.tar.gz')
  const headers = {
    Authorization: `bearer ${node.token}`,
    Cookie: `active-user=${repository}`,
    'X-Original-Name': name,
  }
  const response = await fetch(`${node.http}/api/flist/me/upload`, { method: 'POST', headers, body: form })
  assert.equal(response.status, 200, await response.text())
}

describe('the pages in a browser', { skip: NO_BROWSER }, () => {
  let folder = ''
  let browser: Browser
  let open: NodeProcess
  let closed: NodeProcess
  let registry: TestRegistry
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'zhub-pages-'))
    registry = await TestRegistry.start()
    const layers = [await tarGzOf([{ name: 'bin/web', content: 'web' }])]
    registry.push('acme/web:latest', { layers, config: { Cmd: ['/bin/web'] } })
    const registries = { ZHUB_REGISTRIES: `docker.io=${registry.url}+private` }
    const started = [
      startNode(join(folder, 'open'), { ZHUB_AUTH: 'off', ...registries }),
      startNode(join(folder, 'closed')),
    ] as const
    ;[open, closed] = await Promise.all(started)
    browser = await launchBrowser()
    await upload(open, 'debian.tar.gz')
  })
  after(async () => {
    await browser.close()
    await Promise.all([open.stop(), closed.stop(), registry.stop()])
    await rm(folder, { recursive: true, force: true })
  })

  async function visit(
    t: TestContext,
    path: string,
    options: BrowserContextOptions = {},
    node = open,
  ): Promise<WatchedPage> {
    const page = await openPage(t, browser, options)
    await page.goto(node.http + path)
    return page
  }

  const heading = (page: Page) => page.locator('h1').innerText()

  it('lead from the home page to a file in a flist', async (t) => {
    const page = await visit(t, '/')
    await page.getByRole('link', { name: 'Administrator' }).last().click()
    await page.getByRole('link', { name: 'debian.flist' }).click()
    assert.equal(await heading(page), 'debian.flist')
    const text = await page.locator('main').innerText()
    assert.match(text, new RegExp(`${MANY + 2} files, 2 directories, 1 link`))
    assert.ok(text.includes(`${open.http}/Administrator/debian.flist`), 'no URL to copy')
    assert.match(text, /\b[0-9a-f]{32}\b/)
    await page.getByRole('link', { name: 'many/' }).click()
    await page.waitForURL(/path=many/)
    assert.equal(await page.locator('#contents tbody tr').count(), 200)
    await page.getByRole('link', { name: 'Next' }).click()
    await page.waitForURL(/from=200/)
    assert.match(await page.locator('#contents tbody tr').first().innerText(), /file-200/)
    const [download] = await Promise.all([
      page.waitForEvent('download'),
      page.getByRole('link', { name: 'file-201' }).click(),
    ])
    assert.equal(download.suggestedFilename(), 'file-201')
    assert.deepEqual(page.complaints, [])
  })

  it('show names and texts of others, and run none of them', async (t) => {
    // With authentication off everybody is Administrator: a repository of another is made where it is on.
    await upload(closed, EVIL_FLIST.replace('.flist', '.tar.gz'), EVIL_REPOSITORY)
    const page = await visit(t, '/', {}, closed)
    await page.getByRole('link', { name: EVIL_REPOSITORY }).click()
    assert.equal(await heading(page), EVIL_REPOSITORY)
    await page.getByRole('link', { name: EVIL_FLIST }).click()
    assert.equal(await heading(page), EVIL_FLIST)
    const shown = await page.locator('main').innerText()
    assert.ok(shown.includes(`</pre>${EVIL}`), 'the readme is not shown as it is')
    assert.ok(shown.includes(`→ ${EVIL}`), 'the target of the link is not shown as it is')
    await page.getByRole('link', { name: 'etc/' }).click()
    assert.match(await page.locator('#contents tbody').innerText(), /<img src=x/)
    for (const path of [
      '/search',
      `/${encodeURIComponent(EVIL_REPOSITORY)}`,
      '/merge',
      '/token',
      '/nobody',
    ]) {
      const query = path === '/merge' ? 'source' : 'q'
      const suffix =
        path === '/token' ? `/${encodeURIComponent(EVIL)}` : `?${query}=${encodeURIComponent(EVIL)}`
      const response = await page.goto(closed.http + path + suffix)
      const headers = response?.headers() ?? {}
      assert.match(headers['content-security-policy'] ?? '', /^default-src 'none'; .*frame-ancestors 'none'$/)
      assert.equal(headers['x-content-type-options'], 'nosniff')
      assert.equal(headers['referrer-policy'], 'no-referrer')
    }
    assert.deepEqual(page.complaints, [])
  })

  it('are watched: a script of others, and one that the policy stops, would be seen', async (t) => {
    const page = await visit(t, '/')
    await page.evaluate(`
      const script = document.createElement('script')
      script.textContent = 'window.pwned = 1'
      document.body.append(script)
    `)
    await page.evaluate('window.pwned = 1')
    const said = () => page.complaints.length
    while (said() < 2) await page.evaluate('new Promise((resolve) => setTimeout(resolve, 10))')
    assert.deepEqual(page.complaints, ['policy: script-src-elem', 'a script of others ran'])
  })

  it('take an archive in, tell how much of it is through, and show what it became', async (t) => {
    const page = await visit(t, '/upload')
    const buffer = await tarGzOf([{ name: 'noise', content: noise(4 * MIB, 1) }])
    await page.getByLabel('Archive').setInputFiles({ name: 'noise.tar.gz', mimeType: GZIP, buffer })
    await page.evaluate(`
      window.told = []
      const status = document.querySelector('[role=status]')
      new MutationObserver(() => told.push(status.textContent)).observe(status, { childList: true, subtree: true })
    `)
    await page.getByRole('button', { name: 'Upload' }).click()
    await page.locator('.done').waitFor()
    const told = (await page.evaluate('window.told')) as string[]
    assert.equal(told[0], 'Uploading')
    assert.equal(told.at(-1), 'Done')
    assert.ok(
      told.some((text) => /^Upload(?:ing: \d+ %|ed)/.test(text)),
      told.join('; '),
    )
    await page.getByRole('link', { name: 'Administrator/noise.flist' }).click()
    assert.equal(await heading(page), 'noise.flist')
    assert.deepEqual(page.complaints, [])
  })

  it('say in words what is wrong with an upload', async (t) => {
    const page = await visit(t, '/upload')
    const send = async (name: string) => {
      const file = { name, mimeType: GZIP, buffer: Buffer.from('no archive') }
      await page.getByLabel('Archive').setInputFiles(file)
      await page.getByRole('button', { name: 'Upload' }).click()
    }
    await send('bad.tar.gz')
    await page.getByText('the tar archive is cut off').waitFor()
    await send('bad.zip')
    await page.getByText('this file is not allowed').waitFor()
    assert.equal(await page.getByRole('alert').count(), 1)
    assert.deepEqual(page.complaints, [])
  })

  it('take a flist in, and say why one is refused', async (t) => {
    const page = await visit(t, '/upload-flist')
    const bytes = await (await fetch(`${open.http}/Administrator/debian.flist`)).arrayBuffer()
    const send = async (name: string, buffer: Buffer) => {
      await page.getByLabel('Flist').setInputFiles({ name, mimeType: 'application/octet-stream', buffer })
      await page.getByRole('button', { name: 'Upload' }).click()
    }
    await send('bad.flist', Buffer.from('no flist'))
    await page.getByRole('alert').waitFor()
    await send('again.flist', Buffer.from(bytes))
    await page.getByRole('link', { name: 'Administrator/again.flist' }).click()
    assert.equal(await heading(page), 'again.flist')
    assert.deepEqual(page.complaints, [])
  })

  it('merge flists, and say what is missing', async (t) => {
    const page = await visit(t, '/Administrator/debian.md')
    await page.getByRole('link', { name: 'merge it with others' }).click()
    assert.equal(await page.getByLabel('Source').first().inputValue(), 'Administrator/debian.flist')
    await page.getByRole('button', { name: 'Add a source' }).click()
    await page.getByLabel('Source').nth(2).fill('Administrator/absent')
    await page.getByLabel('Name of the new flist').fill('merged')
    await page.getByRole('button', { name: 'Merge' }).click()
    await page.getByText('Administrator/absent.flist does not exists').waitFor()
    assert.equal(await page.getByLabel('Source').count(), 2, 'the sources that were given are not kept')
    await page.getByLabel('Source').nth(1).fill('')
    await page.getByRole('button', { name: 'Merge' }).click()
    await page.getByRole('link', { name: 'Administrator/merged.flist' }).click()
    assert.equal(await heading(page), 'merged.flist')
    assert.deepEqual(page.complaints, [])
  })

  it('follow the conversion of an image to its end, good or bad', async (t) => {
    const page = await visit(t, '/docker-convert')
    const convert = async (image: string) => {
      await page.getByLabel('Image').fill(image)
      await page.getByRole('button', { name: 'Convert' }).click()
    }
    await convert('127.0.0.1:1/nothing')
    await page.getByText('is not one that this hub fetches from').waitFor()
    await convert('nothing')
    await page.getByText('docker image not found').waitFor()
    assert.equal(await page.getByRole('alert').count(), 1)
    await convert('acme/web')
    await page.getByRole('link', { name: 'Administrator/acme-web-latest.flist' }).click()
    assert.match(await page.locator('#contents').innerText(), /\.startup\.toml/)
    assert.deepEqual(page.complaints, [])
  })

  it('ask who wants to publish to sign in, and let those in who did', async (t) => {
    const page = await visit(t, '/upload', {}, closed)
    assert.equal(await heading(page), 'Sign in')
    await page.getByLabel('Token').fill('nonsense')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').waitFor()
    await page.getByLabel('Token').fill(closed.token)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('link', { name: 'Administrator' }).waitFor()
    await page.getByRole('link', { name: 'Upload', exact: true }).click()
    const buffer = await tarGzOf([{ name: 'a', content: 'a' }])
    await page.getByLabel('Archive').setInputFiles({ name: 'mine.tar.gz', mimeType: GZIP, buffer })
    await page.getByRole('button', { name: 'Upload' }).click()
    await page.getByRole('link', { name: 'Administrator/mine.flist' }).waitFor()
    await page.getByRole('link', { name: 'Sign out' }).click()
    assert.equal(await heading(page), 'Signed out')
    await page.getByRole('link', { name: 'Sign in', exact: true }).waitFor()
    await page.goto(`${closed.http}/merge`)
    assert.equal(await heading(page), 'Sign in')
    assert.deepEqual(page.complaints, [])
  })

  it('are found by keyboard, fit a phone, and have a name for every field', async (t) => {
    const page = await visit(t, '/', { viewport: { width: 360, height: 640 }, colorScheme: 'dark' })
    await page.keyboard.press('Tab')
    assert.equal(await page.evaluate('document.activeElement.textContent'), 'Skip to content')
    await page.keyboard.press('Enter')
    assert.equal(await page.evaluate('document.activeElement.id'), 'main')
    const paths = [
      '/',
      '/Administrator',
      '/Administrator/debian.md',
      '/search?q=debian',
      '/upload',
      '/upload-flist',
    ]
    for (const path of [...paths, '/merge', '/docker-convert', '/login-method', '/nobody', '/token/x']) {
      await page.goto(open.http + path)
      assert.equal(await page.locator('h1').count(), 1, path)
      assert.equal(await page.evaluate('document.documentElement.scrollWidth'), 360, `${path} is too wide`)
      const nameless = await page.evaluate(
        `[...document.querySelectorAll('input, progress')].filter((one) => one.labels.length === 0 && !one.ariaLabel).length`,
      )
      assert.equal(nameless, 0, `${path} has a field without a label`)
    }
    assert.deepEqual(page.complaints, [])
  })
})
