/**
 * Uploads of real trees to a real node, from the first byte sent to the synced 200, as ratios to `gzip -dc` of the
 * same archive in the same run: the first one of a fresh node, the same again, and the other tree after that, into a
 * node whose code is warm; the node's peak memory, and how long others wait meanwhile.
 * ZHUB_BENCH_ROUNDS (3) rounds; archives are packed once into the temporary folder and kept there for the next run.
 *
 *   node dist/scripts/bench-upload.js [lib] [share]
 */
import { execFileSync, spawn } from 'node:child_process'
import { createReadStream, statSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { packedFolder } from './bench-archive.ts'
import { median, startBenchNode, type BenchNode } from './bench-node.ts'

const ROUNDS = Number(process.env['ZHUB_BENCH_ROUNDS'] ?? 3)
const TREES = [
  { name: 'lib', folder: '/usr/lib', what: 'few large files', firstAim: 1.0, againAim: 0.6 },
  { name: 'share', folder: '/usr/share', what: 'many small files', firstAim: 1.3, againAim: 0.8 },
]
const MIB = 1024 * 1024
/** As long as curl's: a short one takes longer to look for. */
const BOUNDARY = `${'-'.repeat(24)}0123456789abcdefABCDEF`

interface Round {
  readonly gzipS: number
  readonly firstS: number
  readonly againS: number
  readonly rssMib: number
  readonly waitMs: number
  /** Of the other tree, to its own `gzip -dc`; missing where there is none. */
  readonly otherRatio: number | undefined
}

const wanted = process.argv.slice(2)
const trees = TREES.flatMap((tree) => {
  const archive = packedFolder(tree.name, tree.folder)
  return archive === undefined ? [] : [{ ...tree, archive }]
})
for (const tree of trees) {
  if (wanted.length > 0 && !wanted.includes(tree.name)) continue
  const { name, folder, what, archive, firstAim, againAim } = tree
  const other = trees.find((one) => one !== tree)
  const rounds: Round[] = []
  for (let round = 0; round < ROUNDS; round++) rounds.push(await measure(archive, other?.archive))
  const of = (pick: (round: Round) => number) => median(rounds.map(pick))
  const ratio = (seconds: (round: Round) => number) =>
    median(rounds.map((round) => seconds(round) / round.gzipS)).toFixed(2)
  console.log(
    `${name}: ${folder}, ${what}, ${(statSync(archive).size / MIB).toFixed(0)} MiB packed, ${ROUNDS} rounds, medians`,
  )
  console.log(`  gzip -dc             ${of(({ gzipS }) => gzipS).toFixed(2)} s`)
  console.log(
    `  upload               ${of(({ firstS }) => firstS).toFixed(2)} s = ${ratio(({ firstS }) => firstS)} × (aim ${firstAim})`,
  )
  console.log(
    `  again, known content ${of(({ againS }) => againS).toFixed(2)} s = ${ratio(({ againS }) => againS)} × (aim ${againAim})`,
  )
  if (other !== undefined)
    console.log(
      `  then ${other.name.padEnd(15)} ${of(({ otherRatio }) => otherRatio ?? NaN).toFixed(2)} × (aim ${other.firstAim})`,
    )
  console.log(`  peak memory          ${of(({ rssMib }) => rssMib).toFixed(0)} MiB (aim under 400)`)
  console.log(`  longest wait of other requests ${of(({ waitMs }) => waitMs).toFixed(0)} ms (aim under 50)`)
}

async function measure(archive: string, other: string | undefined): Promise<Round> {
  const gzipS = inflating(archive)
  const data = await mkdtemp(join(tmpdir(), 'zhub-bench-'))
  const node = await startBenchNode(data)
  try {
    const probe = probing(node.http)
    const firstS = await upload(node, archive, 'first')
    const waitMs = await probe()
    const againS = await upload(node, archive, 'again')
    const rssMib = await node.peakMib()
    const otherRatio =
      other === undefined ? undefined : (await upload(node, other, 'other')) / inflating(other)
    return { gzipS, firstS, againS, rssMib, waitMs, otherRatio }
  } finally {
    await node.stop()
    await rm(data, { recursive: true, force: true })
  }
}

function inflating(archive: string): number {
  const startMs = performance.now()
  execFileSync('sh', ['-c', `gzip -dc ${archive} > /dev/null`])
  return (performance.now() - startMs) / 1000
}

/** Seconds from the first byte sent to the whole answer. */
function upload(node: BenchNode, archive: string, name: string): Promise<number> {
  const head = `--${BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="${name}.tar.gz"\r\n\r\n`
  const tail = `\r\n--${BOUNDARY}--\r\n`
  return new Promise((resolve, reject) => {
    const startMs = performance.now()
    const sent = request(`${node.http}/api/flist/me/upload`, {
      method: 'POST',
      headers: {
        authorization: `bearer ${node.token}`,
        'content-type': `multipart/form-data; boundary=${BOUNDARY}`,
        'content-length': head.length + statSync(archive).size + tail.length,
      },
    })
    sent.on('error', reject)
    sent.on('response', (response) => {
      let body = ''
      response.on('data', (piece) => (body += String(piece)))
      response.on('end', () => {
        if (response.statusCode === 200) resolve((performance.now() - startMs) / 1000)
        else reject(new Error(`${response.statusCode}: ${body}`))
      })
    })
    sent.write(head)
    const file = createReadStream(archive, { highWaterMark: 256 * 1024 })
    file.on('end', () => sent.end(tail))
    file.pipe(sent, { end: false })
  })
}

/** A process of its own asks for the status every 20 ms until it is stopped; answers the longest wait in ms. */
function probing(http: string): () => Promise<number> {
  const script = `
    let longest = 0
    process.on('SIGTERM', () => { console.log(longest); process.exit() })
    for (;;) {
      const startMs = performance.now()
      await (await fetch('${http}/api/v1/status')).arrayBuffer()
      longest = Math.max(longest, performance.now() - startMs)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let printed = ''
  child.stdout.on('data', (piece) => (printed += String(piece)))
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  return async () => {
    child.kill('SIGTERM')
    await ended
    return Number(printed)
  }
}
