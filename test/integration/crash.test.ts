/**
 * kill -9 at random points of parallel uploads: everything acknowledged is there afterwards, `fsck` is clean, and a
 * name is never half-written. Rounds and seed: ZHUB_CRASH_ROUNDS, ZHUB_CRASH_SEED.
 */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { noise, tarGzOf } from './archives.ts'
import { startNode, type NodeProcess } from './node-process.ts'

const ROUNDS = Number(process.env['ZHUB_CRASH_ROUNDS'] ?? 50)
const SEED = Number(process.env['ZHUB_CRASH_SEED'] ?? Date.now() % 1_000_000)
const NAMES = ['alpha', 'beta', 'gamma', 'delta']

/** What was sent for a name, by the marker file in it, and what the node acknowledged. */
interface Ledger {
  readonly sent: Map<string, Set<string>>
  /** Last acknowledged marker of a name, and those sent after it. */
  readonly acknowledged: Map<string, { marker: string; later: Set<string> }>
}

describe('kill -9', () => {
  it(`loses nothing acknowledged and shows nothing half-done, ${ROUNDS} times (seed ${SEED})`, async () => {
    const folder = await mkdtemp(join(tmpdir(), 'zhub-crash-'))
    const random = generator(SEED)
    const ledger: Ledger = { sent: new Map(), acknowledged: new Map() }
    let uploads = 0
    try {
      const uploadMs = await measureUpload(join(folder, 'measured'))
      for (let round = 0; round <= ROUNDS; round++) {
        const node = await startNode(join(folder, 'data'))
        try {
          assert.deepEqual(
            await readdir(join(folder, 'data', 'tmp')),
            [],
            'a temporary file of the last run is left',
          )
          await checkLedger(node, ledger)
          if (round % 5 === 0 || round === ROUNDS) await checkStore(node)
          if (round < ROUNDS) {
            uploads += await uploadUntilKilled(node, ledger, {
              round,
              killAfterMs: 1.5 * random() * uploadMs,
            })
          }
        } finally {
          await node.kill()
        }
      }
      assert.ok(uploads > 0, 'no upload was acknowledged in any round: the test proves nothing')
    } finally {
      await rm(folder, { recursive: true, force: true })
    }
  })
})

/** How long uploads to every name at once take a node that has just started, on this machine as busy as it is. */
async function measureUpload(data: string): Promise<number> {
  const node = await startNode(data)
  try {
    const startMs = performance.now()
    const answers = await Promise.all(
      NAMES.map(async (name, at) => upload(node, name, await archiveOf(name, at))),
    )
    assert.deepEqual(new Set(answers), new Set([200]))
    return performance.now() - startMs
  } finally {
    await node.kill()
  }
}

/** Uploads to every name at once, again and again, and kills the node somewhere in between. */
async function uploadUntilKilled(
  node: NodeProcess,
  ledger: Ledger,
  { round, killAfterMs }: { readonly round: number; readonly killAfterMs: number },
): Promise<number> {
  let killed = false
  let acknowledged = 0
  const writers = NAMES.map(async (name, at) => {
    for (let turn = 0; !killed && turn < 40; turn++) {
      const marker = `${name}-${round}-${turn}`
      const archive = await archiveOf(marker, round * 1000 + at * 100 + turn)
      record(ledger, name, marker)
      const status = await upload(node, name, archive).catch(() => undefined)
      if (status !== 200) return
      acknowledged++
      ledger.acknowledged.set(name, { marker, later: new Set() })
    }
  })
  await sleep(killAfterMs)
  killed = true
  await node.kill()
  await Promise.all(writers)
  return acknowledged
}

function record(ledger: Ledger, name: string, marker: string): void {
  if (!ledger.sent.has(name)) ledger.sent.set(name, new Set())
  ledger.sent.get(name)?.add(marker)
  ledger.acknowledged.get(name)?.later.add(marker)
}

async function archiveOf(marker: string, seed: number): Promise<Buffer> {
  return tarGzOf([
    { name: 'marker', content: marker },
    { name: 'small', content: noise(5_000, seed) },
    { name: 'large', content: noise(700_000 + (seed % 7) * 1000, seed + 1) },
    { name: 'shared', content: noise(600_000, 42) },
    { name: 'end', content: marker },
  ])
}

async function upload(node: NodeProcess, name: string, archive: Buffer): Promise<number> {
  const form = new FormData()
  form.set('file', new Blob([new Uint8Array(archive)]), `${name}.tar.gz`)
  const headers = { authorization: `bearer ${node.token}` }
  const response = await fetch(`${node.http}/api/flist/me/upload`, { method: 'POST', headers, body: form })
  await response.arrayBuffer()
  return response.status
}

/** Each acknowledged name is there, whole, and as acknowledged or as sent later; no other name shows. */
async function checkLedger(node: NodeProcess, ledger: Ledger): Promise<void> {
  const listed = (await (await fetch(`${node.http}/api/flist`)).json()) as string[]
  for (const [name, { marker, later }] of ledger.acknowledged) {
    assert.ok(listed.includes(`Administrator/${name}.flist`), `${name} was acknowledged and is gone`)
    const found = await fileOf(node, name, 'marker')
    assert.ok(found === marker || later.has(found), `${name}: acknowledged ${marker}, found ${found}`)
  }
  for (const path of listed) {
    const name = path.replace(/^Administrator\/(.*)\.flist$/, '$1')
    const marker = await fileOf(node, name, 'marker')
    assert.ok(ledger.sent.get(name)?.has(marker), `${name} holds ${marker}, which nobody sent`)
    assert.equal(await fileOf(node, name, 'end'), marker, `${name} is a mixture of two uploads`)
  }
}

async function fileOf(node: NodeProcess, name: string, path: string): Promise<string> {
  const response = await fetch(`${node.http}/api/v1/file/Administrator/${name}.flist?path=${path}`)
  assert.equal(response.status, 200, `${name}: ${path} cannot be read`)
  return response.text()
}

async function checkStore(node: NodeProcess): Promise<void> {
  const headers = { authorization: `bearer ${node.token}` }
  const response = await fetch(`${node.http}/api/v1/fsck`, { method: 'POST', headers })
  const report = (await response.json()) as { ok: boolean; problems: unknown[] }
  assert.deepEqual(report.problems, [], 'fsck found problems')
  assert.equal(report.ok, true)
}

/** mulberry32: the same numbers for the same seed. */
function generator(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
