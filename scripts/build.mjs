// Compiles the WebAssembly codec and the TypeScript into dist/, beside what the pages load. Plain JavaScript: it runs before anything is built.
import { spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
process.chdir(root)

const WASM_SOURCE = 'src/format/wasm/chunk-codec.ts'
const WASM = 'dist/src/format/chunk-codec.wasm'
/** The lock file names the compiler's version. */
const WASM_INPUTS = [WASM_SOURCE, 'scripts/build.mjs', 'package-lock.json']

function run(script, args) {
  const { status } = spawnSync(process.execPath, [script, ...args], { stdio: 'inherit' })
  if (status !== 0) process.exit(status ?? 1)
}

function isStale(target, sources) {
  return !existsSync(target) || sources.some((source) => statSync(source).mtimeMs > statSync(target).mtimeMs)
}

if (isStale(WASM, WASM_INPUTS)) {
  mkdirSync('dist/src/format', { recursive: true })
  // prettier-ignore
  run('node_modules/assemblyscript/bin/asc.js', [
    WASM_SOURCE, '-o', WASM, '-O3', '--noAssert', '--runtime', 'stub', '--enable', 'simd', '--enable', 'threads',
    '--importMemory', '--sharedMemory', '--noExportMemory', '--initialMemory', '1', '--maximumMemory', '65536',
  ])
}
cpSync('src/web/static', 'dist/src/web/static', { recursive: true })
cpSync('bootstrap/peers.json', 'dist/bootstrap/peers.json')
run('node_modules/typescript/bin/tsc', ['-p', '.'])
