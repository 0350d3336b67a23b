/**
 * `npm run bench:replication`: a farm of real processes, each on a host of its own (network namespaces; needs root), with
 * lines shaped by `tc tbf` and data on tmpfs. Each figure stands beside its bound, measured or computed in the same run.
 *
 *   node dist/scripts/bench-replication.js [exchange] [fanout] [delta] [heal]
 *
 * ZHUB_BENCH_NODES (16), ZHUB_BENCH_MIB (256), ZHUB_BENCH_MBIT (50) and ZHUB_BENCH_ROUNDS (3) make it smaller or larger.
 */
import { existsSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { hostsMissing } from '../test/doubles/hosts.ts'
import { progress, table } from './figures.ts'
import type { Figure } from './figures.ts'
import { delta } from './replication-delta.ts'
import { exchange } from './replication-exchange.ts'
import { fanOut } from './replication-fanout.ts'
import { heal } from './replication-heal.ts'

const nodes = Number(process.env['ZHUB_BENCH_NODES'] ?? 16)
const mib = Number(process.env['ZHUB_BENCH_MIB'] ?? 256)
const rateMbit = Number(process.env['ZHUB_BENCH_MBIT'] ?? 50)
const rounds = Number(process.env['ZHUB_BENCH_ROUNDS'] ?? 3)
const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir()

const SCENARIOS = {
  exchange: () => exchange({ mib, place }),
  fanout: () => fanOut({ nodes, mib, rateMbit, place }),
  delta: () => delta({ mib: 4 * mib, place }),
  heal: () => heal({ nodes, writes: 100, rounds, place }),
}

const missing = hostsMissing()
if (missing !== false) {
  console.error(`the farm cannot be made here: ${missing}`)
  process.exit(2)
}
const wanted = process.argv.slice(2)
const figures: Figure[] = []
for (const [name, run] of Object.entries(SCENARIOS)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  progress(`${name} begins`)
  try {
    const found = await run()
    for (const { what, measured, bound } of found) progress(`${what}: ${measured}, bound ${bound}`)
    figures.push(...found)
  } catch (error) {
    progress(`${name} failed: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}`)
    figures.push({ what: name, measured: 'failed', bound: '', isKept: false })
    process.exitCode = 1
  }
}
console.log(table(figures))
