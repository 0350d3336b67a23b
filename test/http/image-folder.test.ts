import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { EntryContent, FlistEntry } from '../../src/flist/entry.ts'
import type { FlistInspector } from '../../src/flist/inspector.ts'
import { readFolder } from '../../src/http/image-folder.ts'
import { EMPTY } from '../../src/util/bytes.ts'

const DIRECTORY: EntryContent = { kind: 'directory' }
const FILE: EntryContent = { kind: 'file', blocks: [] }

function entry(path: string | Uint8Array, content: EntryContent, sizeBytes = 0): FlistEntry {
  const names = { userName: EMPTY, groupName: EMPTY }
  return { path: Buffer.from(path), content, sizeBytes, mode: 0o644, uid: 0, gid: 0, modifiedS: 0, ...names }
}

/** Gives these out, a few at a time, and counts how many were taken. */
function inspectorOf(entries: readonly FlistEntry[], taken = { batches: 0 }): FlistInspector {
  async function* batches(): AsyncGenerator<readonly FlistEntry[]> {
    for (let at = 0; at < entries.length; at += 100) {
      await Promise.resolve()
      taken.batches++
      yield entries.slice(at, at + 100)
    }
  }
  return { entries: batches } as never
}

const wanted = (path: string | Uint8Array, from = 0) => ({ path: Buffer.from(path), from, known: undefined })
const namesOf = (view: Awaited<ReturnType<typeof readFolder>>) => view.folder?.rows.map(({ name }) => name)

describe('a directory of a flist', () => {
  const tree = [
    entry('', DIRECTORY),
    entry('a', DIRECTORY),
    entry('a/b', DIRECTORY),
    entry('a/b/deep', FILE, 5),
    entry('a/x', FILE, 7),
    entry('ab', DIRECTORY),
    entry('ab/other', FILE, 1),
    entry(Buffer.from([0xff, 0xfe]), DIRECTORY),
    entry(Buffer.from([0xff, 0xfe, 0x2f, 0x79]), FILE, 1),
    entry('link', { kind: 'link', target: Buffer.from('a/x') }),
    entry('pipe', { kind: 'special', special: 'fifo', major: 0, minor: 0 }),
  ]

  it('shows what stands in it and nothing deeper, and counts everything', async () => {
    const root = await readFolder(inspectorOf(tree), EMPTY, wanted(''), {})
    assert.deepEqual(namesOf(root), ['a', 'ab', '\ufffd\ufffd', 'link', 'pipe'])
    assert.deepEqual(
      root.folder?.rows.map(({ kind }) => kind),
      ['directory', 'directory', 'directory', 'link', 'fifo'],
    )
    assert.equal(root.folder.rows[3]?.target, 'a/x')
    const counts = { regular: 4, symlink: 1, directory: 4, special: 1, failure: 0, fullSize: 14 }
    assert.deepEqual(root.counts, counts)
    assert.deepEqual(namesOf(await readFolder(inspectorOf(tree), EMPTY, wanted('a'), {})), ['b', 'x'])
  })

  it('is found again by the address it was given, whatever its bytes', async () => {
    const root = await readFolder(inspectorOf(tree), EMPTY, wanted(''), {})
    const { path64 = '' } = root.folder?.rows[2]?.at ?? {}
    const inner = await readFolder(inspectorOf(tree), EMPTY, wanted(Buffer.from(path64, 'base64url')), {})
    assert.deepEqual(namesOf(inner), ['y'])
    assert.deepEqual(
      inner.folder?.trail.map(({ at }) => at),
      [{}, { path64 }],
    )
    const deep = await readFolder(inspectorOf(tree), EMPTY, wanted('a/b'), {})
    assert.deepEqual(deep.folder?.trail, [
      { name: '', at: {} },
      { name: 'a', at: { path: 'a' } },
      { name: 'b', at: { path: 'a/b' } },
    ])
  })

  it('is none where nothing is, or something else', async () => {
    for (const path of ['b', 'a/x', 'link', 'a/b/', 'a/bb'])
      assert.equal((await readFolder(inspectorOf(tree), EMPTY, wanted(path), {})).folder, undefined, path)
  })

  it('comes a page at a time, and the walk ends with the page once everything is counted', async () => {
    const many = Array.from({ length: 1000 }, (_, at) => entry(`f${at}`, FILE, 1))
    const first = await readFolder(inspectorOf(many), EMPTY, wanted(''), {})
    assert.deepEqual([first.folder?.rows.length, first.folder?.hasMore], [200, true])
    const taken = { batches: 0 }
    const known = { ...wanted('', 200), known: first.counts }
    const second = await readFolder(inspectorOf(many, taken), EMPTY, known, {})
    assert.equal(second.folder?.rows[0]?.name, 'f200')
    assert.equal(second.counts.regular, 1000)
    assert.equal(taken.batches, 5)
    const last = await readFolder(inspectorOf(many), EMPTY, wanted('', 800), {})
    assert.deepEqual([last.folder?.rows.length, last.folder?.hasMore], [200, false])
  })
})
