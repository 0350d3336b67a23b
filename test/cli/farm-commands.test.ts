import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatDuration } from '../../src/cli/output.ts'
import { failure, json, runZhub, startFakeNode, type Answerer, type RunOptions } from './fake-node.ts'

async function zhub(
  routes: Readonly<Record<string, Answerer>>,
  words: readonly string[],
  options: RunOptions = {},
) {
  const node = await startFakeNode(routes)
  try {
    return { ...(await runZhub(words, { node, ...options })), asked: node.asked }
  } finally {
    await node.close()
  }
}

const list = (...items: unknown[]) => json({ items, next: null })

const NODE = 'ab'.repeat(32)
const PEER = {
  ...{ node: NODE, name: 'berlin', connected: true, addrs: ['/ip4/192.0.2.1/tcp/9901'], lagOps: 3 },
  ...{ missingBytes: 5 * 2 ** 20, etaSeconds: 4000, lastSeen: 1_700_000_000 },
}
const AWAY = {
  ...PEER,
  name: '',
  connected: false,
  lagOps: 0,
  missingBytes: 0,
  etaSeconds: null,
  lastSeen: null,
}
const STATUS = {
  ...{ version: '1.0.0', node: NODE, realm: 'cd'.repeat(32), readonly: false, uptime: 7500 },
  ...{ frontierAge: 12, counts: { repositories: 2, flists: 1, chunks: 4, bytes: 2048 } },
  disk: { free: 2 ** 30, low: 2 ** 20 },
}
const version = (op: string, state: string, more: object = {}) => ({
  ...{ op: op.repeat(32), author: 'alice', node: NODE, time: 1_700_000_000, kind: 'file', md5: 'm' },
  ...{ size: 1536, state, ...more },
})

describe('zhub peers', () => {
  it('shows who is connected, how far each is ahead, and how long what is missing takes', async () => {
    const routes = { 'GET /api/v1/peers': list(PEER, AWAY) }
    const { text, code } = await zhub(routes, ['peers'], { isTerminal: true })
    const [head, first, second] = text.split('\n')
    assert.equal(code, 0)
    assert.match(head ?? '', /^NODE +NAME +LINE +OPS TO COME +BYTES TO COME +DONE IN +LAST SEEN +ADDRESSES$/)
    assert.match(
      first ?? '',
      /^abababababababab +berlin +connected +3 +5\.0 MiB +1 h 6 min +2023-11-14 22:13:20Z +\/ip4\/192\.0\.2\.1\/tcp\/9901$/,
    )
    assert.match(second ?? '', /^abababababababab +- +away +0 +0 B +- +never/)
    const document = await zhub(routes, ['peers', '--json'])
    assert.deepEqual(JSON.parse(document.text), { items: [PEER, AWAY], next: null })
  })

  it('says on stderr that there are none; fetches every page', async () => {
    const none = await zhub({ 'GET /api/v1/peers': list() }, ['peers'])
    assert.deepEqual([none.code, none.text], [0, ''])
    assert.match(none.errors, /no peers/)
    const pages: Answerer = (asked, response) => {
      const isFirst = !asked.path.includes('after=')
      return json({ items: [isFirst ? PEER : AWAY], next: isFirst ? NODE : null })(asked, response)
    }
    const { text, asked } = await zhub({ 'GET /api/v1/peers': pages }, ['peers', '--json'])
    assert.equal((JSON.parse(text) as { items: unknown[] }).items.length, 2)
    assert.equal(asked[1]?.path, `/api/v1/peers?after=${NODE}`)
  })

  it('never lets a peer speak to the terminal', async () => {
    const { text } = await zhub({ 'GET /api/v1/peers': list({ ...PEER, name: '\u001b[2J' }) }, ['peers'])
    assert.doesNotMatch(text, /\u001b/)
  })
})

