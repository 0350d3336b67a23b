/** The rendezvous program as its operator runs it. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { temporaryFolder } from '../store/open-store.ts'

const MAIN = fileURLToPath(new URL('../../bootstrap/main.js', import.meta.url))
const LISTEN = ['--listen', '/ip4/127.0.0.1/tcp/0']

async function run(args: readonly string[], firstLine: boolean) {
  const child = spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  let errors = ''
  child.stderr.on('data', (data: Buffer) => (errors += data.toString()))
  const exit = once(child, 'exit') as Promise<[code: number | null]>
  child.stdout.on('data', (data: Buffer) => (output += data.toString()))
  if (firstLine) await Promise.race([once(child.stdout, 'data'), exit])
  return { child, exit, output: () => output, errors: () => errors }
}

describe('the rendezvous program', () => {
  it('has one address for ever, keeps its key and nothing else, and ends when it is told to', async (context) => {
    const folder = join(await temporaryFolder(context), 'data')
    const first = await run([...LISTEN, '--data', folder, '--json'], true)
    const { addresses } = JSON.parse(first.output()) as { addresses: string[] }
    const id = /^\/ip4\/127\.0\.0\.1\/tcp\/\d+\/p2p\/(12D3KooW\w+)$/.exec(addresses[0] ?? '')?.[1]
    assert.ok(id, first.output())
    first.child.kill('SIGTERM')
    assert.deepEqual((await first.exit)[0], 0)
    const second = await run([...LISTEN, '--data', folder], true)
    assert.match(second.output(), new RegExp(`/p2p/${id}\n$`))
    second.child.kill('SIGINT')
    assert.deepEqual((await second.exit)[0], 0)
    assert.deepEqual(await readdir(folder), ['identity.key'])
    assert.equal((await stat(join(folder, 'identity.key'))).mode & 0o777, 0o600)
  })

  it('refuses what it cannot use, and says so', async (context) => {
    const folder = await temporaryFolder(context)
    const usage = await run(['--nonsense'], false)
    assert.equal((await usage.exit)[0], 2)
    assert.match(usage.errors(), /^zhub-bootstrap: .*--nonsense/)
    await writeFile(join(folder, 'identity.key'), 'not a key')
    const damaged = await run([...LISTEN, '--data', folder], false)
    assert.equal((await damaged.exit)[0], 1)
    assert.match(damaged.errors(), /no identity key: put a copy back/)
    assert.equal(await readFile(join(folder, 'identity.key'), 'utf8'), 'not a key')
  })
})
