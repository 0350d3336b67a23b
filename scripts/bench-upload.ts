/**
 * Uploads of real trees to a real node, from the first byte sent to the synced 200, as ratios to `gzip -dc` of the
 * same archive in the same run; the node's peak memory, and how long others wait meanwhile.
 * ZHUB_BENCH_ROUNDS (3) rounds; archives are packed once into the temporary folder and kept there for the next run.
 */
import { execFileSync, spawn } from 'node:child_process'
import { createReadStream, existsSync, statSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { cleanEnvironment, PROGRAM } from '../test/integration/node-process.ts'
import { createInterface } from 'node:readline'

const ROUNDS = Number(process.env['ZHUB_BENCH_ROUNDS'] ?? 3)
const TREES = [
  { name: 'lib', folder: '/usr/lib', what: 'few large files', firstAim: 1.0, againAim: 0.6 },
  { name: 'share', folder: '/usr/share', what: 'many small files', firstAim: 1.3, againAim: 0.8 },
]
const MIB = 1024 * 1024

interface Node {
  readonly http: string
  readonly token: string
  readonly pid: number
  stop(): Promise<void>
}

interface Round {
  readonly gzipS: number
  readonly firstS: number
  readonly againS: number
  readonly rssMib: number
  readonly waitMs: number
}

for (const { name, folder, what, firstAim, againAim } of TREES) {
  if (!existsSync(folder)) continue
  const archive = pack(name, folder)
  const rounds: Round[] = []
  for (let round = 0; round < ROUNDS; round++) rounds.push(await measure(archive))
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
  console.log(`  peak memory          ${of(({ rssMib }) => rssMib).toFixed(0)} MiB (aim under 400)`)
  console.log(`  longest wait of other requests ${of(({ waitMs }) => waitMs).toFixed(0)} ms (aim under 50)`)
}

/** About the sizes of the report: the first 700 MB of the tree, in the order of names. */
function pack(name: string, folder: string): string {
  const archive = join(tmpdir(), `zhub-bench-${name}.tar.gz`)
  if (existsSync(archive)) return archive
  console.error(`packing ${folder} …`)
  const list = execFileSync(
    'sh',
    ['-c', `cd ${folder} && find . -xdev -printf '%s\\t%p\\n' | LC_ALL=C sort -k2`],
    { maxBuffer: 1 << 30 },
  )
  const paths: string[] = []
  let bytes = 0
  for (const line of list.toString('latin1').split('\n')) {
    const [size = '', path = ''] = line.split('\t')
    if (path === '' || bytes > 710 * 1000 * 1000) break
    bytes += Number(size)
    paths.push(path)
  }
  const input = Buffer.from(paths.join('\n'), 'latin1')
  const options = ['-C', folder, '--no-recursion', '--verbatim-files-from', '-T', '-', '-czf', archive]
  execFileSync('tar', options, { input, stdio: ['pipe', 'ignore', 'ignore'] })
  return archive
}

async function measure(archive: string): Promise<Round> {
  const gzipS = timed(() => execFileSync('sh', ['-c', `gzip -dc ${archive} > /dev/null`]))
  const data = await mkdtemp(join(tmpdir(), 'zhub-bench-'))
  const node = await start(data)
  try {
    const probe = probing(node.http)
    const firstS = await upload(node, archive, 'first')
    const waitMs = await probe()
    const againS = await upload(node, archive, 'again')
    return { gzipS, firstS, againS, rssMib: await peakMib(node.pid), waitMs }
  } finally {
    await node.stop()
    await rm(data, { recursive: true, force: true })
  }
}

function timed(work: () => void): number {
  const startMs = performance.now()
  work()
  return (performance.now() - startMs) / 1000
}

async function start(data: string): Promise<Node> {
  const env = cleanEnvironment({
    ZHUB_DATA: data,
    ZHUB_HTTP: '127.0.0.1:0',
    ZHUB_RESP: '127.0.0.1:0',
    ZHUB_LOG: 'warn',
  })
  const child = spawn(process.execPath, [PROGRAM, 'serve', '--json'], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()))
  for await (const line of createInterface({ input: child.stdout })) {
    const { http, tokenFile } = JSON.parse(line) as { http: string; tokenFile: string }
    const token = (await readFile(tokenFile, 'utf8')).trim()
    const stop = async () => {
      child.kill('SIGTERM')
      await exited
    }
    return { http, token, pid: child.pid ?? 0, stop }
  }
  throw new Error('the node did not start')
}

/** Seconds from the first byte sent to the whole answer. */
function upload(node: Node, archive: string, name: string): Promise<number> {
  const head = `--zhub\r\nContent-Disposition: form-data; name="file"; filename="${name}.tar.gz"\r\n\r\n`
  const tail = '\r\n--zhub--\r\n'
  return new Promise((resolve, reject) => {
    const startMs = performance.now()
    const sent = request(`${node.http}/api/flist/me/upload`, {
      method: 'POST',
      headers: {
        authorization: `bearer ${node.token}`,
        'content-type': 'multipart/form-data; boundary=zhub',
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

/** VmHWM: the largest resident set so far. */
async function peakMib(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8')
  return Number(/VmHWM:\s+(\d+)/.exec(status)?.[1] ?? NaN) / 1024
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN
}
