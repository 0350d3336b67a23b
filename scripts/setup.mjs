// What `npm start` and `npm test` do first: install what the lock file says and build what is not built yet.
// Plain JavaScript without imports from elsewhere: it runs on a fresh clone.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
process.chdir(root)

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`zhub: needs Node 20.19 or newer, this is ${process.versions.node}`)
  process.exit(1)
}

const INSTALLED = 'node_modules/.zhub-installed'
const BUILT = 'dist/.zhub-built'
const started = Date.now()

step(
  'installing packages (about half a minute)',
  INSTALLED,
  digestOf(['package.json', 'package-lock.json']),
  () => {
    run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'])
  },
)
step(
  'building',
  BUILT,
  digestOf([
    ...sources('src'),
    ...sources('bootstrap'),
    ...sources('test'),
    ...sources('scripts'),
    'tsconfig.json',
    'package-lock.json',
  ]),
  () => {
    run(process.execPath, ['scripts/build.mjs'])
  },
)

/** Runs `work` unless `marker` says it was done for the same input; on stderr, so that stdout stays the program's. */
function step(what, marker, digest, work) {
  if (existsSync(marker) && readFileSync(marker, 'utf8') === digest) return
  console.error(`zhub: ${what} …`)
  work()
  writeFileSync(marker, digest)
  console.error(`zhub: done after ${((Date.now() - started) / 1000).toFixed(0)} s`)
}

function run(command, args) {
  const { status, error } = spawnSync(command, args, {
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  })
  if (status !== 0) {
    console.error(`zhub: ${command} ${args.join(' ')} failed${error ? `: ${error.message}` : ''}`)
    process.exit(status ?? 1)
  }
}

function sources(folder) {
  return readdirSync(folder, { recursive: true })
    .map((name) => join(folder, name.toString()))
    .filter((name) => /\.(ts|mjs|json)$/.test(name) && statSync(name).isFile())
    .sort()
}

function digestOf(files) {
  const hash = createHash('sha256').update(process.version)
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(file))
  return hash.digest('hex')
}
