import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { effectKey } from '../../src/format/effect.ts'
import type { Effect, Target } from '../../src/format/effect.ts'
import type { Operation, SignedOperation } from '../../src/format/operation.ts'
import { advance, conflictsOf, placeEffects, rank, stateOf, targetId } from '../../src/repo/state.ts'
import type { NameState, PlacedEffect, Version } from '../../src/repo/state.ts'
import { viewOf } from '../../src/repo/operation-batch.ts'
import { compareBytes, toHex, toLatin1 } from '../../src/util/bytes.ts'
import { flist } from './a-repository.ts'

const NODES = [new Uint8Array(32).fill(1), new Uint8Array(32).fill(2), new Uint8Array(32).fill(3)]
const NAMES = ['a.flist', 'b.flist']

/** A move in a little world of three nodes that write to one repository and now and then hear of each other. */
type Move =
  | {
      readonly do: 'write'
      readonly node: number
      readonly name: number
      readonly target: number
      readonly skewMs: number
    }
  | { readonly do: 'delete'; readonly node: number; readonly name: number; readonly skewMs: number }
  | { readonly do: 'hear'; readonly node: number; readonly from: number }

const node = fc.nat(NODES.length - 1)
const name = fc.nat(NAMES.length - 1)
const skewMs = fc.integer({ min: -1000, max: 1000 })
const moves = fc.array(
  fc.oneof(
    fc.record({ do: fc.constant('write' as const), node, name, target: fc.nat(3), skewMs }),
    fc.record({ do: fc.constant('delete' as const), node, name, skewMs }),
    fc.record({ do: fc.constant('hear' as const), node, from: node }),
  ),
  { maxLength: 30 },
)

/** All operations of a history, each made on what its node knew then. */
function play(history: readonly Move[]): { all: PlacedEffect[]; known: PlacedEffect[][] } {
  const all: PlacedEffect[] = []
  const known: PlacedEffect[][] = NODES.map(() => [])
  for (const move of history) {
    const mine = known[move.node] ?? assert.fail()
    if (move.do === 'hear') {
      for (const effect of known[move.from] ?? []) if (!mine.includes(effect)) mine.push(effect)
      continue
    }
    const target = move.do === 'write' ? flist(move.target) : undefined
    const key = { name: NAMES[move.name] ?? '' }
    const heads = stateOf(mine).get(effectKey(key))?.heads ?? []
    for (const effect of placeEffects(operation(all.length, move, { ...key, target, heads }))) {
      all.push(effect)
      mine.push(effect)
    }
  }
  return { all, known }
}

function operation(
  number: number,
  { node, skewMs }: { node: number; skewMs: number },
  { name, target, heads }: { name: string; target: Target | undefined; heads: readonly Version[] },
): SignedOperation {
  const hash = new Uint8Array(32)
  new DataView(hash.buffer).setUint32(0, (number * 2654435761) >>> 0)
  const supersedes = heads.map((head) => head.operation).sort(compareBytes)
  const effect: Effect = target
    ? { name, type: 'put', target, supersedes }
    : { name, type: 'delete', supersedes }
  return {
    hash,
    bytes: hash,
    signature: hash,
    operation: {
      author: NODES[node] ?? hash,
      user: { sub: 'u', idp: 'token' },
      time: { ms: 100_000 + number * 10 + skewMs, counter: 0 },
      effects: [effect],
    } as unknown as Operation,
  }
}

/** A state as text, so that two can be compared at a glance. */
function shown(state: ReadonlyMap<string, NameState>): string {
  return [...state]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(
      ([key, { heads, past }]) =>
        `${key} ${ids(heads)} | ${ids(past)} ${past.map((one) => `${one.endedMs}${one.wasInConflict}`).join()}`,
    )
    .join('\n')
}

function ids(versions: readonly Version[]): string {
  return versions.map(({ operation }) => toHex(operation).slice(0, 8)).join()
}

