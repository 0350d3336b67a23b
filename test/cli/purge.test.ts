/** A purge as an operator does it: on a stopped node, on a running one, from somewhere else; and what is left of it. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { cleanEnvironment, PROGRAM, startNode } from '../integration/node-process.ts'
import { json, runZhub, startFakeNode } from './fake-node.ts'

interface Ended {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

interface Version {
  readonly op: string
  readonly state: string
}

describe('zhub purge', () => {
  let folder = ''
  let data = ''
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'zhub-purge-'))
    data = join(folder, 'data')
    await mkdir(join(folder, 'image'))
    await writeFile(join(folder, 'image', 'public'), 'for everybody')
    await mkdir(join(folder, 'leak'))
    await writeFile(join(folder, 'leak', 'public'), 'for everybody')
    await writeFile(join(folder, 'leak', 'key'), 'for nobody')
  })
  after(() => rm(folder, { recursive: true, force: true }))

  async function zhub(...words: string[]): Promise<Ended> {
    const child = spawn(process.execPath, [PROGRAM, ...words], {
      env: cleanEnvironment({ ZHUB_DATA: data, ZHUB_MIN_FREE: '0' }),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (piece: Buffer) => (stdout += piece.toString()))
    child.stderr.on('data', (piece: Buffer) => (stderr += piece.toString()))
    const [code] = (await once(child, 'close')) as [number | null]
    return { code, stdout, stderr }
  }

  const versions = async (name: string) =>
    (JSON.parse((await zhub('history', name, '--json')).stdout) as { items: Version[] }).items

  const leak = () => zhub('put', join(folder, 'leak'), 'alice/image')

  it('asks first, and does nothing where nobody can answer', async () => {
    await zhub('put', join(folder, 'image'), 'alice/image')
    await zhub('put', join(folder, 'leak'), 'alice/image')
    await zhub('mv', 'alice/image', 'alice/moved')
    assert.equal((await zhub('purge', 'alice/moved')).code, 2)
    assert.equal((await zhub('purge', 'alice/nothing', '--yes')).code, 3)
    assert.equal((await zhub('ls')).stdout, 'alice/moved.flist\n')
  })

  it('removes the content, the name that shows it, and takes it never again', async () => {
    const { code, stdout } = await zhub('purge', 'alice/moved', '--yes')
    assert.equal(code, 0)
    assert.match(stdout, /^took away alice\/moved\.flist\nfreed 2 chunks, \d+ bytes .*\n1 chunk stays?:? /m)
    assert.equal((await zhub('ls')).stdout, '')
    const states = (await versions('alice/moved')).map(({ state }) => state)
    assert.deepEqual(states, ['current', 'purged']) // the deletion, and what it deleted
    const again = await leak()
    assert.equal(again.code, 1)
    assert.match(again.stderr, /purged/)
    assert.equal((await zhub('fsck')).code, 0)
    assert.equal((await zhub('purge', 'alice/moved', '--yes')).code, 3)
  })

  it('goes by version, on a running node and from somewhere else; an old version is nobody’s any more', async () => {
    const node = await startNode(data)
    const remote = ['--url', node.http, '--token', node.token]
    try {
      const first = (await versions('alice/image')).find(({ state }) => state === 'superseded')
      assert.ok(first)
      const hash8 = (await versions('alice/image')).at(-1)?.op.slice(0, 8) ?? ''
      const old = `${node.http}/alice/image~${hash8}.flist`
      assert.equal((await fetch(old)).status, 200)
      assert.equal((await zhub('purge', `alice/image~${hash8}`, '--yes', '--url', node.http)).code, 4)
      const { stdout } = await zhub('purge', `alice/image~${hash8}`, '--yes', '--json', ...remote)
      const report = JSON.parse(stdout) as { names: string[]; chunks: number; kept: number }
      assert.deepEqual([report.names, report.chunks > 0, report.kept], [[], true, 0])
      const gone = await fetch(old)
      assert.equal(gone.status, 404)
      assert.match(await gone.text(), /purged/)
      assert.equal((await zhub('resolve', 'alice/image', hash8)).code, 3)
      assert.equal((await zhub('fsck')).code, 0)
      const held = await zhub('status', '--json')
      const { counts } = JSON.parse(held.stdout) as { counts: { chunks: number } }
      assert.equal(counts.chunks, 0)
    } finally {
      await node.stop()
    }
    const names = await readdir(join(data, 'chunks'))
    const bytes = await Promise.all(names.map((name) => readFile(join(data, 'chunks', name))))
    assert.ok(Buffer.concat(bytes).length < 4096, 'the disk has given the bytes back')
  })
})

describe('zhub purge on a terminal', () => {
  const version = {
    ...{ op: 'ab'.repeat(32), author: 'alice', node: 'cd'.repeat(32), time: 1_700_000_000, kind: 'file' },
    ...{ size: 2048, md5: 'm', state: 'current' },
  }
  const routes = {
    'GET /api/v1/history/alice/a': json({ items: [version], next: null }),
    'POST /api/v1/purge/alice/a': json({
      op: version.op,
      flist: 'f',
      names: ['alice/a.flist'],
      chunks: 1,
      bytes: 9,
      kept: 0,
    }),
  }

  async function answered(answer: string) {
    const node = await startFakeNode(routes)
    const stdin = Object.assign(
      (async function* () {
        yield Buffer.from(answer)
      })(),
      { isTTY: true },
    )
    try {
      return { ...(await runZhub(['purge', 'alice/a'], { node, program: { stdin } })), asked: node.asked }
    } finally {
      await node.close()
    }
  }

  it('goes on at a yes, and at nothing else', async () => {
    const yes = await answered('yes\n')
    assert.deepEqual([yes.code, yes.text], [0, 'took away alice/a.flist\nfreed 1 chunk, 9 bytes (9 B)\n'])
    assert.match(yes.errors, /version abababab, file of 2\.0 KiB by alice/)
    for (const answer of ['y\n', '\n', '']) {
      const no = await answered(answer)
      assert.deepEqual([no.code, no.asked.length], [1, 1])
    }
  })
})
