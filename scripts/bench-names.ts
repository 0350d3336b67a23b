/**
 * Every mutation but uploads, synced, in a repository of 100,000 flists: medians of single requests over HTTP, one
 * after the other. The flists are made by promoting one, many at once, which share their syncs, through the operator's
 * socket, where changes are not limited to 100 a second.
 * ZHUB_BENCH_FLISTS (100,000) flists, ZHUB_BENCH_ROUNDS (200) requests of each kind.
 *
 *   node dist/scripts/bench-names.js
 */
import { Agent, request, type RequestOptions } from 'node:http'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { dataFolder } from '../src/data-folder.ts'
import { tarOf } from '../test/integration/archives.ts'
import { median, startBenchNode } from './bench-node.ts'

const FLISTS = Number(process.env['ZHUB_BENCH_FLISTS'] ?? 100_000)
const ROUNDS = Number(process.env['ZHUB_BENCH_ROUNDS'] ?? 200)
const AT_ONCE = 64
const AIM_MS = 5
const ME = '/api/flist/me'
const OWN = 'Administrator'

interface Mutation {
  readonly name: string
  readonly method: 'GET' | 'DELETE'
  /** Of the n-th request; those before have been made, and those of the kinds above. */
  readonly path: (n: number) => string
}

const MUTATIONS: readonly Mutation[] = [
  { name: 'promote', method: 'GET', path: (n) => `${ME}/promote/${OWN}/first.flist/copy-${n}.flist` },
  { name: 'link', method: 'GET', path: (n) => `${ME}/first.flist/link/link-${n}.flist` },
  { name: 'crosslink', method: 'GET', path: (n) => `${ME}/cross-${n}.flist/crosslink/${OWN}/first.flist` },
  { name: 'tag', method: 'GET', path: (n) => `${ME}/stable/tagged-${n}.flist/tag/${OWN}/first.flist` },
  { name: 'crosstag', method: 'GET', path: (n) => `${ME}/all-${n}/crosstag/${OWN}/stable` },
  { name: 'rename', method: 'GET', path: (n) => `${ME}/copy-${n}.flist/rename/moved-${n}.flist` },
  { name: 'delete', method: 'DELETE', path: (n) => `${ME}/moved-${n}.flist` },
  { name: 'untag', method: 'DELETE', path: (n) => `${ME}/stable/tagged-${n}.flist/tag/${OWN}/first.flist` },
]

const agent = new Agent({ keepAlive: true, maxSockets: AT_ONCE })
const data = await mkdtemp(join(tmpdir(), 'zhub-bench-'))
const node = await startBenchNode(data)
const { hostname, port } = new URL(node.http)
const api: RequestOptions = { hostname, port, headers: { authorization: `bearer ${node.token}` } }
const control: RequestOptions = { socketPath: dataFolder(data).controlSocket }
try {
  await publish()
  await fill()
  console.log(`one request after the other, ${FLISTS} flists in the repository, medians of ${ROUNDS}`)
  for (const mutation of MUTATIONS) {
    const waits: number[] = []
    for (let n = 0; n < ROUNDS; n++) {
      const startMs = performance.now()
      await ask(api, mutation.method, mutation.path(n))
      waits.push(performance.now() - startMs)
    }
    const slowest = Math.max(...waits).toFixed(0)
    console.log(
      `  ${mutation.name.padEnd(10)} ${median(waits).toFixed(2)} ms (aim under ${AIM_MS}), slowest ${slowest} ms`,
    )
  }
} finally {
  agent.destroy()
  await node.stop()
  await rm(data, { recursive: true, force: true })
}

async function publish(): Promise<void> {
  const archive = await tarOf([{ name: 'motd', content: 'hello\n' }])
  const form = new FormData()
  form.set('file', new Blob([new Uint8Array(archive)]), 'first.tar')
  const answer = await fetch(`${node.http}${ME}/upload`, {
    method: 'POST',
    headers: { authorization: `bearer ${node.token}` },
    body: form,
  })
  if (answer.status !== 200) throw new Error(`upload: ${answer.status} ${await answer.text()}`)
}

async function fill(): Promise<void> {
  let made = 1
  const worker = async () => {
    while (made < FLISTS) {
      const n = made++
      await ask(control, 'GET', `${ME}/promote/${OWN}/first.flist/flist-${n}.flist`)
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, worker))
}

function ask(to: RequestOptions, method: string, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const sent = request({ ...to, method, path, agent }, (response) => {
      let body = ''
      response.on('data', (piece) => (body += String(piece)))
      response.on('end', () =>
        response.statusCode === 200
          ? resolve()
          : reject(new Error(`${method} ${path}: ${response.statusCode} ${body}`)),
      )
    })
    sent.on('error', reject)
    sent.end()
  })
}
