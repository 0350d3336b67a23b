/** What the API shows of several nodes: peers, what is missing, conflicts, history. Two nodes that write side by side. */
import assert from 'node:assert/strict'
import { test, type TestContext } from 'node:test'
import { logId, repositoryId } from '../../src/format/operation.ts'
import type { Target, User } from '../../src/repo/entry.ts'
import { TestAuthority, TestNode, REALM } from '../repo/several-nodes.ts'
import { fromHex, toHex } from '../../src/util/bytes.ts'
import { FakePeers, fakeNode } from './doubles.ts'
import { ADMIN, ALICE, startServer, type Harness } from './harness.ts'

const USER: User = { sub: 'alice', idp: 'token' }
const XLINK: Target = { kind: 'xlink', repository: 'alice', name: 'a.flist' }

/** A farm of two nodes; the API is that of the first. */
async function farm(t: TestContext) {
  const authority = new TestAuthority()
  const [here, there] = [await TestNode.open(1, authority), await TestNode.open(2, authority)]
  const fake = fakeNode()
  const peers = new FakePeers(fake.flists)
  const node = { ...fake, replicated: peers, repositories: here.repositories }
  const server = await startServer(t, {}, {}, node as never)
  const flist = async (content: string): Promise<Target> => {
    const bytes = Buffer.from(JSON.stringify({ fake: true, content: [{ size: 1, path: content }] }))
    const id = await fake.flists.put({ bytes })
    return { kind: 'file', flist: id, sizeBytes: bytes.length, md5: toHex(id).slice(0, 32) }
  }
  const put = (on: TestNode, name: string, target: Target, tag?: string) => {
    on.clock.ms += 1000
    return on.repositories.apply('alice', [{ type: 'put', name, target, ...(tag && { tag }) }], USER)
  }
  const meet = async () => {
    await here.pull(there)
    await there.pull(here)
  }
  return { ...server, node, peers, here, there, authority, flist, put, meet }
}

interface V {
  readonly op: string
  readonly hash8: string
  readonly kind: string
  readonly author: string
  readonly node: string
  readonly time: number
  readonly size: number | null
  readonly md5: string | null
  readonly state: string
  readonly url: string | null
}

interface Conflict {
  readonly name: string
  readonly winner: V | null
  readonly others: V[]
}

async function list<T>({ ask }: Pick<Harness, 'ask'>, path: string, headers = {}) {
  const { status, text } = await ask('GET', `/api/v1/${path}`, { headers })
  assert.equal(status, 200, text)
  return JSON.parse(text) as { items: T[]; next: string | null }
}

test('two versions of one name are listed, served and settled', async (t) => {
  const world = await farm(t)
  const { ask, here, there, flist, put, meet } = world
  await put(here, 'a.flist', await flist('here'))
  there.clock.ms += 5000
  await put(there, 'a.flist', await flist('there'))
  await meet()

  const { items } = await list<Conflict>(world, 'conflicts/alice')
  const [{ name, winner, others } = { name: '', winner: null, others: [] }] = items
  assert.deepEqual([items.length, name, others.length], [1, 'a.flist', 1])
  const [other] = others
  assert.ok(winner && other)
  assert.equal(winner.node, toHex(there.key.publicKey))
  assert.equal(other.node, toHex(here.key.publicKey))
  assert.deepEqual(Object.keys(winner).sort(), [
    ...['author', 'hash8', 'kind', 'md5', 'node', 'op', 'size', 'state', 'time', 'url'],
  ])
  assert.deepEqual([other.author, other.kind, other.op.slice(0, 8)], ['alice', 'file', other.hash8])
  assert.equal(other.url, `http://hub.example.test/alice/a~${other.hash8}.flist`)
  assert.equal((await list<Conflict>(world, 'conflicts')).items[0]?.name, 'alice/a.flist')

  const download = await ask('GET', '/alice/a.flist')
  assert.deepEqual([download.headers['x-hub-conflict'], /there/.test(download.text)], ['1', true])
  assert.match((await ask('GET', new URL(other.url ?? '').pathname)).text, /here/)

  const body = JSON.stringify({ op: other.op })
  assert.equal((await ask('POST', '/api/v1/conflicts/alice/a.flist', { headers: ALICE, body })).status, 403)
  const wrong = JSON.stringify({ op: 'ff'.repeat(32) })
  const settle = (text: string) => ask('POST', '/api/v1/conflicts/alice/a', { headers: ADMIN, body: text })
  assert.equal((await settle(wrong)).status, 404)
  assert.equal((await settle(body)).status, 200)
  assert.deepEqual((await list(world, 'conflicts/alice')).items, [])
  const after = await ask('GET', '/alice/a.flist')
  assert.deepEqual([after.headers['x-hub-conflict'], /here/.test(after.text)], ['0', true])
  const past = await list<Conflict>(world, 'conflicts/alice?past=1')
  assert.deepEqual(
    past.items.map(({ name, others }) => [name, others.map(({ op, state }) => [op, state])]),
    [['a.flist', [[other.op, 'superseded in conflict']]]],
  )
})

