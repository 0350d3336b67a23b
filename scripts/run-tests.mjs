// Runs every compiled test with Node's own runner; its closing lines are the result. Arguments narrow the files by name.
import { spawnSync } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
process.chdir(root)

const wanted = process.argv.slice(2)
const files = readdirSync('dist/test', { recursive: true })
  .map((name) => join('dist/test', name.toString()))
  .filter((name) => name.endsWith('.test.js'))
  .filter((name) => existsSync(name.replace(/^dist\//, '').replace(/\.js$/, '.ts'))) // not what a deleted source left
  .filter((name) => wanted.length === 0 || wanted.some((part) => name.includes(part)))
  .sort()

if (files.length === 0) {
  console.error(`zhub: no test file matches ${wanted.join(' ')}`)
  process.exit(2)
}
const { status } = spawnSync(
  process.execPath,
  ['--test', '--test-concurrency=2', '--test-timeout=900000', ...files],
  { stdio: 'inherit' },
)
process.exit(status ?? 1)
