import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import {
  bytes,
  cutAfter,
  failure,
  json,
  lines,
  runZhub,
  startFakeNode,
  type Answerer,
  type Ended,
  type FakeNode,
  type RunOptions,
} from './fake-node.ts'

async function withNode<T>(
  routes: Readonly<Record<string, Answerer>>,
  use: (node: FakeNode) => Promise<T>,
): Promise<T> {
  const node = await startFakeNode(routes)
  try {
    return await use(node)
  } finally {
    await node.close()
  }
}

const zhub = (
  routes: Readonly<Record<string, Answerer>>,
  words: readonly string[],
  options: RunOptions = {},
) =>
  withNode(routes, async (node): Promise<Ended & { asked: FakeNode['asked'] }> => ({
    ...(await runZhub(words, { node, ...options })),
    asked: node.asked,
  }))

const TOKEN = { id: '00112233aabbccdd', user: 'alice', created: 1_700_000_000, expires: null }

/** As the Administrator, who acts as whomever he names. */
const ME: Readonly<Record<string, Answerer>> = {
  'GET /api/flist/me': (asked, response) => {
    const username = decodeURIComponent(String(asked.headers['active-user'] ?? 'Administrator'))
    return json({ status: 'success', payload: { username } })(asked, response)
  },
}

describe('zhub token', () => {
  it('prints a new token bare, or as one document', async () => {
    const routes = { 'POST /api/v1/tokens': json({ ...TOKEN, token: 'secret' }, 201) }
    const bare = await zhub(routes, ['token', 'create', 'alice', '--ttl', '30d'])
    assert.deepEqual([bare.code, bare.text], [0, 'secret\n'])
    assert.deepEqual(JSON.parse(bare.asked[0]?.body.toString() ?? ''), { user: 'alice', ttl: 2_592_000 })
    const document = await zhub(routes, ['token', 'create', 'alice', '--json'])
    assert.deepEqual(JSON.parse(document.text), { user: 'alice', token: 'secret', expires: null })
    assert.deepEqual(JSON.parse(document.asked[0]?.body.toString() ?? ''), { user: 'alice' })
  })

  it('lists ids, users and times, the head only on a terminal', async () => {
    const routes = { 'GET /api/v1/tokens': json({ items: [TOKEN], next: null }) }
    const { text } = await zhub(routes, ['token', 'list'])
    assert.equal(text, '00112233aabbccdd  alice  2023-11-14 22:13:20Z  never\n')
    const shown = await zhub(routes, ['token', 'list'], { isTerminal: true })
    assert.match(shown.text, /^ID +USER +CREATED +EXPIRES\n/)
  })

  it('revokes by id or user, and says when there is none', async () => {
    const routes = { 'DELETE /api/v1/tokens/al%20ice': json({ revoked: [{ id: TOKEN.id, user: 'al ice' }] }) }
    assert.equal((await zhub(routes, ['token', 'revoke', 'al ice'])).text, '00112233aabbccdd  al ice\n')
    assert.equal((await zhub({}, ['token', 'revoke', 'nobody'])).code, 3)
  })
})

describe('zhub ls', () => {
  it('prints repo/name, one a line', async () => {
    const routes = {
      'GET /api/flist': json(['alice/a.flist', 'bob/b.flist']),
      'GET /api/flist/bob': json([{ name: 'b.flist', size: '1.00 KB', updated: 1, type: 'regular' }]),
    }
    assert.equal((await zhub(routes, ['ls'])).text, 'alice/a.flist\nbob/b.flist\n')
    assert.equal((await zhub(routes, ['ls', 'bob'])).text, 'bob/b.flist\n')
    const document = await zhub(routes, ['ls', 'bob', '--json'])
    assert.equal((JSON.parse(document.text) as Array<{ name: string }>)[0]?.name, 'b.flist')
  })

  it('never lets a name speak to the terminal', async () => {
    const { text } = await zhub({ 'GET /api/flist': json(['a/\u001b[2Jb']) }, ['ls'])
    assert.equal(text, 'a/?[2Jb\n')
  })
})