describe('the state function', () => {
  it('gives one state for one set of operations, in any order and any number of times (I4)', () => {
    fc.assert(
      fc.property(moves, fc.infiniteStream(fc.nat()), (history, random) => {
        const { all } = play(history)
        const shuffled = [...all, ...all.filter((_, index) => index % 3 === 0)]
          .map((effect) => ({ effect, at: random.next().value ?? 0 }))
          .sort((a, b) => a.at - b.at)
          .map(({ effect }) => effect)
        assert.equal(shown(stateOf(shuffled)), shown(stateOf(all)))
      }),
    )
  })

  it('is reached one operation at a time too, in any order', () => {
    fc.assert(
      fc.property(moves, fc.infiniteStream(fc.nat()), (history, random) => {
        const { all } = play(history)
        const shuffled = all
          .map((effect) => ({ effect, at: random.next().value ?? 0 }))
          .sort((a, b) => a.at - b.at)
          .map(({ effect }) => effect)
        const heads = new Map<string, Version[]>()
        const superseded = new Set<string>()
        for (const effect of shuffled) {
          for (const hash of effect.supersedes) superseded.add(effect.key + toLatin1(hash))
          const isSuperseded = superseded.has(effect.key + toLatin1(effect.version.operation))
          heads.set(effect.key, advance(heads.get(effect.key) ?? [], effect, isSuperseded))
        }
        const expected = new Map([...stateOf(all)].map(([key, state]) => [key, ids(state.heads)]))
        assert.deepEqual(new Map([...heads].map(([key, versions]) => [key, ids(versions)])), expected)
      }),
    )
  })

  it('loses nobody: each put is the winner, in conflict, equal to the winner, or replaced by another (I11)', () => {
    fc.assert(
      fc.property(moves, (history) => {
        const { all } = play(history)
        const replaced = new Set(
          all.flatMap(({ key, supersedes }) => supersedes.map((hash) => key + toLatin1(hash))),
        )
        for (const [key, { heads, past }] of stateOf(all)) {
          const losers = conflictsOf(heads).flat()
          for (const version of heads) {
            if (version.target === undefined) continue
            const winner = heads[0]?.target ?? assert.fail('a deletion won against a put')
            assert.ok(losers.includes(version) || targetId(version.target) === targetId(winner))
          }
          for (const version of past) assert.ok(replaced.has(key + toLatin1(version.operation)))
          assert.equal(heads.length + past.length, all.filter((effect) => effect.key === key).length)
        }
      }),
    )
  })

  it('brings no deleted name back but by a put that came after, or beside it (I9)', () => {
    fc.assert(
      fc.property(moves, node, (history, rejoining) => {
        const { known } = play(history)
        const [mine = [], theirs = []] = [known[rejoining], known[(rejoining + 1) % NODES.length]]
        const before = stateOf(mine)
        const after = stateOf([...mine, ...theirs])
        for (const [key, { heads }] of before) {
          if (viewOf(heads) !== undefined) continue
          const winner = viewOf(after.get(key)?.heads ?? [])
          if (winner === undefined) continue
          const isReplaced = mine.some(
            (effect) =>
              effect.key === key &&
              effect.supersedes.some((hash) => compareBytes(hash, winner.operation) === 0),
          )
          assert.equal(isReplaced, false)
        }
      }),
    )
  })

  it('does not depend on who else has not written (I2): authors beside a name change nothing there', () => {
    fc.assert(
      fc.property(moves, (history) => {
        const { all } = play(history)
        const one = stateOf(all.filter(({ key }) => key === 'f/a.flist')).get('f/a.flist')
        assert.deepEqual(stateOf(all).get('f/a.flist'), one)
      }),
    )
  })
})

describe('the winner', () => {
  const version = (number: number, ms: number, target: Target | undefined, author = NODES[0]): Version => ({
    operation: new Uint8Array(32).fill(number),
    author: author ?? assert.fail(),
    user: 'u',
    time: { ms, counter: 0 },
    type: target ? 'put' : 'delete',
    target,
    updatedS: 0,
  })

  it('is a put before a delete, then the later, then by author, then by hash', () => {
    const put = version(1, 10, flist(1))
    const later = version(2, 20, flist(2))
    const removed = version(3, 99, undefined)
    const other = version(4, 20, flist(3), NODES[1])
    const twin = version(5, 20, flist(4))
    assert.deepEqual(rank([removed, put, later, other, twin]), [other, twin, later, put, removed])
  })

  it('has no conflict with an equal head, nor with a deletion', () => {
    const heads = rank([version(1, 10, flist(1)), version(2, 20, flist(1)), version(3, 5, undefined)])
    assert.deepEqual(conflictsOf(heads), [])
    assert.equal(viewOf(heads)?.conflicts, 0)
    const torn = rank([...heads, version(4, 1, flist(2)), version(5, 2, flist(2)), version(6, 3, flist(3))])
    assert.equal(viewOf(torn)?.conflicts, 2)
  })

  it('is nobody when only deletions stand', () => {
    assert.equal(viewOf([version(1, 1, undefined)]), undefined)
    assert.equal(viewOf([]), undefined)
  })

  it('leaves the losers it settles marked', () => {
    const [a, b] = [version(1, 10, flist(1)), version(2, 20, flist(2))]
    const effects: PlacedEffect[] = [
      { key: 'k', version: a, supersedes: [] },
      { key: 'k', version: b, supersedes: [] },
      { key: 'k', version: version(3, 30, flist(3)), supersedes: [a.operation, b.operation] },
    ]
    const past = stateOf(effects).get('k')?.past ?? []
    assert.deepEqual(
      past.map(({ operation, wasInConflict, endedMs }) => [operation[0], wasInConflict, endedMs]),
      [
        [2, false, 30],
        [1, true, 30],
      ],
    )
  })

  it('ignores a sup of another name', () => {
    const a = version(1, 10, flist(1))
    const effects: PlacedEffect[] = [
      { key: 'k', version: a, supersedes: [] },
      { key: 'other', version: version(2, 20, flist(2)), supersedes: [a.operation] },
    ]
    assert.equal(stateOf(effects).get('k')?.heads.length, 1)
  })
})
