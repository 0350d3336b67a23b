import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { describe, it } from 'node:test'
import { regenerate } from '../scripts/docs.ts'
import { cleanEnvironment, startNode } from './integration/node-process.ts'
import { maskVolatile, parseTour, runTour } from './tour.ts'

describe('README.md', () => {
  it('has its generated parts as they are generated', async () => {
    const readme = await readFile('README.md', 'utf8')
    assert.equal(regenerate(readme), readme, 'run npm run docs')
  })

  it('has no place left to fill', async () => {
    assert.doesNotMatch(await readFile('README.md', 'utf8'), /@@|TODO|FIXME/)
  })

  const needs = ['bash', 'curl', 'tar', 'gzip'].filter(
    (tool) => spawnSync(tool, ['--version']).error !== undefined,
  )
  const skip = needs.length > 0 && `needs ${needs.join(', ')}`
  it('has a tour whose commands print what it says', { skip }, async () => {
    const steps = parseTour(await readFile('README.md', 'utf8'))
    assert.ok(steps.length >= 15, `only ${steps.length} commands found`)
    const home = await mkdtemp(join(tmpdir(), 'zhub-tour-'))
    const data = join(home, '.local', 'share', 'zhub')
    await mkdir(data, { recursive: true })
    const node = await startNode(data)
    try {
      const place = (text: string) =>
        text
          .replaceAll('127.0.0.1:5555', node.http.replace('http://', ''))
          .replaceAll('127.0.0.1/9900', node.resp.replace(':', '/'))
      const env = cleanEnvironment({ HOME: home, TMPDIR: home })
      const results = await runTour(
        steps.map(({ command }) => place(command)),
        { cwd: resolve('.'), env },
      )
      for (const [at, { command, output }] of steps.entries()) {
        const result = results[at]
        if (process.env['ZHUB_TEST_PRINT_TOUR'] !== undefined)
          console.log(`$ ${command}\n${result?.output ?? ''}`)
        else assert.equal(maskVolatile(result?.output ?? ''), maskVolatile(output), `$ ${command}`)
      }
    } finally {
      await node.stop()
      await rm(home, { recursive: true, force: true })
    }
  })
})