describe('zhub info', () => {
  it('tells what is published and its history, or all of it as one document', async () => {
    const found = {
      repository: 'alice',
      name: 'a.flist',
      type: 'regular',
      updated: 1_700_000_000,
      op: 'ab'.repeat(32),
      conflicts: 0,
      flist: {
        ...{
          id: 'cd'.repeat(32),
          format: 'zflist',
          size: 1490,
          md5: 'm',
          sha256: 's',
          chunks: 2,
          chunkBytes: 700,
        },
        ...{ files: 4, counts: { regular: 4, fullsize: 614_430 }, metadata: { readme: 'hi' } },
      },
    }
    const version = {
      op: found.op,
      author: 'alice',
      time: 1_700_000_000,
      kind: 'file',
      size: 1490,
      state: 'current',
    }
    const routes = {
      'GET /api/v1/info/alice/a.flist': json(found),
      'GET /api/v1/history/alice/a.flist': json({ items: [version], next: null }),
    }
    const { text } = await zhub(routes, ['info', 'alice/a.flist'])
    assert.match(text, /^name +alice\/a\.flist$/m)
    assert.match(text, /^content +600 KiB \(614430 bytes\) in 4 files$/m)
    assert.match(text, /^versions +1$/m)
    assert.match(text, /file 1\.5 KiB by alice, current/)
    const document = await zhub(routes, ['info', 'alice/a.flist', '--json'])
    assert.deepEqual(JSON.parse(document.text), { ...found, history: [version] })
  })
})

describe('zhub cat', () => {
  it('prints the raw bytes of a file', async () => {
    const content = Buffer.from([0, 255, 10, 13])
    const { stdout, asked } = await zhub({ 'GET /api/v1/file/alice/a': bytes(content) }, [
      'cat',
      'alice/a',
      '/etc/a b',
    ])
    assert.deepEqual(stdout, content)
    assert.equal(asked[0]?.path, '/api/v1/file/alice/a?path=etc%2Fa+b')
  })

  it('answers 3 for what is not there', async () => {
    const { code, errors } = await zhub({}, ['cat', 'alice/a', 'x'])
    assert.deepEqual([code, errors], [3, 'zhub: nothing here\n'])
  })

  it('fails when the node cuts the file off, having printed what came', async () => {
    const { code, text } = await zhub({ 'GET /api/v1/file/a/b': cutAfter(Buffer.from('half')) }, [
      'cat',
      'a/b',
      'x',
    ])
    assert.deepEqual([code, text], [1, 'half'])
  })
})

describe('zhub rm', () => {
  it('acts in the repository of the name', async () => {
    const routes = { ...ME, 'DELETE /api/flist/me/a.flist': json({ status: 'success' }) }
    const { code, text, asked } = await zhub(routes, ['rm', 'al ice/a.flist'])
    assert.deepEqual([code, text], [0, ''])
    assert.deepEqual(
      asked.map(({ headers }) => headers['active-user']),
      ['al%20ice', 'al%20ice'],
    )
  })
})

describe('zhub fsck and gc', () => {
  const clean = { ok: true, checked: { chunks: 5, flists: 2, ops: 3 }, problems: [] }
  const step = { progress: { done: 1, total: 5, unit: 'chunks' } }

  it('exits 0 for a clean store and 1 for findings', async () => {
    const good = await zhub({ 'POST /api/v1/fsck': lines(step, { result: clean }) }, ['fsck'])
    assert.deepEqual([good.code, good.text], [0, 'checked 5 chunks, 2 flists, 3 operations: no problems\n'])
    const report = { ...clean, ok: false, problems: [{ kind: 'missing-chunk', id: 'ff', detail: 'of x' }] }
    const bad = await zhub({ 'POST /api/v1/fsck': lines({ result: report }) }, ['fsck', '--json'])
    assert.equal(bad.code, 1)
    assert.deepEqual(JSON.parse(bad.text), report)
  })

  it('passes the error of the last line on, and notices when there is none', async () => {
    const told = { error: { code: 'HUB_FORBIDDEN', message: 'not yours' } }
    const refused = await zhub({ 'POST /api/v1/fsck': lines(step, told) }, ['fsck'])
    assert.deepEqual([refused.code, refused.errors], [4, 'zhub: not yours\n'])
    const silent = await zhub({ 'POST /api/v1/fsck': lines(step) }, ['fsck'])
    assert.equal(silent.code, 1)
  })

  it('sends the wishes of gc', async () => {
    const routes = { 'POST /api/v1/gc': lines({ result: { chunks: 3, bytes: 2048 } }) }
    const { text, asked } = await zhub(routes, ['gc', '--grace', '1h', '--keep-versions', '2', '--dry-run'])
    assert.equal(text, 'would free 3 chunks, 2048 bytes (2.0 KiB)\n')
    assert.deepEqual(JSON.parse(asked[0]?.body.toString() ?? ''), {
      graceS: 3600,
      keepVersions: 2,
      dryRun: true,
    })
  })
})

