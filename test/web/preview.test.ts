import assert from 'node:assert/strict'
import { it } from 'node:test'
import { previewPage, type FileRow, type Preview } from '../../src/web/preview.ts'

const NOTHING: Preview = {
  repository: 'alice',
  name: 'a.flist',
  url: 'http://hub.example.test/alice/a.flist',
  served: { md5: 'f'.repeat(32), sizeBytes: 1 },
  updatedS: 0,
  conflicts: 0,
}
const COUNTS = { regular: 1, symlink: 0, directory: 0, special: 0, fullSize: 1 }

function row(name: string): FileRow {
  const target = 't'.repeat(100_000)
  return {
    name,
    at: { path: name },
    kind: 'link',
    sizeBytes: 0,
    mode: 0o777,
    uid: 0,
    gid: 0,
    modifiedS: 0,
    target,
  }
}

it('stays small, whatever a flist says of itself', () => {
  const long = 'x'.repeat(1_000_000)
  const metadata = Array.from({ length: 5000 }, (_, at) => [`key-${at}`, long] as const)
  const rows = Array.from({ length: 200 }, (_, at) => row(`f${at}`))
  const folder = { rows, from: 0, hasMore: false, trail: [{ name: '', at: {} }] }
  const page = previewPage({ ...NOTHING, content: { counts: COUNTS, metadata, readme: long, folder } })
  assert.ok(page.length < 1_000_000, `${page.length} characters`)
  assert.match(page, /All 5000 as JSON/)
  assert.match(page, /cut: 1,000,000 characters/)
})

it('gives a command that a shell takes as it is, whatever the name', () => {
  const commandOf = (name: string, url: string) => {
    const [, command = ''] = /<pre data-copy>\s*(.*)\n/.exec(previewPage({ ...NOTHING, name, url })) ?? []
    return command
  }
  assert.equal(commandOf('a.flist', NOTHING.url), "curl -fo a.flist 'http://hub.example.test/alice/a.flist'")
  for (const name of ['-rf.flist', 'a b.flist', '$(id).flist', "a'b.flist"]) {
    const command = commandOf(name, `http://hub.example.test/alice/${encodeURIComponent(name)}`)
    assert.match(command, /^curl -fo image\.flist '[^'&]*'$/, name)
  }
})

it('says what is wrong with a flist, and that others wrote the name too', () => {
  const page = previewPage({ ...NOTHING, problem: 'it does not read', conflicts: 1 })
  assert.match(page, /role="alert">it does not read</)
  assert.match(page, /1 other version of this name was written/)
  assert.doesNotMatch(page, /Not all of it is on this node/)
})

it('shows the other versions to be fetched, whoever wrote them, and what is not whole here', () => {
  const other = { name: 'a~abababab.flist', author: '<b>mallory', timeS: 0, sizeBytes: 2048 }
  const page = previewPage({ ...NOTHING, conflicts: 1, others: [other], isPartial: true })
  assert.match(page, /<a href="\/alice\/a~abababab\.flist" download>/)
  assert.match(page, /<bdi>&#60;b&#62;mallory<\/bdi>/)
  assert.match(page, /2\.0 KiB/)
  assert.match(page, /Not all of it is on this node yet/)
})
