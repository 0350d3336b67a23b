import assert from 'node:assert/strict'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { ClassicLevel } from 'classic-level'
import fc from 'fast-check'
import { decodeOperation, verifyOperation } from '../../src/format/operation.ts'
import type { SignedOperation } from '../../src/format/operation.ts'
import type { Change, Entry } from '../../src/repo/entry.ts'
import { checkOperations } from '../../src/repo/check.ts'
import type { OperationProblem } from '../../src/repo/check.ts'
import { HybridClock } from '../../src/repo/hybrid-clock.ts'
import { openRealm } from '../../src/repo/realm.ts'
import type { SignedRepositories } from '../../src/repo/repositories.ts'
import { EntryList } from '../../src/repo/view.ts'
import { LevelRowStore } from '../../src/store/level-row-store.ts'
import { equalBytes, fromUtf8, toHex } from '../../src/util/bytes.ts'
import { DAY_MS, MINUTE_MS } from '../../src/util/units.ts'
import { asText } from '../doubles/as-text.ts'
import type { MapRows } from '../doubles/map-rows.ts'
import { testRepositories } from '../suites/repositories.ts'
import {
  ALICE,
  flist,
  openOn,
  openTestRepositories,
  START_MS,
  temporaryFolder,
  TestClock,
} from './a-repository.ts'

testRepositories('SignedRepositories', openTestRepositories)
testRepositories('SignedRepositories over LevelDB', async (context) => {
  const directory = await temporaryFolder(context)
  const database = new ClassicLevel<Uint8Array, Uint8Array>(join(directory, 'index'), {
    keyEncoding: 'view',
    valueEncoding: 'view',
  })
  await database.open()
  context.after(() => database.close())
  return openOn(new LevelRowStore(database), new TestClock(), directory)
})

const put = (name: string, number: number): Change => ({ type: 'put', name, target: flist(number) })
const drop = (name: string): Change => ({ type: 'delete', name })

function operations(rows: MapRows): SignedOperation[] {
  return [...rows.space('op').values()].map((bytes) => decodeOperation(bytes))
}

async function problems(repositories: SignedRepositories, holds = true): Promise<OperationProblem[]> {
  const found: OperationProblem[] = []
  for await (const problem of repositories.checkOperations({ holds: () => holds })) found.push(problem)
  return found
}

async function live(
  repositories: SignedRepositories,
  keepVersions: number,
  keepForMs: number,
): Promise<number[]> {
  const found = new Set<number>()
  for await (const id of repositories.liveFlists({ keepVersions, keepForMs })) found.add(id[31] ?? 0)
  return [...found].sort((a, b) => a - b)
}

describe('the log of a repository', () => {
  it('is a chain of operations signed by the node, in one batch each', async (context) => {
    const { repositories, rows } = await openTestRepositories(context)
    const before = rows.writes
    await repositories.apply('alice', [put('a.flist', 1)], ALICE)
    await repositories.apply('alice', [put('a.flist', 2), put('b.flist', 3)], ALICE)
    await repositories.apply('bob', [put('a.flist', 4)], ALICE)
    assert.equal(rows.writes - before, 3)
    const all = operations(rows)
    assert.ok(all.every(verifyOperation))
    const [first, second] = all
      .filter(({ operation }) => operation.repository === 'alice')
      .sort((a, b) => a.operation.sequence - b.operation.sequence)
    assert.equal(asText(second?.operation.previous), asText(first?.hash))
    const changed = second?.operation.effects.find(({ name }) => name === 'a.flist')
    assert.equal(asText(changed?.supersedes), asText([first?.hash]))
    assert.deepEqual(second?.operation.user, { sub: 'alice', idp: 'token' })
  })

  it('goes on after a restart where it ended', async (context) => {
    const opened = await openTestRepositories(context)
    await opened.repositories.apply('alice', [put('a.flist', 1)], ALICE)
    const { repositories, rows } = await opened.reopen()
    await repositories.apply('alice', [put('a.flist', 2)], ALICE)
    const all = operations(rows)
    assert.deepEqual(all.map(({ operation }) => operation.sequence).sort(), [1, 2])
    assert.equal(rows.space('log').size, 1)
    assert.deepEqual(await problems(repositories), [])
  })

  it('never signs a sequence number twice after a write that failed, whether it landed or not', async (context) => {
    for (const butKeep of [false, true]) {
      const opened = await openTestRepositories(context)
      const { repositories, rows } = opened
      await repositories.apply('alice', [put('a.flist', 1)], ALICE)
      const error = new Error('no space left on the device')
      rows.failure = { error, butKeep }
      await assert.rejects(
        repositories.apply('alice', [put('a.flist', 2)], ALICE),
        (thrown) => thrown === error,
      )
      assert.equal(repositories.find('alice', 'a.flist')?.target.kind === 'file', true)
      assert.equal(repositories.revision('alice'), 1)
      rows.failure = undefined
      await repositories.apply('alice', [put('a.flist', 3)], ALICE)
      assert.equal(repositories.revision('alice'), butKeep ? 3 : 2)
      assert.equal(repositories.totalRevision, repositories.revision('alice'))
      assert.deepEqual(await problems(repositories), [])
      const places = operations(rows).map(
        ({ operation }) => `${toHex(operation.incarnation)} ${operation.sequence}`,
      )
      assert.equal(new Set(places).size, places.length)
      const reopened = await opened.reopen()
      const entry = reopened.repositories.find('alice', 'a.flist')
      assert.deepEqual(entry?.target.kind === 'file' && entry.target.sizeBytes, 1003)
      await reopened.repositories.apply('alice', [put('b.flist', 4)], ALICE)
      assert.equal(rows.space('log').size, 2)
    }
  })

  it('has one row of its last change, with a number that grows over all repositories', async (context) => {
    const opened = await openTestRepositories(context)
    for (const name of ['alice', 'bob', 'alice'])
      await opened.repositories.apply(name, [put('a.flist', 1)], ALICE)
    const { repositories, rows } = await opened.reopen()
    assert.deepEqual([...rows.space('chg').keys()].sort(), ['0000000000000002', '0000000000000003'])
    await repositories.apply('bob', [put('b.flist', 2)], ALICE)
    assert.deepEqual([...rows.space('chg').keys()].sort(), ['0000000000000003', '0000000000000004'])
  })
})

