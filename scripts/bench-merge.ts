/**
 * Merges of two flists with 100,000 entries each over HTTP, until the synced 200: the first thing that a fresh node
 * does, and at once another one; with the node's memory at its peak. 10,000 folders, each file with a chunk of its
 * own, half of the folders in both flists, where one file of three has the same name in both.
 * ZHUB_BENCH_ROUNDS (3) rounds, each with a copy of the same data folder.
 *
 *   node dist/scripts/bench-merge.js
 */
import { createWriteStream, openAsBlob } from 'node:fs'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { finished } from 'node:stream/promises'
import tar from 'tar-stream'
import { median, startBenchNode, type BenchNode } from './bench-node.ts'

const ROUNDS = Number(process.env['ZHUB_BENCH_ROUNDS'] ?? 3)
const FOLDERS = 10_000
const FILES_IN_FOLDER = 9
const AIM_S = 3
const AIM_MIB = 300

interface Round {
  readonly firstS: number
  readonly firstMib: number
  readonly secondS: number
  readonly secondMib: number
}

const folder = await mkdtemp(join(tmpdir(), 'zhub-bench-'))
try {
  const made = await makeSources()
  const rounds: Round[] = []
  for (let round = 0; round < ROUNDS; round++) rounds.push(await measure(made))
  const of = (pick: (round: Round) => number) => median(rounds.map(pick))
  console.log(`two flists of ${FOLDERS * (FILES_IN_FOLDER + 1)} entries each, ${ROUNDS} rounds, medians`)
  const tell = (what: string, seconds: number, mib: number) =>
    console.log(`  ${what.padEnd(22)} ${seconds.toFixed(2)} s, peak memory ${mib.toFixed(0)} MiB`)
  tell(
    'first of a fresh node',
    of(({ firstS }) => firstS),
    of(({ firstMib }) => firstMib),
  )
  tell(
    'another one at once',
    of(({ secondS }) => secondS),
    of(({ secondMib }) => secondMib),
  )
  console.log(`  aims: under ${AIM_S} s, under ${AIM_MIB} MiB`)
} finally {
  await rm(folder, { recursive: true, force: true })
}

/** A data folder with both flists. */
async function makeSources(): Promise<string> {
  const data = join(folder, 'made')
  const node = await startBenchNode(data)
  try {
    await upload(node, 'left', 0)
    await upload(node, 'right', FOLDERS / 2)
  } finally {
    await node.stop()
  }
  return data
}

async function measure(made: string): Promise<Round> {
  const data = join(folder, 'round')
  await cp(made, data, { recursive: true })
  const node = await startBenchNode(data)
  try {
    const firstS = await merge(node, ['left', 'right'], 'both')
    const firstMib = await node.peakMib()
    const secondS = await merge(node, ['right', 'left'], 'reverse') // other bytes, so nothing is there already
    return { firstS, firstMib, secondS, secondMib: await node.peakMib() }
  } finally {
    await node.stop()
    await rm(data, { recursive: true, force: true })
  }
}

async function merge(node: BenchNode, sources: readonly string[], target: string): Promise<number> {
  const startMs = performance.now()
  await post(
    node,
    `/api/flist/me/merge/${target}.flist`,
    JSON.stringify(sources.map((name) => `Administrator/${name}`)),
  )
  return (performance.now() - startMs) / 1000
}

async function upload(node: BenchNode, name: string, firstFolder: number): Promise<void> {
  const archive = join(folder, `${name}.tar`)
  await writeArchive(archive, name, firstFolder)
  const form = new FormData()
  form.set('file', await openAsBlob(archive), `${name}.tar`)
  await post(node, '/api/flist/me/upload', form)
  await rm(archive)
}

async function writeArchive(path: string, name: string, firstFolder: number): Promise<void> {
  const pack = tar.pack()
  const file = pack.pipe(createWriteStream(path))
  for (let at = firstFolder; at < firstFolder + FOLDERS; at++) {
    const below = `share/part-${Math.floor(at / 1000)}/package-${at}`
    pack.entry({ name: below, type: 'directory', mode: 0o755 })
    for (let file = 0; file < FILES_IN_FOLDER; file++) {
      const path = `${below}/${file % 3 === 0 ? 'common' : name}-${file}.conf`
      const content = `${name} has its own ${path}\n`.repeat(1 + (at % 5))
      await new Promise<void>((resolve, reject) =>
        pack.entry({ name: path, mode: 0o644 }, content, (error) => (error ? reject(error) : resolve())),
      )
    }
  }
  pack.finalize()
  await finished(file)
}

async function post(node: BenchNode, path: string, body: string | FormData): Promise<void> {
  const answer = await fetch(node.http + path, {
    method: 'POST',
    headers: { authorization: `bearer ${node.token}` },
    body,
  })
  const text = await answer.text()
  if (answer.status !== 200) throw new Error(`${path}: ${answer.status} ${text}`)
}
