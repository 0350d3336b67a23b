/** `npm run bench`: every benchmark, one after the other, or those named. Machine first: figures mean nothing without. */
import { spawnSync } from 'node:child_process'
import { cpus, totalmem } from 'node:os'
import { fileURLToPath } from 'node:url'

const BENCHMARKS: Readonly<Record<string, string>> = {
  upload: 'bench-upload.js',
  http: 'bench-http.js',
  resp: 'bench-resp.js',
  start: 'bench-resp-start.js',
  merge: 'bench-merge.js',
  names: 'bench-names.js',
}

const wanted = process.argv.slice(2)
const unknown = wanted.filter((name) => !(name in BENCHMARKS))
if (unknown.length > 0) {
  console.error(`no benchmark ${unknown.join(', ')}; there are: ${Object.keys(BENCHMARKS).join(', ')}`)
  process.exit(2)
}

const [cpu] = cpus()
console.log(
  `${cpus().length} × ${cpu?.model.trim() ?? 'unknown'}, ${Math.round(totalmem() / 2 ** 30)} GiB, Node ${process.versions.node}\n`,
)
for (const [name, script] of Object.entries(BENCHMARKS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  console.log(`## ${name}`)
  const { status } = spawnSync(process.execPath, [fileURLToPath(new URL(script, import.meta.url))], {
    stdio: 'inherit',
  })
  if (status !== 0) process.exit(status ?? 1)
  console.log()
}