describe('the time of an operation', () => {
  it('grows with each, also when the clock stands or goes back', async (context) => {
    const { repositories, rows, clock } = await openTestRepositories(context)
    for (const ms of [START_MS, START_MS, START_MS - 5 * MINUTE_MS, START_MS + 1]) {
      clock.ms = ms
      await repositories.apply('alice', [put('a.flist', 1)], ALICE)
    }
    const times = operations(rows)
      .sort((a, b) => a.operation.sequence - b.operation.sequence)
      .map(({ operation: { time } }) => [time.ms - START_MS, time.counter])
    assert.deepEqual(times, [
      [0, 0],
      [0, 1],
      [0, 2],
      [1, 0],
    ])
  })

  it('follows the wall clock, and not a known time that is over 10 minutes ahead of it', async (context) => {
    const opened = await openTestRepositories(context)
    opened.clock.ms = START_MS + 60 * MINUTE_MS
    await opened.repositories.apply('alice', [put('a.flist', 1)], ALICE)
    opened.clock.ms = START_MS
    const { repositories } = await opened.reopen()
    const [entry] = await repositories.apply('alice', [put('a.flist', 2)], ALICE)
    assert.equal(entry?.updatedS, START_MS / 1000)
    assert.equal(repositories.find('alice', 'a.flist')?.target.kind === 'file' && true, true)
  })
})

describe('HybridClock', () => {
  it('goes back with a wall clock that goes back over 10 minutes, and not before', () => {
    let wallMs = START_MS
    const clock = new HybridClock(() => wallMs)
    clock.next()
    wallMs -= 10 * MINUTE_MS
    assert.deepEqual(clock.next(), { ms: START_MS, counter: 1 })
    wallMs -= 1
    assert.deepEqual(clock.next(), { ms: wallMs, counter: 0 })
  })

  it('passes what it hears of, unless that is over 10 minutes ahead', () => {
    const clock = new HybridClock(() => START_MS)
    clock.observe({ ms: START_MS + 10 * MINUTE_MS, counter: 7 })
    clock.observe({ ms: START_MS + 10 * MINUTE_MS + 1, counter: 0 })
    clock.observe({ ms: 1, counter: 99 })
    assert.deepEqual(clock.next(), { ms: START_MS + 10 * MINUTE_MS, counter: 8 })
  })
})

