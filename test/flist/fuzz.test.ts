import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { HubError } from '../../src/errors.ts'
import { packFlist, unpackFlist } from '../../src/flist/container.ts'
import { FlistInspector } from '../../src/flist/inspector.ts'
import { DatabaseWriter } from '../../src/flist/database-writer.ts'
import { directory, flistOf, leaf } from '../doubles/flist-tree.ts'
import { readFlistRows } from '../doubles/flist-rows.ts'
import { fuzzRuns, recordedData } from '../doubles/golden.ts'
import { noise } from '../doubles/noise.ts'
import { temporaryFolder } from '../doubles/temporary-folder.ts'

const folder = temporaryFolder()
const temporaryDirectory = folder.path
const inspector = new FlistInspector({ temporaryDirectory })
after(() => inspector.stop())

const small = flistOf(
  directory('', [
    directory(
      'etc',
      Array.from({ length: 30 }, (_, at) =>
        leaf(`file-${at}`, { kind: 'file', blocks: [{ id: noise(at, 16), key: noise(at, 16) }] }, 9),
      ),
    ),
    leaf('link', { kind: 'link', target: Buffer.from('etc') }, 3),
  ]),
  { readme: '{"readme": "x"}' },
)
const files = [
  'b/b1.flist',
  'edge/no-metadata-table.flist',
  'edge/putdir-twice-DUPLICATES.flist',
  'a/a.flist',
]
const recorded = files.map((name) => recordedData('flist-v1', ...name.split('/')).path)
const golden = recordedData('flist-v1', 'a', 'a.flist')

/** Overwrites 1 to 8 bytes, as `seed` says. */
function mutated(bytes: Uint8Array, seed: number): Buffer {
  const copy = Buffer.from(bytes)
  const random = Buffer.from(noise(seed, 64))
  for (let change = 0; change <= (random[0] ?? 0) % 8; change++) {
    const at = random.readUInt32LE(4 + 6 * change) % copy.length
    const values = [
      0,
      1,
      0x7f,
      0x80,
      0xff,
      random[9 + 6 * change] ?? 0,
      (copy[at] ?? 0) ^ 1,
      (copy[at] ?? 0) + 1,
    ]
    copy[at] = values[(random[8 + 6 * change] ?? 0) % values.length] ?? 0
  }
  return copy
}

/** Reads all of it in every way; a clean refusal is as good as an answer. */
async function read(bytes: Uint8Array): Promise<boolean> {
  try {
    await inspector.survey(bytes, { dump: true, blocks: true })
    await inspector.render(bytes, { backend: null })
    return true
  } catch (error) {
    assert.ok(error instanceof HubError, `${String(error)} ${String((error as Error).cause)}`)
    return false
  }
}

describe('flists changed at random', () => {
  const sources = golden.skip === false ? [small, ...recorded.map((path) => readFileSync(path))] : [small]
  const runs = fuzzRuns(60)

  it('read or are refused, when bytes of the database change', async () => {
    let refused = 0
    for (let seed = 0; seed < runs; seed++) {
      const source = sources[seed % sources.length] ?? small
      const bytes = mutated(unpackFlist(source), seed)
      if (!(await read(packFlist(bytes.length, [bytes])))) refused++
    }
    assert.ok(refused > 0 && refused < runs, `${refused} of ${runs} refused`)
  })

  it('read or are refused, when bytes of the messages change', async () => {
    const path = join(temporaryDirectory, 'small.flist')
    writeFileSync(path, small)
    const rows = [...readFlistRows(path)].map(([key, value]) => [key, Buffer.from(value)] as const)
    let refused = 0
    for (let seed = 0; seed < runs; seed++) {
      const writer = new DatabaseWriter()
      for (const [at, [key, value]] of rows.entries())
        writer.entry(key, at === seed % rows.length ? mutated(value, seed) : value)
      if (!(await read(writer.finish(packFlist)))) refused++
    }
    assert.ok(refused > 0 && refused < runs, `${refused} of ${runs} refused`)
  })

  it('read or are refused, when bytes of the archive change or its end is missing', async () => {
    const tar = gunzipSync(small)
    for (let seed = 0; seed < runs; seed++) {
      await read(mutated(small, seed))
      await read(small.subarray(0, noise(seed, 4).reduce((sum, byte) => sum * 256 + byte, 0) % small.length))
      await read(mutated(tar, seed))
    }
  })
})
