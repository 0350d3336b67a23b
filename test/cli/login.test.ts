import assert from 'node:assert/strict'
import { test } from 'node:test'
import { json, runZhub, startFakeNode } from './fake-node.ts'

const ALICE = { user: 'alice.3bot', key: 'ab'.repeat(32), pinned: 1_700_000_000 }

test('zhub login lists pinned keys, and forgets one', async (t) => {
  const node = await startFakeNode({
    'GET /api/v1/login-keys': json({ items: [ALICE], next: null }),
    'DELETE /api/v1/login-keys/alice.3bot': json({ forgotten: 'alice.3bot' }),
  })
  t.after(() => node.close())
  const zhub = (...words: string[]) => runZhub(words, { node })
  assert.equal((await zhub('login', 'list')).text, `alice.3bot  ${ALICE.key}  2023-11-14 22:13:20Z\n`)
  const listed = await zhub('login', 'list', '--json')
  assert.deepEqual(JSON.parse(listed.text), { items: [ALICE], next: null })
  const forgotten = await zhub('login', 'forget', 'alice.3bot')
  assert.deepEqual([forgotten.code, forgotten.text], [0, 'alice.3bot\n'])
  assert.equal((await zhub('login', 'forget', 'nobody')).code, 3)
  assert.equal((await zhub('login', 'forget')).code, 2)
})
