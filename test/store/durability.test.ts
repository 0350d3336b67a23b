/** kill -9 of a process that stores, publishes and collects. Rounds: ZHUB_STORE_CRASH_ROUNDS. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { checkStore } from '../../src/store/fsck.ts'
import { fromHex } from '../../src/util/bytes.ts'
import { openStore, temporaryFolder, type OpenStore } from './open-store.ts'

const ROUNDS = Number(process.env['ZHUB_STORE_CRASH_ROUNDS'] ?? 4)
const WRITER = fileURLToPath(new URL('crash-writer.js', import.meta.url))

/** What the last round's program said is there and it has not said it may take away since. */
async function killed(folder: string, round: number): Promise<{ chunks: Set<string>; flists: Set<string> }> {
  const child = spawn(process.execPath, [WRITER, folder, String(round)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let said = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (said += text))
  await once(child.stdout, 'data')
  await sleep(Math.random() * 400)
  child.kill('SIGKILL')
  await once(child, 'close')
  const held = { chunks: new Set<string>(), flists: new Set<string>() }
  for (const line of said.slice(0, said.lastIndexOf('\n')).split('\n')) {
    const [what, id = ''] = line.split(' ')
    if (what === 'chunk') held.chunks.add(id)
    else if (what === 'flist') held.flists.add(id)
    else for (const ids of [held.chunks, held.flists]) ids.delete(id)
  }
  return held
}

describe('kill -9 of a store', () => {
  it(`loses nothing acknowledged and leaves nothing wrong, ${ROUNDS} times`, async (t) => {
    const folder = await temporaryFolder(t)
    let flists = 0
    for (let round = 0; round < ROUNDS; round++) {
      const held = await killed(folder, round)
      flists += held.flists.size
      const store = await openStore(t, { folder })
      await checkStore(store, ({ kind, id, detail }) => assert.fail(`${kind} ${id}: ${detail}`))
      await checkHeld(store, held)
      await store.close()
    }
    assert.ok(flists > 0, 'nothing was acknowledged in any round: the test proves nothing')
  })
})

async function checkHeld(store: OpenStore, { chunks, flists }: { chunks: Set<string>; flists: Set<string> }) {
  const bytesOf = (hex: string) => fromHex(hex) ?? assert.fail(hex)
  for (const id of flists)
    assert.ok((await store.flists.read(bytesOf(id))) !== undefined, `flist ${id} is gone`)
  for (const id of chunks) assert.ok(store.chunks.read(bytesOf(id)) !== undefined, `chunk ${id} is gone`)
}