test('the pages show a conflict, and what is not whole here as long as it is not', async (t) => {
  const { ask, here, there, flist, put, meet, peers } = await farm(t)
  const target = await flist('a')
  await put(here, 'a.flist', await flist('b'))
  there.clock.ms += 5000
  await put(there, 'a.flist', target)
  await meet()
  assert.match((await ask('GET', '/alice')).text, /class="badge">1 other version</)
  const page = async () => (await ask('GET', '/alice/a.flist.md')).text
  assert.match(await page(), /href="\/alice\/a~[0-9a-f]{8}\.flist" download/)
  assert.match(await page(), /Not all of it is on this node/)
  if (target.kind === 'file') peers.complete.add(toHex(target.flist))
  assert.doesNotMatch(await page(), /Not all of it is on this node/)
})

test('links, taglinks and entries of tags have conflicts too', async (t) => {
  const world = await farm(t)
  const { ask, here, there, put, meet, flist } = world
  await put(here, 'a.flist', await flist('a'))
  await meet()
  const taglink = (tag: string): Target => ({ kind: 'taglink', repository: 'alice', tag })
  await put(here, 'latest', taglink('v1'))
  await put(there, 'latest', taglink('v2'))
  await put(here, 'b.flist', { kind: 'link', name: 'a.flist' })
  await put(there, 'b.flist', XLINK)
  const entry = (name: string): Target => ({ kind: 'tagentry', repository: 'alice', name })
  await put(here, 'c.flist', entry('a.flist'), 'v1')
  await put(there, 'c.flist', entry('b.flist'), 'v1')
  await meet()
  const { items } = await list<Conflict>(world, 'conflicts/alice')
  const seen = items.map(({ name, winner, others }) => [name, winner?.kind, others.map(({ url }) => url)])
  assert.deepEqual(
    seen.map(([name]) => name),
    ['b.flist', 'latest', 'tags/v1/c.flist'],
  )
  assert.deepEqual(
    seen.map(([, , urls]) => urls),
    [[null], [null], [null]],
  )
  for (const { name, others } of items) {
    const body = JSON.stringify({ op: others[0]?.op })
    const path = `/api/v1/conflicts/alice/${name}`
    assert.equal((await ask('POST', path, { headers: ADMIN, body })).status, 200, path)
    const versions = await list<V>(world, `history/alice/${name}`)
    assert.deepEqual(versions.items.map(({ state }) => state).sort(), [
      ...['current', 'superseded', 'superseded in conflict'],
    ])
  }
  assert.deepEqual((await list(world, 'conflicts/alice')).items, [])
})