describe('retention', () => {
  it('keeps what stands, the last versions, and what was replaced lately', async (context) => {
    const { repositories, clock } = await openTestRepositories(context)
    for (let number = 1; number <= 5; number++) {
      await repositories.apply('alice', [put('a.flist', number)], ALICE)
      clock.ms += DAY_MS
    }
    assert.deepEqual(await live(repositories, 1, 0), [5])
    assert.deepEqual(await live(repositories, 3, 0), [3, 4, 5])
    assert.deepEqual(await live(repositories, 10, 0), [1, 2, 3, 4, 5])
    // Versions 3 and 4 were replaced 2 days and 1 day ago.
    assert.deepEqual(await live(repositories, 1, 2 * DAY_MS + 1), [3, 4, 5])
    await repositories.apply('alice', [drop('a.flist')], ALICE)
    assert.deepEqual(await live(repositories, 0, 0), [])
    assert.deepEqual(await live(repositories, 2, 0), [4, 5])
    assert.deepEqual(await live(repositories, 0, 1), [5])
  })

  it('keeps one name apart from another', async (context) => {
    const { repositories, clock } = await openTestRepositories(context)
    for (const [index, name] of ['a.flist', 'a.flist', 'b.flist', 'c.flist', 'c.flist'].entries()) {
      await repositories.apply(index % 2 === 0 ? 'alice' : 'bob', [put(name, index + 1)], ALICE)
      clock.ms += DAY_MS
    }
    await repositories.apply('alice', [put('a.flist', 9)], ALICE)
    clock.ms += DAY_MS
    assert.deepEqual(await live(repositories, 1, 0), [2, 3, 4, 5, 9])
    assert.deepEqual(await live(repositories, 2, 0), [1, 2, 3, 4, 5, 9])
  })
})

describe('the check of operations', () => {
  it('finds nothing wrong after any history, also after a restart', async (context) => {
    const change = fc.oneof(
      fc.record({ name: fc.constantFrom('a.flist', 'b.flist', 'c.flist'), number: fc.nat(5) }),
      fc.record({ name: fc.constantFrom('a.flist', 'b.flist', 'c.flist') }),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 12 }), async (changes) => {
        const opened = await openTestRepositories(context)
        for (const one of changes) {
          await opened.repositories.apply(
            'alice',
            ['number' in one ? put(one.name, one.number) : drop(one.name)],
            ALICE,
          )
        }
        const reopened = await opened.reopen()
        assert.deepEqual(await problems(reopened.repositories), [])
        assert.equal(
          asText(reopened.repositories.entries('alice')),
          asText(opened.repositories.entries('alice')),
        )
      }),
      { numRuns: 25 },
    )
  })

  it('finds nothing wrong after changes side by side of which some fail, landed or not', async (context) => {
    const name = fc.constantFrom('a.flist', 'b.flist')
    const move = fc.record({
      repository: fc.constantFrom('alice', 'bob'),
      change: fc.oneof(fc.record({ name, number: fc.nat(5) }), fc.record({ name })),
      outcome: fc.constantFrom('done', 'done', 'done', 'lost', 'kept'),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.array(move, { maxLength: 4 }), { maxLength: 6 }), async (rounds) => {
        const { repositories, rows, reopen } = await openTestRepositories(context)
        for (const round of rounds) {
          const outcome = round[0]?.outcome ?? 'done'
          rows.failure =
            outcome === 'done' ? undefined : { error: new Error('full'), butKeep: outcome === 'kept' }
          const changes = round.map(({ repository, change: one }) =>
            repositories.apply(
              repository,
              ['number' in one ? put(one.name, one.number) : drop(one.name)],
              ALICE,
            ),
          )
          const settled = await Promise.allSettled(changes)
          if (outcome === 'done') assert.ok(settled.every(({ status }) => status === 'fulfilled'))
        }
        rows.failure = undefined
        for (const repository of ['alice', 'bob'])
          await repositories.apply(repository, [put('z.flist', 9)], ALICE)
        assert.deepEqual(await problems(repositories), [])
        const after = (await reopen()).repositories
        for (const repository of ['alice', 'bob']) {
          assert.equal(asText(after.entries(repository)), asText(repositories.entries(repository)))
          assert.equal(after.revision(repository), repositories.revision(repository))
        }
        assert.equal(after.totalRevision, repositories.totalRevision)
      }),
      { numRuns: 40 },
    )
  })

  /** Spoils one row and says what should be found. */
  const spoilt: Record<string, [spoil: (rows: MapRows) => void, kinds: string[]]> = {
    'a changed byte in an operation': [
      (rows) => change(rows, 'op', (value) => flip(value, 60)),
      ['operation-malformed', 'operation-chain', 'history-differs'],
    ],
    'a lost operation in a chain': [
      (rows) => rows.space('op').delete(firstKey(rows, 'op')),
      ['operation-chain', 'repository-row'],
    ],
    'a lost place': [(rows) => rows.space('oph').delete(firstKey(rows, 'oph')), ['operation-place']],
    'a lost log': [
      (rows) => rows.space('log').clear(),
      ['repository-row', 'operation-stray', 'heads-differ', 'view-differs', 'history-differs'],
    ],
    'a log that names another end': [
      (rows) => change(rows, 'log', (value) => flip(value, value.length - 1)),
      ['log-heads', 'repository-row'],
    ],
    'a lost winner': [(rows) => rows.space('view').delete(firstKey(rows, 'view')), ['view-differs']],
    'another winner': [(rows) => change(rows, 'view', (value) => flip(value, 10)), ['view-differs']],
    'a winner of nothing': [
      (rows) => rows.space('view').set(firstKey(rows, 'view').replace('66', '67'), new Uint8Array(3)),
      ['view-differs'],
    ],
    'a lost head': [(rows) => rows.space('head').delete(firstKey(rows, 'head')), ['heads-differ']],
    'a lost version': [(rows) => rows.space('past').delete(firstKey(rows, 'past')), ['history-differs']],
  }
  it('names an author who was never admitted', async (context) => {
    const { repositories, rows } = await openTestRepositories(context)
    await repositories.apply('alice', [put('a.flist', 1)], ALICE)
    const id = rows.get('own', fromUtf8('realm')) ?? assert.fail('no realm')
    const admission = [...(await openRealm(rows, id)).items()].find((item) => 'record' in item)
    rows.space('gov').delete(toHex(id) + toHex(admission?.hash ?? assert.fail('no admission')))
    const { governance: authority } = await openRealm(rows, id)
    const found: string[] = []
    const options = { holds: () => true }
    for await (const { kind } of checkOperations(
      rows,
      { realm: id, authority },
      (_, work) => work(),
      options,
    ))
      found.push(kind)
    assert.ok(found.includes('operation-author'), found.join())
  })

  for (const [what, [spoil, kinds]] of Object.entries(spoilt)) {
    it(`names ${what}`, async (context) => {
      const opened = await openTestRepositories(context)
      for (const number of [1, 2, 3])
        await opened.repositories.apply('alice', [put('a.flist', number)], ALICE)
      spoil(opened.rows)
      const found = await problems(opened.repositories)
      for (const kind of kinds)
        assert.ok(
          found.some((problem) => problem.kind === kind),
          `${kind} is not named`,
        )
    })
  }

  it('names a signature that is not the author’s', async (context) => {
    const { repositories, rows } = await openTestRepositories(context)
    await repositories.apply('alice', [put('a.flist', 1)], ALICE)
    const [[key, bytes] = ['', new Uint8Array(0)]] = rows.space('op')
    const forged = bytes.slice()
    const at = Buffer.from(forged).indexOf(Buffer.from('63736967', 'hex')) + 10
    forged[at] = (forged[at] ?? 0) ^ 1
    const { hash } = decodeOperation(forged)
    rows.space('op').delete(key)
    rows.space('op').set(key.slice(0, 80) + toHex(hash), forged)
    assert.ok((await problems(repositories)).some(({ kind }) => kind === 'operation-signature'))
  })

  it('names flists that stand and are not held, and counts operations', async (context) => {
    const { repositories } = await openTestRepositories(context)
    await repositories.apply('alice', [put('a.flist', 1)], ALICE)
    await repositories.apply('alice', [put('a.flist', 2)], ALICE)
    const found: OperationProblem[] = []
    let count = 0
    const holds = (id: Uint8Array) => !equalBytes(id, flist(2).flist)
    for await (const problem of repositories.checkOperations({ holds, onOperation: () => count++ }))
      found.push(problem)
    assert.deepEqual(
      found.map(({ kind, id }) => [kind, id]),
      [['flist-missing', 'alice/f/a.flist']],
    )
    assert.equal(count, 2)
  })
})

