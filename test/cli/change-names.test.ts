import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { json, runZhub, startFakeNode } from './fake-node.ts'

/** What a command line asks of a node on which everybody is who he says he is, and what it prints. */
async function asked(...words: string[]) {
  const done = json({ status: 'success' })
  const node = await startFakeNode(
    new Proxy(
      {
        'GET /api/flist/me': (one, response) => {
          const username = decodeURIComponent(String(one.headers['active-user'] ?? 'Administrator'))
          return json({ status: 'success', payload: { username } })(one, response)
        },
      } as Parameters<typeof startFakeNode>[0],
      { get: (routes, path: string) => Reflect.get(routes, path) ?? done },
    ),
  )
  try {
    const { code, text, errors } = await runZhub(words, { node })
    const last = node.asked
      .slice(1)
      .map(({ method, path, headers }) => [`${method} ${path}`, headers['active-user']])
    return { code, text, errors, asked: last[0] }
  } finally {
    await node.close()
  }
}

const CASES: ReadonlyArray<readonly [words: string, asked: string, as: string, prints: string]> = [
  ['ln alice/base latest', 'GET /api/flist/me/base/link/latest', 'alice', 'alice/latest.flist\n'],
  ['ln bob/a alice/x', 'GET /api/flist/me/x/crosslink/bob/a', 'alice', 'alice/x.flist\n'],
  ['mv alice/a b.flist', 'GET /api/flist/me/a/rename/b.flist', 'alice', 'alice/b.flist\n'],
  ['promote bob/a alice/c', 'GET /api/flist/me/promote/bob/a/c', 'alice', 'alice/c.flist\n'],
  ['promote bob/a c', 'GET /api/flist/me/promote/bob/a/c', 'Administrator', 'Administrator/c.flist\n'],
  ['tag bob/a alice/tags/v1', 'GET /api/flist/me/v1/a.flist/tag/bob/a', 'alice', 'alice/tags/v1/a.flist\n'],
  ['tag bob/a alice/tags/v1/x', 'GET /api/flist/me/v1/x.flist/tag/bob/a', 'alice', 'alice/tags/v1/x.flist\n'],
  ['untag alice/tags/v1/x', 'DELETE /api/flist/me/v1/x/tag/any/any', 'alice', ''],
  [
    'crosstag bob/tags/v1 alice/stable',
    'GET /api/flist/me/stable/crosstag/bob/v1',
    'alice',
    'alice/stable\n',
  ],
  ['ln alice/ä b', 'GET /api/flist/me/%C3%A4/link/b', 'alice', 'alice/b.flist\n'],
]

describe('commands that change names', () => {
  for (const [words, path, as, prints] of CASES)
    it(`zhub ${words}`, async () => {
      const { code, text, asked: last } = await asked(...words.split(' '))
      assert.deepEqual([code, text], [0, prints])
      assert.deepEqual(last, [path, as])
    })

  for (const words of [
    'mv alice/a bob/b',
    'untag tags/v1',
    'tag bob/a v1',
    'crosstag tags/v1 x',
    'ln base x',
  ])
    it(`zhub ${words} is refused before anything is asked`, async () => {
      const { code, asked: last } = await asked(...words.split(' '))
      assert.equal(code, 2)
      assert.equal(last, undefined)
    })
})