test('what a node signed after it was cut is in the history as quarantined, and served to nobody', async (t) => {
  const world = await farm(t)
  const { ask, here, there, authority, flist, put, meet } = world
  await put(there, 'a.flist', await flist('good'))
  await meet()
  const good = (await list<V>(world, 'history/alice/a.flist')).items[0]
  await put(there, 'a.flist', await flist('bad'))
  await put(there, 'b.flist', await flist('bad too'))
  const log = logId(repositoryId(REALM, 'alice'), there.key.publicKey, there.incarnation)
  const limit = { sequence: 1, hash: fromHex(good?.op ?? '') ?? new Uint8Array() }
  authority.limits.set(toHex(there.key.publicKey), (asked) =>
    toHex(asked) === toHex(log) ? [limit] : 'none',
  )
  await meet()
  await here.repositories.recount([there.key.publicKey])
  const { items } = await list<V>(world, 'history/alice/a.flist')
  assert.deepEqual(
    items.map(({ state, op }) => [state, op === good?.op]),
    [
      ['quarantined', false],
      ['current', true],
    ],
  )
  assert.match((await ask('GET', '/alice/a.flist')).text, /good/)
  assert.equal((await ask('GET', `/alice/a~${items[0]?.op.slice(0, 8)}.flist`)).status, 404)
  assert.equal((await ask('GET', '/alice/b.flist')).status, 404)
  const hidden = (await list<V>(world, 'history/alice/b.flist')).items
  assert.deepEqual(
    hidden.map(({ state }) => state),
    ['quarantined'],
  )
  // An operator who looked at it may take it over.
  const body = JSON.stringify({ op: hidden[0]?.op })
  assert.equal((await ask('POST', '/api/v1/conflicts/alice/b.flist', { headers: ADMIN, body })).status, 200)
  assert.match((await ask('GET', '/alice/b.flist')).text, /bad too/)
})

test('lists come in pages', async (t) => {
  const world = await farm(t)
  const { ask, here, flist, put } = world
  for (let version = 0; version < 5; version++) await put(here, 'a.flist', await flist(`v${version}`))
  const all = (await list<V>(world, 'history/alice/a.flist')).items
  const seen: V[] = []
  for (let next: string | null = ''; next !== null;) {
    const page: { items: V[]; next: string | null } = await list<V>(
      world,
      `history/alice/a.flist?limit=2${next === '' ? '' : `&after=${next}`}`,
    )
    assert.ok(page.items.length <= 2)
    seen.push(...page.items)
    next = page.next
  }
  assert.deepEqual([all.length, seen], [5, all])
  assert.equal((await ask('GET', '/api/v1/history/alice/a.flist?after=zz')).status, 400)
  assert.equal((await ask('GET', '/api/v1/history/alice/a.flist?limit=0')).status, 400)
  world.peers.held = ['c', 'a', 'b'].map((name) => {
    return { name, held: false, flists: 1, missingFlists: 1, missingChunks: 2, missingBytes: 3 }
  })
  const first = await list<{ name: string }>(world, 'repositories?limit=2')
  assert.deepEqual([first.items.map(({ name }) => name), first.next], [['a', 'b'], 'b'])
  // The one that a page ended with may be gone by the next.
  const rest = await list<{ name: string }>(world, 'repositories?after=bb')
  assert.deepEqual([rest.items.map(({ name }) => name), rest.next], [['c'], null])
})

test('peers are for everybody, where they are reached for the Administrator', async (t) => {
  const world = await farm(t)
  const addrs = ['/ip4/192.0.2.2/tcp/9901']
  const peer = { name: 'b', connected: true, lagOps: 2, missingBytes: 5, etaSeconds: null, lastSeen: 1 }
  world.peers.reports = [{ node: 'bb', addrs, ...peer }]
  assert.deepEqual(await list(world, 'peers'), { items: [{ node: 'bb', ...peer }], next: null })
  assert.deepEqual((await list(world, 'peers', ALICE)).items, [{ node: 'bb', ...peer }])
  assert.deepEqual((await list(world, 'peers', ADMIN)).items, [{ node: 'bb', addrs, ...peer }])
  const wrong = await world.ask('GET', '/api/v1/peers', { headers: { Authorization: 'bearer nobody' } })
  assert.equal(wrong.status, 401)
})

test('metrics of replication have labels, and go when they are no longer told', async (t) => {
  const { ask, peers } = await farm(t)
  const lines = async () =>
    (await ask('GET', '/metrics')).text.split('\n').filter((line) => line.startsWith('zhub_peer_lag'))
  assert.deepEqual(await lines(), ['zhub_peer_lag{peer="ab"} 3', 'zhub_peer_lag{peer="cd"} 4'])
  peers.metrics = () => [{ name: 'zhub_peer_lag', help: 'Operations', value: 7, labels: { peer: 'cd' } }]
  assert.deepEqual(await lines(), ['zhub_peer_lag{peer="cd"} 7'])
  peers.metrics = () => []
  assert.deepEqual(await lines(), [])
})