describe('zhub status', () => {
  const lacking = {
    name: 'alice',
    held: false,
    flists: 3,
    missingFlists: 1,
    missingChunks: 2,
    missingBytes: 9,
  }
  const routes = {
    'GET /api/v1/status': json(STATUS),
    'GET /api/v1/peers': list(PEER, AWAY),
    'GET /api/v1/repositories': list(lacking, {
      ...lacking,
      name: 'bob',
      missingFlists: 0,
      missingChunks: 0,
    }),
  }

  it('tells how the node is, what is missing and when it will be here', async () => {
    const { text, code } = await zhub(routes, ['status'])
    assert.equal(code, 0)
    assert.match(text, /^up +2 h 5 min$/m)
    assert.match(text, /^peers +1 of 2 connected$/m)
    assert.match(text, /^heard +12 s ago$/m)
    assert.match(text, /^missing +1 repository, here in 1 h 6 min$/m)
    assert.match(text, /^alice +1 +2 +9 B$/m)
    assert.doesNotMatch(text, /^bob/m)
    const document = await zhub(routes, ['status', '--json'])
    assert.deepEqual(JSON.parse(document.text), STATUS)
  })

  it('of a node alone says so, and of one that nobody sends anything', async () => {
    const alone = await zhub({ ...routes, 'GET /api/v1/peers': list() }, ['status'])
    assert.match(alone.text, /^peers +none$/m)
    const stuck = list({ ...PEER, etaSeconds: null })
    assert.match(
      (await zhub({ ...routes, 'GET /api/v1/peers': stuck }, ['status'])).text,
      /nothing is coming/,
    )
  })
})

describe('zhub history, conflicts and resolve', () => {
  const [winner, other] = [version('ab', 'current'), version('cd', 'conflict', { size: null, kind: 'link' })]
  const conflict = { name: 'alice/a.flist', winner, others: [other] }

  it('list versions', async () => {
    const routes = { 'GET /api/v1/history/alice/a': list(winner, other) }
    const { text } = await zhub(routes, ['history', 'alice/a'])
    assert.deepEqual(text.split('\n'), [
      'abababab  2023-11-14 22:13:20Z  file  1.5 KiB  alice  abababab  current',
      'cdcdcdcd  2023-11-14 22:13:20Z  link  -        alice  abababab  conflict',
      '',
    ])
    assert.equal((await zhub({}, ['history', 'alice/a'])).code, 3)
    assert.equal((await zhub({}, ['history', 'alice'])).code, 2)
    const tagged = { 'GET /api/v1/history/alice/tags/v1/a': list(winner) }
    assert.equal((await zhub(tagged, ['history', 'alice/tags/v1/a'])).code, 0)
  })

  it('list conflicts, of one repository or all, standing or past', async () => {
    const { text } = await zhub({ 'GET /api/v1/conflicts': list(conflict) }, ['conflicts'])
    assert.match(text, /^alice\/a\.flist +shown +abababab .*\nalice\/a\.flist +other +cdcdcdcd /)
    const own = { 'GET /api/v1/conflicts/alice': list({ ...conflict, name: 'a.flist', winner: null }) }
    const past = await zhub(own, ['conflicts', 'alice', '--past'])
    assert.match(past.text, /^alice\/a\.flist +other +cdcdcdcd [^\n]*\n$/)
    assert.equal(past.asked[0]?.path, '/api/v1/conflicts/alice?past=1')
    const document = await zhub({ 'GET /api/v1/conflicts': list(conflict) }, ['conflicts', '--json'])
    assert.deepEqual(JSON.parse(document.text), { items: [conflict], next: null })
    assert.deepEqual(await zhub({ 'GET /api/v1/conflicts': list() }, ['conflicts']).then((r) => r.text), '')
  })

  it('settle one by the first digits of a version', async () => {
    const routes = {
      'GET /api/v1/history/alice/a': list(winner, other, version('cdcdcdcdcd', 'superseded')),
      'POST /api/v1/conflicts/alice/a': json({ status: 'success' }),
    }
    const done = await zhub(routes, ['resolve', 'alice/a', 'ABABABAB'])
    assert.deepEqual([done.code, done.text], [0, ''])
    assert.deepEqual(JSON.parse(done.asked[1]?.body.toString() ?? ''), { op: winner.op })
    assert.equal((await zhub(routes, ['resolve', 'alice/a', 'cdcdcdcd'])).code, 1) // two of them
    assert.equal((await zhub(routes, ['resolve', 'alice/a', '00000000'])).code, 3)
    assert.equal((await zhub(routes, ['resolve', 'alice/a', 'abc'])).code, 2)
    const refused = { ...routes, 'POST /api/v1/conflicts/alice/a': failure(401, undefined, 'no') }
    assert.equal((await zhub(refused, ['resolve', 'alice/a', 'abababab'])).code, 4)
  })
})

describe('durations', () => {
  it('are told in the two largest units that say something', () => {
    const told = [0, 59.4, 60, 3599, 3600, 3900, 86_400, 90_000].map(formatDuration)
    assert.deepEqual(told, ['0 s', '59 s', '1 min', '59 min', '1 h', '1 h 5 min', '1 d', '1 d 1 h'])
  })
})