describe('zhub backup and restore', () => {
  it('names an absolute folder to the node', async () => {
    const routes = { 'POST /api/v1/backup': lines({ result: { directory: '/x' } }) }
    const { asked } = await zhub(routes, ['backup', 'some/where'])
    const { directory } = JSON.parse(asked[0]?.body.toString() ?? '') as { directory: string }
    assert.equal(directory, join(process.cwd(), 'some/where'))
  })

  it('restores into an empty data folder only', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'zhub-restore-'))
    const restored: string[] = []
    const program = {
      offline: () => ({
        data: folder,
        serve: () => Promise.resolve(0 as const),
        restore: (backup: string) => Promise.resolve(restored.push(backup)),
      }),
    }
    try {
      const done = await runZhub(['restore', '/backup'], { program })
      assert.deepEqual([done.code, done.text, restored], [0, `${folder}\n`, ['/backup']])
      await writeFile(join(folder, 'something'), '')
      const refused = await runZhub(['restore', '/backup'], { program })
      assert.deepEqual([refused.code, restored.length], [1, 1])
      assert.match(refused.errors, /not empty/)
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})

describe('zhub put', () => {
  const routes = {
    ...ME,
    'POST /api/flist/me/upload': json({ status: 'success', payload: { name: 'ü.flist', files: {} } }),
    'POST /api/flist/me/upload-flist': json({ status: 'success', payload: { name: 'ü.flist' } }),
  }
  const withFile = async (name: string, content: string, use: (path: string) => Promise<void>) => {
    const folder = await mkdtemp(join(tmpdir(), 'zhub-put-'))
    try {
      await writeFile(join(folder, name), content)
      await use(join(folder, name))
    } finally {
      await rm(folder, { recursive: true })
    }
  }

  it('sends an archive as it is, under the name it was given', async () => {
    await withFile('image.tar.gz', 'archive bytes', async (path) => {
      const { text, asked } = await zhub(routes, ['put', path, 'al ice/ü'])
      assert.equal(text, 'al ice/ü.flist\n')
      const upload = asked[1]
      assert.equal(upload?.headers['active-user'], 'al%20ice')
      assert.equal(Buffer.from(String(upload?.headers['x-original-name']), 'latin1').toString(), 'ü.tar')
      assert.equal(Number(upload?.headers['content-length']), upload?.body.length)
      const form = upload?.body.toString() ?? ''
      assert.match(
        form,
        /name="file"; filename="upload\.tar"\r\n.*\r\n\r\narchive bytes\r\n--zhub-[0-9a-f]{32}--\r\n$/s,
      )
    })
  })

  it('publishes under whoever the node says we are when no repository is named', async () => {
    const { text, asked } = await zhub(routes, ['put', '-', 'x'], { stdin: Buffer.from('piped') })
    assert.equal(text, 'Administrator/ü.flist\n')
    assert.deepEqual(
      asked.map(({ path }) => path),
      ['/api/flist/me', '/api/flist/me/upload'],
    )
    assert.match(asked[1]?.body.toString() ?? '', /\r\n\r\npiped\r\n/)
  })

  it('sends an .flist as one', async () => {
    await withFile('x.flist', 'flist bytes', async (path) => {
      const { asked } = await zhub(routes, ['put', path, 'a/n.flist'])
      assert.equal(asked[1]?.path, '/api/flist/me/upload-flist')
      assert.equal(asked[1]?.headers['x-original-name'], 'n.flist')
    })
  })

  it('says which file is not there', async () => {
    const { code, errors } = await zhub(routes, ['put', '/no/such/file', 'x'])
    assert.deepEqual([code, errors], [3, 'zhub: no such file: /no/such/file\n'])
  })

  it('never writes to another repository than the one it was told', async () => {
    const bob = { ...routes, 'GET /api/flist/me': json({ status: 'success', payload: { username: 'bob' } }) }
    for (const words of [
      ['put', '-', 'alice/x'],
      ['rm', 'alice/x'],
    ]) {
      const { code, errors, asked } = await zhub(bob, words)
      assert.deepEqual([code, asked.length], [4, 1])
      assert.match(errors, /you are bob: the repository alice is not yours/)
    }
  })

  it('tells the reason of a refused upload', async () => {
    const refusing = {
      ...routes,
      'POST /api/flist/me/upload': failure(400, 'HUB_MALFORMED', 'not a tar archive'),
    }
    const { code, errors } = await zhub(refusing, ['put', '-', 'a/x'])
    assert.deepEqual([code, errors], [1, 'zhub: not a tar archive\n'])
  })
})

