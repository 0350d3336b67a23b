/**
 * Archives into a store on disk, without HTTP: seconds as ratios to `gzip -dc` of the same archive in the same round,
 * medians; peak memory, and the longest time in which the main thread answered nobody. Each round is a fresh process.
 *
 *   node dist/scripts/bench-ingest.js [--rounds 3] [archive …]
 */
import { execFileSync, fork } from 'node:child_process'
import { once } from 'node:events'
import { createReadStream, readFileSync, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { Ingest } from '../src/flist/ingest.ts'
import { openDatabase } from '../src/store/database.ts'
import { RowLeases } from '../src/store/leases.ts'
import { KIB, MIB } from '../src/util/units.ts'
import { packedFolder } from './bench-archive.ts'

/** A node has been up for a while when an upload comes. */
const SETTLE_MS = 1500

interface Run {
  readonly seconds: number
  readonly longestDelayMs: number
  readonly mainShare: number
}

interface Round {
  readonly first: Run
  readonly again: Run
  readonly peakMib: number
  readonly files: number
}

const self = fileURLToPath(import.meta.url)

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    options: { rounds: { type: 'string', default: '3' } },
    allowPositionals: true,
  })
  const usual = [packedFolder('lib', '/usr/lib'), packedFolder('share', '/usr/share')]
  const archives = positionals.length > 0 ? positionals : usual.filter((archive) => archive !== undefined)
  for (const archive of archives) await compare(archive, Number(values.rounds))
}

async function compare(archive: string, rounds: number): Promise<void> {
  const gzipS: number[] = []
  const done: Round[] = []
  for (let round = 0; round < rounds; round++) {
    const startMs = performance.now()
    execFileSync('sh', ['-c', `gzip -dc "$0" > /dev/null`, archive])
    gzipS.push((performance.now() - startMs) / 1000)
    done.push(await measured(archive))
  }
  const size = (statSync(archive).size / MIB).toFixed(0)
  console.log(`${basename(archive)}: ${size} MiB, ${done[0]?.files} files, ${rounds} rounds, medians`)
  console.log(`  gzip -dc   ${median(gzipS).toFixed(2)} s`)
  for (const which of ['first', 'again'] as const) {
    const of = (pick: (run: Run) => number) => median(done.map((round) => pick(round[which])))
    const ratio = median(done.map((round, at) => round[which].seconds / (gzipS[at] ?? NaN)))
    const seconds = of((run) => run.seconds).toFixed(2)
    const busy = (100 * of((run) => run.mainShare)).toFixed(0)
    const delay = of((run) => run.longestDelayMs).toFixed(0)
    console.log(
      `  ${which}      ${seconds} s = ${ratio.toFixed(2)} ×; main thread ${busy} % busy, at most ${delay} ms at once`,
    )
  }
  console.log(`  peak       ${median(done.map(({ peakMib }) => peakMib)).toFixed(0)} MiB`)
}

async function measured(archive: string): Promise<Round> {
  const child = fork(self, [archive], { env: { ...process.env, ZHUB_BENCH_CHILD: '1' } })
  const [round] = (await once(child, 'message')) as [Round]
  await once(child, 'exit')
  return round
}

/** In a process of its own: a new store, the archive, and the archive again. */
async function measure(archive: string): Promise<Round> {
  const folder = await mkdtemp(join(tmpdir(), 'zhub-bench-'))
  const database = await openDatabase(folder, { minFreeBytes: 0, clock: Date.now })
  const { chunks, rows } = database
  const leases = new RowLeases(rows, Date.now)
  const ingest = new Ingest({ chunks, known: chunks, rows })
  await ingest.start()
  await sleep(SETTLE_MS)
  let files = 0
  const run = async (): Promise<Run> => {
    const delay = monitorEventLoopDelay({ resolution: 1 })
    delay.enable()
    const before = performance.eventLoopUtilization()
    const startMs = performance.now()
    const lease = leases.open()
    const made = await ingest.run(createReadStream(archive, { highWaterMark: 64 * KIB }), { lease })
    const seconds = (performance.now() - startMs) / 1000
    lease.release()
    delay.disable()
    files = made.counts.regular
    const { utilization } = performance.eventLoopUtilization(before)
    return { seconds, longestDelayMs: delay.max / 1e6, mainShare: utilization }
  }
  try {
    const first = await run()
    const again = await run()
    const peakKib = Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? NaN)
    return { first, again, peakMib: peakKib / KIB, files }
  } finally {
    await ingest.stop()
    await database.close()
    await rm(folder, { recursive: true, force: true })
  }
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN
}

if (process.env['ZHUB_BENCH_CHILD'] === undefined) await main()
else process.send?.(await measure(process.argv[2] ?? ''))