function firstKey(rows: MapRows, space: string): string {
  return [...rows.space(space).keys()].sort()[0] ?? assert.fail(`${space} is empty`)
}

function change(rows: MapRows, space: string, edit: (value: Uint8Array) => void): void {
  edit(rows.space(space).get(firstKey(rows, space)) ?? assert.fail())
}

function flip(value: Uint8Array, at: number): void {
  value[at] = (value[at] ?? 0) ^ 1
}

describe('EntryList', () => {
  it('is a map that keeps its names sorted by bytes', () => {
    const name = fc.constantFrom('a', 'b', 'ab', 'é', '\uffee', '\u{1f600}', '\u{10000}', 'Z', '')
    const move = fc.record({ name, put: fc.boolean(), look: fc.boolean() })
    fc.assert(
      fc.property(fc.array(move, { maxLength: 30 }), (moves) => {
        const list = new EntryList()
        const model = new Map<string, Entry>()
        for (const { name, put, look } of moves) {
          const entry = { name } as Entry
          if (put) {
            list.set(entry)
            model.set(name, entry)
          } else {
            list.delete(name)
            model.delete(name)
          }
          if (look) list.entries()
          assert.equal(list.get(name), model.get(name))
        }
        const sorted = [...model.keys()].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
        assert.deepEqual(
          list.entries().map((entry) => entry.name),
          sorted,
        )
        assert.equal(list.size, model.size)
      }),
    )
  })
})