describe('every command', () => {
  it('ends with the exit code of what went wrong', async () => {
    const cases: Array<[number, string | undefined, number]> = [
      [401, undefined, 4],
      [403, undefined, 4],
      [404, undefined, 3],
      [401, 'HUB_CONFLICT', 1],
      [500, undefined, 1],
      [503, 'HUB_UNAVAILABLE', 5],
      [507, undefined, 1],
    ]
    for (const [status, code, expected] of cases) {
      const ended = await zhub({ 'GET /api/flist': failure(status, code, 'because') }, ['ls'])
      assert.deepEqual([ended.code, ended.errors], [expected, 'zhub: because\n'], String(status))
    }
  })

  it('talks to another node with --url and --token', async () => {
    await withNode({ 'GET /api/flist': json([]) }, async (node) => {
      assert.equal((await runZhub(['ls', '--url', node.url, '--token', 'T0ken'])).code, 0)
      assert.equal(node.asked[0]?.headers.authorization, 'bearer T0ken')
    })
  })

  it('takes the token from a file or the environment, where the process list does not show it', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'zhub-token-'))
    t.after(() => rm(folder, { recursive: true }))
    const file = join(folder, 'token')
    await writeFile(file, 'F1le\n')
    const program = { environmentToken: 'Env' }
    await withNode({ 'GET /api/flist': json([]) }, async (node) => {
      const sent = async (words: string[], environment = program) => {
        const { code, errors } = await runZhub(['ls', '--url', node.url, ...words], { program: environment })
        return code === 0 ? node.asked.at(-1)?.headers.authorization : `${code} ${errors}`
      }
      assert.equal(await sent([]), 'bearer Env')
      assert.equal(await sent([], { environmentToken: '' }), undefined)
      assert.equal(await sent(['--token', 'T']), 'bearer T')
      assert.equal(await sent(['--token-file', file]), 'bearer F1le')
      assert.match((await sent(['--token-file', file, '--token', 'T'])) ?? '', /^2 .*not both/)
      assert.match((await sent(['--token-file', join(folder, 'none')])) ?? '', /^3 .*no such file/)
      assert.match((await sent(['--token-file', folder])) ?? '', /^1 .*cannot read the token/)
      await writeFile(file, '\n')
      assert.match((await sent(['--token-file', file])) ?? '', /^1 .*holds no token/)
      assert.equal((await runZhub(['ls'], { node, program })).code, 0)
      assert.equal(node.asked.at(-1)?.headers.authorization, undefined)
    })
  })

  it('answers 5 when nobody is there', async () => {
    const node = await startFakeNode({})
    await node.close()
    assert.equal((await runZhub(['ls'], { node })).code, 5)
    assert.equal((await runZhub(['ls', '--url', node.url])).code, 5)
  })

  it('answers 2 for a command line it does not understand', async () => {
    const wrong = [
      [],
      ['bogus'],
      ['token'],
      ['ls', '--nope'],
      ['rm'],
      ['cat', 'a/b'],
      ['rm', 'name'],
      ['rm', 'a/b/c'],
    ]
    for (const words of [
      ...wrong,
      ['ls', '--token', 'x'],
      ['ls', '--token-file', 'x'],
      ['gc', '--grace', 'soon'],
      ['extract', 'a/b', '-', '--json'],
    ]) {
      const { code, text, errors } = await runZhub(words)
      assert.deepEqual([code, text], [2, ''], words.join(' '))
      assert.notEqual(errors, '')
    }
    assert.equal((await runZhub(['extract', 'a/b'], { isTerminal: true })).code, 2)
  })

  it('explains itself', async () => {
    assert.match((await runZhub(['--help'])).text, /token create/)
    assert.match((await runZhub(['gc', '--help'])).text, /--keep-versions COUNT/)
    assert.match((await runZhub(['serve', '--help'])).text, /--resp-password/)
    assert.equal((await runZhub(['version'])).text, 'zhub 1.2.3\n')
  })

  it('stops at once when it is interrupted, with 130', async () => {
    const stop = new AbortController()
    const routes = {
      'POST /api/v1/fsck': ((_asked, response) => {
        response.writeHead(200, { 'content-type': 'application/x-ndjson' })
        response.write('{"progress":{"done":1,"total":2,"unit":"chunks"}}\n', () =>
          stop.abort(new Error('stop')),
        )
      }) satisfies Answerer,
    }
    const { code, errors } = await zhub(routes, ['fsck'], { signal: stop.signal })
    assert.deepEqual([code, errors], [130, 'zhub: interrupted\n'])
  })
})
