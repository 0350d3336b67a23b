import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import { checkStore } from '../../src/store/fsck.ts'
import { equalBytes, fromHex, toHex } from '../../src/util/bytes.ts'
import { noise } from '../doubles/noise.ts'
import { writtenChunk } from '../doubles/store-writer.ts'
import { openStore, temporaryFolder, type OpenStore } from './open-store.ts'

const WRITER = fileURLToPath(new URL('../doubles/store-writer.js', import.meta.url))
const ROUNDS = Number(process.env['ZHUB_CRASH_ROUNDS'] ?? 6)

/** What the writer was promised, over all its lives. */
class Promises {
  readonly held = new Set<number>()
  readonly deleted = new Set<number>()
  /** Hex of the id to the numbers of its chunks. */
  readonly flists = new Map<string, readonly number[]>()
  failures = 0
  next = 0

  hear(line: string): void {
    const [word, ...rest] = line.split(' ')
    if (word === 'x') return void this.failures++
    const numbers = (word === 'f' ? rest.slice(1) : rest).map(Number)
    this.next = Math.max(this.next, ...numbers.map((number) => number + 1))
    for (const number of numbers) {
      if (word === 'w') this.held.add(number)
      if (word === 'D') this.held.delete(number)
      if (word === 'd') this.deleted.add(number)
    }
    if (word === 'f') this.flists.set(rest[0] ?? '', numbers)
  }
}

/** Runs the writer until `isEnough`, then kills it; resolves when its last word has been heard. */
async function runWriter(
  folder: string,
  promises: Promises,
  isEnough: (lines: number) => boolean,
): Promise<void> {
  // What was written without an answer may be there: numbers go on well beyond it.
  const first = promises.next + 1000
  const child = spawn(process.execPath, [WRITER, folder, String(first)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const ended = once(child, 'exit')
  let lines = 0
  for await (const line of createInterface({ input: child.stdout })) {
    promises.hear(line)
    if (isEnough(++lines)) child.kill('SIGKILL')
  }
  assert.equal(promises.failures, 0, 'a write failed')
  const [, signal] = (await ended) as [number | null, string | null]
  assert.equal(signal, 'SIGKILL', 'the writer ended by itself')
}

async function checkPromises(store: OpenStore, promises: Promises): Promise<void> {
  const { chunks, flists } = store
  for (const number of promises.held) {
    const { id, bytes } = writtenChunk(number)
    const held = chunks.read(id)
    assert.ok(held !== undefined && equalBytes(held, bytes), `chunk ${number} was acknowledged`)
  }
  for (const number of promises.deleted) {
    assert.equal(chunks.info(writtenChunk(number).id), undefined, `chunk ${number} was deleted`)
  }
  for (const [hex, numbers] of promises.flists) {
    const id = fromHex(hex) ?? assert.fail()
    assert.equal(String(Buffer.from((await flists.read(id)) ?? [])), `flist of ${numbers.join(' ')}`)
    const ids = numbers.map((number) => toHex(writtenChunk(number).id)).sort()
    assert.deepEqual((await flists.chunkIds(id))?.map(toHex), ids)
  }
  const counted = { chunks: 0, bytes: 0 }
  for await (const [, { lengthBytes }] of chunks.entries()) {
    counted.chunks++
    counted.bytes += lengthBytes
  }
  assert.deepEqual(chunks.totals(), counted)
  const problems: unknown[] = []
  await checkStore(store, (problem) => problems.push(problem))
  assert.deepEqual(problems, [])
}

describe('a process that is killed again and again', () => {
  it(`leaves everything it acknowledged, ${ROUNDS} times over`, async (t) => {
    const folder = await temporaryFolder(t)
    const promises = new Promises()
    for (let round = 0; round < ROUNDS; round++) {
      const [lines = 0] = noise(round + 1, 1)
      await runWriter(folder, promises, (heard) => heard > lines)
      const store = await openStore(t, { folder })
      await checkPromises(store, promises)
      await store.close()
    }
    assert.ok(promises.held.size > 0 && promises.deleted.size > 0 && promises.flists.size > 0)
  })
})
